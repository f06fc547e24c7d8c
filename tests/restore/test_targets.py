"""Tables that are not what they were: renamed, made anew, somebody else's, or part of the original."""

from __future__ import annotations

import pytest

from nightshift.rows.row_connection import StatementRefused
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
    assert "restore into a table of its own, and rename that; then restore" in refused["refusal"]["hint"]
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
        assert answer["refusal"]["hint"] == "drop or rename it, or name another table with --into"
    assert house.value("SELECT count(*) FROM t_restored") == 10


def test_somebody_elses_table_of_that_name_is_left_alone(house: House) -> None:
    archived(house)
    house.sql("CREATE TABLE t_restored (name text)")
    house.sql("INSERT INTO t_restored VALUES ('mine')")
    answer = restore(house, "t")
    assert answer["refusal"]["guard"] == "unknown_rows"
    assert house.sql("SELECT * FROM t_restored") == [("mine",)]


@pytest.mark.fast_cases("TRUNCATE")
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
    assert (too_long["refusal"]["guard"], too_long["refusal"]["hint"]) == ("unusable_table", "choose a shorter name")


def test_a_part_of_the_original_is_the_original(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE TABLE t (id integer, at timestamptz) PARTITION BY RANGE (at)",
        "CREATE TABLE t_all PARTITION OF t DEFAULT",
        "INSERT INTO t VALUES (1, '2025-08-10')",
    )
    refusal = restore(house, "t", into="t_all")["refusal"]
    assert refusal["guard"] == "same_table" and "to bring its rows back into it" in refusal["hint"]
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
    assert "d: the type public.d is gone, restored as text" in answer["columns"]
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


@pytest.mark.fast_cases("identity")
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


def renamed(house: House, *meanwhile: str) -> None:
    """The original gone, restored beside, something done to that, and renamed to take its place."""
    archived(house)
    house.sql("DROP TABLE t")
    restore(house, "t")
    for statement in meanwhile:
        house.sql(statement)
    house.sql("ALTER TABLE t_restored RENAME TO t")


def test_a_table_that_was_emptied_before_it_took_the_place_is_filled(house: House) -> None:
    renamed(house, "TRUNCATE t_restored")
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"]) == (10, 0)
    assert house.value("SELECT count(*) FROM t") == 10
    assert states(house) == [("restored", 10)]


def test_rows_that_are_missing_are_brought_where_a_key_tells_them(house: House) -> None:
    renamed(house, "ALTER TABLE t_restored ADD PRIMARY KEY (id)", "DELETE FROM t_restored WHERE id > 6")
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"], answer["warnings"]) == (4, 6, [])
    assert house.value("SELECT count(DISTINCT id) FROM t") == 10


def test_rows_that_are_missing_without_a_key_are_named_and_stay_archived(house: House) -> None:
    renamed(house, "DELETE FROM t_restored WHERE id > 6")
    with pytest.raises(StatementRefused, match="4 of 10 rows are not in the table") as raised:
        restore(house, "t", into_original=True)
    assert "the table has no key to tell them by" in str(raised.value.hint)
    assert states(house) == [("archived", 10)]
    assert house.value("SELECT count(*) FROM t") == 6


def test_a_cleanup_between_renaming_and_taking_over_is_refused(house: House) -> None:
    renamed(house)
    (table,) = house.run()["tables"]
    assert (table["status"], table["refusal"]["guard"]) == ("refused", "returned")
    assert "--into-original: the objects leave the archive" in table["refusal"]["hint"]
    restore(house, "t", into_original=True, hold="0")
    (table,) = house.run()["tables"]
    assert table["archived_rows"] == 10
    assert states(house) == [("restored", 10), ("archived", 10)]


def test_a_restored_table_that_became_a_partition_is_taken_over(house: House) -> None:
    archive(
        house,
        "t",
        "CREATE TABLE t (id integer, v text, at timestamptz) PARTITION BY RANGE (at)",
        "CREATE TABLE t_8 PARTITION OF t FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')",
        "INSERT INTO t VALUES (1, 'v', '2025-08-10')",
    )
    restore(house, "t")
    house.sql("ALTER TABLE t ATTACH PARTITION t_restored FOR VALUES FROM ('2025-08-01') TO ('2025-09-01')")
    refusal = restore(house, "t")["refusal"]
    assert refusal["guard"] == "same_table" and "it takes over what was restored there" in refusal["hint"]
    (table,) = house.run()["tables"]
    assert table["refusal"]["guard"] == "returned"
    answer = restore(house, "t", into_original=True)
    assert (answer["restored_rows"], answer["existing_rows"]) == (0, 1)
    assert house.value("SELECT count(*) FROM t") == 1


def test_taking_over_moves_sequences(house: House) -> None:
    renamed(house, "ALTER TABLE t_restored ALTER id SET NOT NULL, ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")
    restore(house, "t", into_original=True)
    assert house.sql("INSERT INTO t (at) VALUES ('2026-01-01') RETURNING id") == [(11,)]


def test_a_table_made_anew_after_its_rows_went_back_is_warned_of(house: House) -> None:
    archived(house)
    restore(house, "t", into_original=True)
    house.sql("DROP TABLE t")
    house.sql(T.format(name="t"))
    answer = restore(house, "t", into_original=True, hold="0")
    assert (answer["status"], answer["already"]) == ("nothing", 0)
    assert answer["warnings"][-1].startswith("1 objects went back into public.t before it was made anew")


def test_no_use_of_the_schema_is_a_privilege(house: House, guest: str) -> None:
    house.sql(f"CREATE SCHEMA app; GRANT ALL ON SCHEMA app TO {guest}")
    archive(house, "app.t", f"SET ROLE {guest}", T.format(name="app.t"), ROWS.format(name="app.t"), "RESET ROLE")
    house.sql(f"REVOKE ALL ON SCHEMA app FROM {guest}")
    answer = restore(house, "app.t", into_original=True)
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "privilege")
    assert 'GRANT SELECT, INSERT ON "app"."t", and USAGE on its schema, TO' in answer["refusal"]["hint"]


def test_sqlite_a_table_without_a_key_takes_rows_only_while_it_is_empty(sqlite_house: House) -> None:
    house = sqlite_house
    rows = "INSERT INTO t VALUES (1, '2025-08-01 00:00:00')"
    archive(house, "t", "CREATE TABLE t (id INTEGER, at DATETIME)", rows)
    house.sql(rows)
    answer = restore(house, "t", into_original=True)
    assert answer["refusal"]["guard"] == "no_key"
    assert "and insert from there what is missing" in answer["refusal"]["hint"]
    assert restore(house, "t", into="main.t")["refusal"]["hint"].startswith("SQLite has no schemas: write the table's")
    house.sql("DELETE FROM t")
    assert restore(house, "t", into_original=True)["restored_rows"] == 1
