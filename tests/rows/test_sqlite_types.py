"""SQLite gives every value a type of its own: a column travels as its affinity says, other values beside it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from tests.support.house import House

AT = "'2025-01-01 10:00:00'"

VALUES = {
    "i INTEGER": ["0", "-9223372036854775808", "9223372036854775807", "1.5", "'text'", "x'00ff'", "NULL"],
    "b BOOLEAN": ["1", "0", "'maybe'"],
    "r REAL": ["0.1", "-0.0", "1e308", "9e999", "-9e999", "3", "'NaN'", "x''"],
    "t TEXT": [
        "''",
        "'it''s 한글'",
        "'a' || char(10) || 'b'",
        "x'6162'",
        "CAST(x'ff61' AS TEXT)",
        "5",
        "'nul' || char(0) || 'in'",
    ],
    "v VARCHAR(3)": ["'longer than three'"],
    "l BLOB": ["x''", "x'00ff'", "'text'", "7", "1.5"],
    "n NUMERIC": ["10", "10.5", "'10.50'", "9007199254740993", "'abc'", "x'01'", "1e400"],
    "d DECIMAL(10,2)": ["12.34", "9007199254740992"],
    "u UUID": ["'00000000-0000-4000-8000-000000000000'"],
    "j JSON": ["'{\"a\": 1}'", "5"],
    "ts TIMESTAMP": ["'2025-01-01 10:00:00.123456'", "1735725600", "NULL"],
    "da DATE": ["'2025-01-01'"],
    "untyped": ["1", "'x'", "1.5", "x'00'", "NULL"],
}

ARROW = {
    "i": pa.int64(),
    "b": pa.int64(),
    "r": pa.float64(),
    "t": pa.string(),
    "v": pa.string(),
    "l": pa.binary(),
    "n": pa.float64(),
    "d": pa.float64(),
    "u": pa.float64(),
    "j": pa.float64(),
    "ts": pa.string(),
    "da": pa.string(),
    "untyped": pa.binary(),
}


def fill(house: House) -> int:
    """A table of these columns, a value a row; returns its rows."""
    house.sql(f"CREATE TABLE log (id INTEGER PRIMARY KEY, {', '.join(VALUES)}, created_at DATETIME)")
    rows = max(map(len, VALUES.values()))
    for number in range(rows):
        values = [values[number % len(values)] for values in VALUES.values()]
        house.sql(f"INSERT INTO log VALUES ({number}, {', '.join(values)}, {AT})")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    return rows


def exact_contents(house: House, table: str) -> list[tuple[Any, ...]]:
    """Storage class and bytes of every value."""
    names = [column.split()[0] for column in VALUES]
    value = "CASE typeof({0}) WHEN 'real' THEN printf('%!.20g', {0}) ELSE hex({0}) END"
    shown = ", ".join(f"typeof({name}), {value.format(name)}" for name in names)
    return house.sql(f"SELECT id, {shown} FROM {table} ORDER BY id")


def as_sql(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return f"CAST(x'{value.encode().hex()}' AS TEXT)"
    return {"inf": "9e999", "-inf": "-9e999"}.get(repr(value), repr(value))


def test_every_value_of_every_class_comes_back(sqlite_house: House) -> None:
    house = sqlite_house
    rows = fill(house)
    before = exact_contents(house, "log")

    assert house.run_table()["archived_rows"] == rows

    assert house.value("SELECT count(*) FROM log") == 0
    (archive,) = house.objects()
    house.sql(f"CREATE TABLE restored (id INTEGER PRIMARY KEY, {', '.join(VALUES)}, created_at DATETIME)")
    for row in archive.rows.to_pylist():
        exact = json.loads(row.pop("_nightshift_exact") or "{}")
        values = [exact.get(name, as_sql(value)) for name, value in row.items()]
        house.sql(f"INSERT INTO restored VALUES ({', '.join(values)})")
    assert exact_contents(house, "restored") == before


def test_columns_travel_as_their_affinity_says(sqlite_house: House) -> None:
    fill(sqlite_house)
    sqlite_house.run()

    (archive,) = sqlite_house.objects()
    schema = archive.rows.schema
    assert {name: schema.field(name).type for name in ARROW} == ARROW
    assert schema.field("d").metadata[b"nightshift.type"] == b"DECIMAL(10,2)"


@pytest.mark.parametrize("name", ["rowid", "_rowid_", "oid"])
def test_a_column_that_hides_the_row_identifier(sqlite_house: House, name: str) -> None:
    """A column may bear the very name under which SQLite offers a row's identifier."""
    house = sqlite_house
    house.sql(f"CREATE TABLE log (id INTEGER, {name} TEXT, created_at DATETIME)")
    house.sql(f"INSERT INTO log VALUES (1, 'a', {AT}), (2, NULL, {AT}), (3, '', '2025-10-14')")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    assert house.run_table()["archived_rows"] == 2
    assert set(house.archived_days("log")) == {1, 2}
    assert house.sql("SELECT id FROM log") == [(3,)]


def test_rows_at_the_ends_of_the_identifiers(sqlite_house: House) -> None:
    house = sqlite_house
    house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    ids = {-9223372036854775808, -5, 0, 7, 9223372036854775807}
    house.sql(f"INSERT INTO log VALUES {', '.join(f'({n}, {AT})' for n in ids)}")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    assert house.run_table()["archived_rows"] == len(ids)
    assert set(house.archived_days("log")) == ids


def test_generated_columns(sqlite_house: House) -> None:
    house = sqlite_house
    house.sql(
        "CREATE TABLE log (a INTEGER, twice INTEGER AS (a * 2), thrice INTEGER AS (a * 3) STORED, created_at DATETIME)"
    )
    house.sql(f"INSERT INTO log (a, created_at) VALUES (1, {AT}), (2, {AT})")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    house.run()

    assert house.objects()[0].rows.column_names == ["a", "twice", "thrice", "created_at"]
    assert house.value("SELECT count(*) FROM log") == 0


@pytest.mark.parametrize("epoch", ["s", "ms"])
def test_integer_times(sqlite_house: House, epoch: str) -> None:
    house, unit = sqlite_house, 1 if epoch == "s" else 1000
    cutoff = 1757862000
    house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, at INTEGER)")
    house.sql(f"INSERT INTO log VALUES (1, {cutoff * unit - 1}), (2, {cutoff * unit}), (3, NULL), (4, 0)")
    house.policies(f'[[retention]]\ntable = "log"\ntimestamp = "at"\nkeep_days = 30\nepoch = "{epoch}"')

    house.run()

    assert house.archived_days("log") == {1: "2025-09-14"}
    assert house.sql("SELECT id FROM log ORDER BY id") == [(2,), (3,), (4,)], "0 is a mark"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-09-14", "2025-09-14"),
        ("2025-09-14 23:59:59.999999", "2025-09-14"),
        ("2025-09-14T23:59", "2025-09-14"),
        ("2025-09-14 00:00", "2025-09-14"),
        ("0001-01-01", "0001-01-01"),
        ("2025-09-15", None),
        ("2025-09-15 00:00:00", None),
        ("2025-09-15T00:00:00", None),
    ],
)
def test_text_times_as_people_write_them(sqlite_house: House, text: str, day: str | None) -> None:
    house = sqlite_house
    house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at TEXT)")
    house.sql(f"INSERT INTO log VALUES (1, '{text}')")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')

    house.run()

    assert house.archived_days("log") == ({} if day is None else {1: day})
    assert house.value("SELECT count(*) FROM log") == (day is None)
