"""Rows that the table will not take as they are: left alone, counted, named; never forgotten."""

from __future__ import annotations

import pytest

from nightshift.errors import NightshiftError
from nightshift.rows.row_connection import StatementRefused
from tests.restore.simple import archive, restore, states
from tests.support.house import House

T = "CREATE TABLE t (id integer PRIMARY KEY, v text, at timestamptz NOT NULL DEFAULT '2025-08-01')"
ROWS = "INSERT INTO t (id, v) SELECT i, 'v' || i FROM generate_series(1, 100) i"
DELETES = """
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM t; RETURN NULL; END $$;
CREATE TRIGGER purge AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION f()
"""


def test_existing_keys_with_the_same_rows_are_left_alone(house: House) -> None:
    archive(house, "t", T, ROWS)
    house.sql("INSERT INTO t (id, v) VALUES (7, 'v7'), (8, 'v8')")
    answer = restore(house, "t", into_original=True)
    assert (answer["status"], answer["restored_rows"], answer["existing_rows"]) == ("ok", 98, 2)
    assert answer["warnings"] == []
    assert house.value("SELECT count(*) FROM t WHERE v = 'v' || id") == 100
    assert states(house) == [("restored", 100)]


def test_existing_keys_with_other_rows_are_left_alone_and_ours_can_still_be_had(house: House) -> None:
    archive(house, "t", T, ROWS)
    house.sql("INSERT INTO t (id, v) VALUES (7, 'new'), (8, 'v8'), (101, 'another')")
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"]) == (98, 2)
    (warning,) = answer["warnings"]
    (key,) = [entry["object_key"] for entry in house.ledger()]
    assert warning.startswith("1 archived rows differ") and key in warning
    assert house.value("SELECT v FROM t WHERE id = 7") == "new"
    assert restore(house, "t")["status"] == "nothing"
    assert restore(house, "t", objects=[key])["restored_rows"] == 100
    assert house.value("SELECT v FROM t_restored WHERE id = 7") == "v7"


def test_rows_that_an_index_made_unequal_since_are_told(house: House) -> None:
    archive(house, "t", T.replace(" PRIMARY KEY", ""), "INSERT INTO t VALUES (1, 'first'), (1, 'second')")
    house.sql("CREATE UNIQUE INDEX ON t (id)")
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"]) == (1, 1)
    assert answer["warnings"][0].startswith("1 archived rows differ")


def test_sqlite_tells_other_rows_from_the_same(sqlite_house: House) -> None:
    house = sqlite_house
    rows = "INSERT INTO t VALUES (1, 'a', '2025-08-01 00:00:00'), (2, NULL, '2025-08-01 00:00:00')"
    archive(house, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, at DATETIME)", rows)
    house.sql("INSERT INTO t VALUES (1, 'b', '2025-08-01 00:00:00'), (2, NULL, '2025-08-01 00:00:00')")
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"]) == (0, 2)
    assert answer["warnings"][0].startswith("1 archived rows differ")


@pytest.mark.parametrize("target", [{"into_original": True}, {"into": "t"}], ids=["original", "named"])
def test_a_trigger_that_could_take_rows_away_again_is_refused(house: House, target: dict[str, object]) -> None:
    archive(
        house,
        "t" if "into_original" in target else "s",
        *(
            statement.replace("TABLE t", "TABLE s").replace("INTO t", "INTO s") if "into" in target else statement
            for statement in (T, ROWS)
        ),
    )
    if "into" in target:
        house.sql(T)
    house.sql(DELETES)
    before = house.state()
    answer = restore(house, "t" if "into_original" in target else "s", **target)
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "altered_rows")
    assert "trigger purge" in answer["refusal"]["message"]
    assert "or, for the time of the restore, ALTER TABLE … DISABLE TRIGGER …" in answer["refusal"]["hint"]
    assert house.state() == before


def test_sqlite_a_trigger_is_refused_whatever_it_does(sqlite_house: House) -> None:
    house = sqlite_house
    archive(house, "t", "CREATE TABLE t (id INTEGER, at DATETIME)", "INSERT INTO t VALUES (1, '2025-08-01 00:00:00')")
    house.sql("CREATE TRIGGER touch AFTER INSERT ON t BEGIN UPDATE t SET at = '2030-01-01 00:00:00'; END")
    answer = restore(house, "t", into_original=True)
    assert answer["refusal"]["guard"] == "altered_rows"


