"""Tables that are not what they were: renamed, made anew, somebody else's, or part of the original."""

from __future__ import annotations

import pytest

from tests.restore.simple import archive, restore, states
from tests.support.house import House

T = "CREATE TABLE {name} (id integer, v text, at timestamptz NOT NULL DEFAULT '2025-08-01')"
ROWS = "INSERT INTO {name} (id, v) SELECT i, 'v' || i FROM generate_series(1, 10) i"


def archived(house: House, name: str = "t") -> None:
    archive(house, name, T.format(name=name), ROWS.format(name=name))


def test_a_restored_table_that_took_the_originals_place_is_taken_over(house: House) -> None:
    """Table gone, restored beside, renamed: the rows are the table's again, and must leave the archive unmoved."""
    archived(house)
    house.sql("DROP TABLE t")
    refused = restore(house, "t", into_original=True)
    assert (refused["status"], refused["refusal"]["guard"]) == ("refused", "unknown_table")
    restore(house, "t")
    house.sql("ALTER TABLE t_restored RENAME TO t")
    answer = restore(house, "t", into_original=True)
    assert (answer["status"], answer["restored_rows"], answer["existing_rows"]) == ("ok", 0, 10)
    assert house.value("SELECT count(*) FROM t") == 10
    assert states(house) == [("restored", 10)]
    assert house.run()["tables"][0]["archived_rows"] == 0, "held"
    assert restore(house, "t", into_original=True)["status"] == "nothing"


def test_a_table_made_anew_under_the_name_is_not_filled_twice(house: House) -> None:
    archived(house)
    restore(house, "t")
    house.sql("CREATE TABLE copy AS TABLE t_restored; DROP TABLE t_restored; ALTER TABLE copy RENAME TO t_restored")
    for target in ({}, {"into": "t_restored"}):
        answer = restore(house, "t", **target)
        assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "unknown_rows")
    assert house.value("SELECT count(*) FROM t_restored") == 10


def test_somebody_elses_table_of_that_name_is_left_alone(house: House) -> None:
    archived(house)
    house.sql("CREATE TABLE t_restored (name text)")
    house.sql("INSERT INTO t_restored VALUES ('mine')")
    answer = restore(house, "t")
    assert answer["refusal"]["guard"] == "unknown_rows"
    assert house.sql("SELECT * FROM t_restored") == [("mine",)]


@pytest.mark.parametrize("how", ["DROP TABLE t_restored", "TRUNCATE t_restored", "DELETE FROM t_restored"])
def test_a_table_that_was_emptied_is_filled_again(house: House, how: str) -> None:
    archived(house)
    restore(house, "t")
    house.sql(how)
    assert restore(house, "t")["restored_rows"] == 10
    assert house.value("SELECT count(*) FROM t_restored") == 10


def test_long_names_do_not_share_a_table(house: House) -> None:
    names = [f"{'x' * 60}{last}" for last in ("one", "two")]
    for name in names:
        archive(house, name, T.format(name=name), ROWS.format(name=name))
    answers = [restore(house, name) for name in names]
    assert [answer["restored_rows"] for answer in answers] == [10, 10]
    assert len({answer["into"] for answer in answers}) == 2
    too_long = restore(house, names[0], into="y" * 64)
    assert too_long["refusal"]["guard"] == "unusable_table"


def test_a_part_of_the_original_is_the_original(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE TABLE t (id integer, at timestamptz) PARTITION BY RANGE (at)",
        "CREATE TABLE t_all PARTITION OF t DEFAULT",
        "INSERT INTO t VALUES (1, '2025-08-10')",
    )
    assert restore(house, "t", into="t_all")["refusal"]["guard"] == "same_table"
    assert restore(house, "t", into="t")["refusal"]["guard"] == "same_table"


def test_two_archived_columns_for_one_are_refused(house: House) -> None:
    archive(house, "t", "CREATE TABLE t (a text, b text, at date)", "INSERT INTO t VALUES ('A', 'B', '2025-08-01')")
    for target in ({}, {"into_original": True}):
        answer = restore(house, "t", rename={"a": "b"}, **target)
        assert answer["refusal"]["guard"] == "impossible_columns"
        assert "two archived columns would fill b" in answer["refusal"]["message"]
    assert house.value("SELECT to_regclass('t_restored') IS NULL") is True


def test_values_of_a_type_that_is_gone_come_back_as_text_exactly(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE DOMAIN d AS date; CREATE DOMAIN n AS numeric(10,2); CREATE DOMAIN z AS timestamptz",
        "CREATE TABLE t (id integer, d d, n n, z z, at date DEFAULT '2025-08-01')",
        "INSERT INTO t VALUES (1, 'infinity', 'NaN', '-infinity'), (2, '2025-01-01', 1.10, '2025-01-01 00:00+00')",
    )
    house.sql("DROP TABLE t; DROP DOMAIN d, n, z")
    answer = restore(house, "t")
    assert "d: the type d is gone, restored as text" in answer["columns"]
    assert house.sql("SELECT d, n, z FROM t_restored ORDER BY id") == [
        ("infinity", "NaN", "-infinity"),
        ("2025-01-01", "1.10", "2025-01-01 00:00:00+00"),
    ]


def test_a_domain_with_fewer_digits_under_the_old_name_is_refused(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE DOMAIN price AS numeric(10,2)",
        "CREATE TABLE t (p price, at date)",
        "INSERT INTO t VALUES (1.55, '2025-08-01')",
    )
    house.sql(
        "DROP TABLE t; DROP DOMAIN price; CREATE DOMAIN price AS numeric(10,0); CREATE TABLE t (p price, at date)"
    )
    answer = restore(house, "t", into_original=True)
    assert answer["refusal"]["guard"] == "impossible_columns"


def test_blanks_of_char_survive_in_text(house: House) -> None:
    archive(house, "t", "CREATE TABLE t (c char(6), at date)", "INSERT INTO t VALUES ('ab', '2025-08-01')")
    house.sql("ALTER TABLE t ALTER c TYPE text USING c || '    '")
    restore(house, "t", into_original=True)
    assert house.sql("SELECT c, length(c) FROM t") == [("ab    ", 6)]


@pytest.mark.parametrize(
    "id_column",
    ["id integer GENERATED ALWAYS AS IDENTITY", "id serial", "id integer DEFAULT nextval('loose')"],
    ids=["identity", "serial", "loose"],
)
def test_the_next_row_gets_a_free_number(house: House, id_column: str) -> None:
    archive(
        house,
        "t",
        "CREATE SEQUENCE loose",
        f"CREATE TABLE t ({id_column} PRIMARY KEY, at date)",
        "INSERT INTO t (at) SELECT '2025-08-01' FROM generate_series(1, 9)",
    )
    sequence = "loose" if "loose" in id_column else "t_id_seq"
    house.sql(f"SELECT setval('{sequence}', 9, false)")
    restore(house, "t", into_original=True)
    assert house.sql("INSERT INTO t (at) VALUES ('2026-01-01') RETURNING id") == [(10,)]


def test_odd_names_come_back(house: House) -> None:
    for name in ('a"b', " t ", "100%", "Ta.ble"):
        quoted = '"' + name.replace('"', '""') + '"'
        archive(
            house, quoted.replace("\\", "\\\\").replace('"', '\\"'), T.format(name=quoted), ROWS.format(name=quoted)
        )
        answer = restore(house, quoted)
        assert answer["restored_rows"] == 10, answer
