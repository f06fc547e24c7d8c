"""The guards on SQLite."""

from __future__ import annotations

import pytest

from nightshift.errors import NightshiftError
from tests.support.house import House
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("guard", "hint", "sql"),
    [
        ("unknown_table", "correct `table` in the policy", "CREATE TABLE other (created_at DATETIME)"),
        ("unknown_table", "name the table behind it", "CREATE VIEW log AS SELECT 1 AS created_at"),
        (
            "unknown_table",
            "make it a table without WITHOUT ROWID",
            "CREATE TABLE log (id TEXT PRIMARY KEY, created_at DATETIME) WITHOUT ROWID",
        ),
        ("unknown_column", "its columns: id", "CREATE TABLE log (id)"),
        ("wrong_type", "set `epoch` in the policy", "CREATE TABLE log (created_at INTEGER)"),
        ("wrong_type", "set `epoch` in the policy", "CREATE TABLE log (created_at REAL)"),
        ("wrong_type", "set `epoch` in the policy", "CREATE TABLE log (created_at)"),
    ],
)
def test_sqlite_tables(sqlite_house: House, guard: str, hint: str, sql: str) -> None:
    sqlite_house.sql(sql)

    refusal = refused(sqlite_house)
    assert refusal["guard"] == guard and hint in refusal["hint"]


@pytest.mark.parametrize(
    "value", ["'12 March'", "'2025-01-01T00:00:00Z'", "'2025-01-01 00:00:00+09:00'", "20250101", "1e300", "''"]
)
def test_sqlite_values_that_are_not_times(sqlite_house: House, value: str) -> None:
    """One of them among good ones is enough: it might be due and could not be told."""
    sqlite_house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    sqlite_house.sql(f"INSERT INTO log VALUES (1, '2025-01-01'), (2, {value})")

    refusal = refused(sqlite_house)
    assert refusal["guard"] == "wrong_type" and "without a zone, or numbers with `epoch`" in refusal["hint"]


def test_a_sqlite_value_that_only_looks_like_a_time(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    sqlite_house.sql("INSERT INTO log VALUES (1, '2025-01-01 00:00:00'), (2, '2025-02-30 00:00:00')")
    sqlite_house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    with pytest.raises(NightshiftError, match="1 of 2 values are no date and time") as raised:
        sqlite_house.run()

    assert raised.value.hint == "write them like 2025-09-15 09:00:00"
    assert sqlite_house.value("SELECT count(*) FROM log") == 2


@pytest.mark.parametrize("references", ["log (id) ON DELETE CASCADE", "log ON DELETE CASCADE", "log (id)", "log"])
def test_sqlite_references(sqlite_house: House, references: str) -> None:
    sqlite_house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    sqlite_house.sql(f"CREATE TABLE child (log_id REFERENCES {references})")
    sqlite_house.sql("INSERT INTO log VALUES (1, '2025-01-01')")
    sqlite_house.sql(f"INSERT INTO child VALUES {', '.join(['(1)'] * 21)}")

    assert refused(sqlite_house)["guard"] == "cascade"


def test_sqlite_trigger_that_stops_deletions(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    sqlite_house.sql("CREATE TRIGGER keep BEFORE DELETE ON log BEGIN SELECT raise(IGNORE); END")
    sqlite_house.sql("INSERT INTO log VALUES (1, '2025-01-01')")

    refusal = refused(sqlite_house)
    assert refusal["guard"] == "hidden_rows" and "DROP TRIGGER in SQLite" in refusal["hint"]


def test_sqlite_table_with_every_name_of_the_row_identifier_taken(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE log (rowid TEXT, _ROWID_ TEXT, oid TEXT, created_at DATETIME)")

    refusal = refused(sqlite_house)
    assert refusal["guard"] == "unknown_table" and "rename one of rowid, _rowid_ and oid" in refusal["hint"]