def test_a_deferrable_key_lets_rows_in_and_says_no_to_a_second_one(house: House) -> None:
    archive(house, "t", T.replace("PRIMARY KEY", "PRIMARY KEY DEFERRABLE INITIALLY DEFERRED"), ROWS)
    house.sql("INSERT INTO t (id, v) VALUES (7, 'new')")
    with pytest.raises(StatementRefused, match="duplicate key") as raised:
        restore(house, "t", into_original=True)
    assert "a key that is checked last (DEFERRABLE)" in str(raised.value.hint)
    assert house.value("SELECT count(*) FROM t") == 1
    assert states(house) == [("archived", 100)]
    house.sql("DELETE FROM t")
    assert restore(house, "t", into_original=True)["restored_rows"] == 100


def test_a_foreign_key_that_is_checked_last_is_an_answer_not_a_lost_connection(house: House) -> None:
    parent = "CREATE TABLE p (id integer PRIMARY KEY)"
    child = T.replace("v text", "v text, p integer REFERENCES p DEFERRABLE INITIALLY DEFERRED")
    archive(house, "t", parent, "INSERT INTO p VALUES (1)", child, "INSERT INTO t (id, p) VALUES (1, 1)")
    house.sql("DELETE FROM p")
    with pytest.raises(StatementRefused, match="reference"):
        restore(house, "t", into_original=True)
    assert states(house) == [("archived", 1)]


def test_an_error_quotes_no_value(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE TYPE mood AS ENUM ('secret-value', 'other')",
        T.replace("v text", "v mood"),
        "INSERT INTO t (id, v) VALUES (1, 'secret-value')",
    )
    house.sql("ALTER TYPE mood RENAME VALUE 'secret-value' TO 'renamed'")
    with pytest.raises(NightshiftError, match="invalid input value for enum mood") as caught:
        restore(house, "t")
    assert "secret-value" not in f"{caught.value} {house.runs()[-1]} {house.slack.messages}"


def test_a_partition_that_is_gone_is_named(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE TABLE t (id integer, at timestamptz) PARTITION BY RANGE (at)",
        "CREATE TABLE t_8 PARTITION OF t FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')",
        "INSERT INTO t VALUES (1, '2025-08-10')",
    )
    assert house.value("SELECT to_regclass('t_8') IS NULL") is True
    with pytest.raises(StatementRefused, match="no partition for archived rows") as raised:
        restore(house, "t", into_original=True)
    assert "create the partition for their days first" in str(raised.value.hint)
    assert states(house) == [("archived", 1)]


def test_a_column_without_a_place_is_warned_of_and_its_values_can_be_had(house: House) -> None:
    archive(house, "t", T, ROWS)
    house.sql("ALTER TABLE t DROP v")
    answer = restore(house, "t", into_original=True)
    assert answer["columns"] == ["v: no longer in the table, left out"]
    assert "no column v" in answer["warnings"][0]
    (key,) = [entry["object_key"] for entry in house.ledger()]
    restore(house, "t", objects=[key])
    assert house.value("SELECT count(*) FROM t_restored WHERE v = 'v' || id") == 100


def test_values_are_compared_as_the_table_has_them(house: House) -> None:
    money = "CREATE TABLE t (id integer PRIMARY KEY, v numeric(10,2), at timestamptz NOT NULL DEFAULT '2025-08-01')"
    archive(house, "t", money, "INSERT INTO t (id, v) VALUES (1, 1.5), (2, 2.5)")
    house.sql("ALTER TABLE t ALTER v TYPE numeric(12,4), ALTER at TYPE text")
    house.sql("INSERT INTO t VALUES (1, 1.5, '2025-08-01 00:00:00+00'), (3, 1, '')")
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"], answer["warnings"]) == (1, 1, [])


def test_sqlite_tells_letters_apart_whatever_the_collation(sqlite_house: House) -> None:
    house = sqlite_house
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE, at DATETIME)"
    archive(house, "t", table, "INSERT INTO t VALUES (1, 'Abc', '2025-08-01')")
    house.sql("INSERT INTO t VALUES (1, 'ABC', '2025-08-01')")
    assert restore(house, "t", into_original=True)["warnings"][0].startswith("1 archived rows differ")
