"""SQLite gives every value a type of its own: each class of value in each kind of column comes back as it was."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import pytest

from tests.restore.torture import SEED, moment
from tests.restore.torture_values import TEXTS
from tests.restore.torture_values import text as any_text
from tests.support.handler import run_job
from tests.support.house import AS_OF, House, identifier

ROWS = 10_000

DECLARED = (
    *("INTEGER", "INT", "UNSIGNED BIG INT", "BOOLEAN", "FLOATING POINT"),
    *("TEXT", "VARCHAR(20)", "NATIVE CHARACTER(70)", "CLOB"),
    *("REAL", "DOUBLE PRECISION", "FLOAT"),
    *("BLOB", ""),
    *(
        "NUMERIC",
        "DECIMAL(10,2)",
        "STRING",
        "ANY",
        "UUID",
        "JSON",
        "DATE",
        "DATETIME",
        "TIMESTAMP WITH TIME ZONE",
        "TIME",
    ),
    "Odd (1, 2)",
)
"""Declared types, of every affinity (https://www.sqlite.org/datatype3.html, section 3.1.1, and common habits)."""

INTEGERS = (
    0,
    1,
    -1,
    127,
    128,
    1 << 31,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    (1 << 63) - 1,
    -(1 << 63),
    -(1 << 53) - 1,
)
REALS = (
    *("0.0", "-0.0", "0.1", "1.5", "10.0", "1e15", "9007199254740993.0", "1e17", "9.3e18", "-9223372036854775808.0"),
    *("9e999", "-9e999", "9e999 - 9e999", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308"),
)
LOOK_LIKE = (
    *(
        "0",
        "-0",
        "10",
        "10.0",
        "10.50",
        "1e3",
        " 7 ",
        "0x10",
        "+5",
        "007",
        "9223372036854775808",
        "1e400",
        "NaN",
        "inf",
    ),
    *("true", "2025-01-01", "2025-01-01 10:00:00.123456", "12:30", "x'00'", "NULL", "1_000", ".5", "5."),
)
"""Text that a column may take for something else."""
BYTES = (b"", b"\x00", b"text", b"12", b"\xff\xfe", bytes(range(256)))
INVALID = (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x00", b"a\x00b", b"\xff\x00'")
"""Text that is no UTF-8, or has a NUL in it: SQLite stores both."""


def as_text(raw: bytes) -> str:
    return f"CAST(x'{raw.hex()}' AS TEXT)"


AWKWARD = (
    "NULL",
    *map(str, INTEGERS),
    *REALS,
    *(as_text(text.encode()) for text in (*TEXTS, *LOOK_LIKE)),
    *(f"x'{raw.hex()}'" for raw in BYTES),
    *map(as_text, INVALID),
)
"""Values as SQL, storage class included."""


def anything(random: Random) -> str:
    """A value as SQL: of any class, whatever the column says."""
    match random.randrange(10):
        case 0:
            return "NULL"
        case 1 | 2:
            value = random.choice(AWKWARD)
            return value if len(value) < 1000 else "NULL"
        case 3 | 4:
            return str(random.getrandbits(random.randint(1, 63)) * random.choice((1, -1)))
        case 5 | 6:
            real: float = struct.unpack("<d", random.randbytes(8))[0]
            return repr(real) if abs(real) < float("inf") else "9e999"
        case 7:
            return as_text(any_text(random).encode())
        case 8:
            return as_text(random.choice((random.randbytes(5), str(random.uniform(-99, 99)).encode())))
        case _:
            return f"x'{random.randbytes(random.randrange(9)).hex()}'"


@contextmanager
def database(house: House) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(house.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.text_factory = bytes
        yield connection


def columns() -> dict[str, str]:
    """Names and declared types."""
    return {f'c{number} it\'s "{declared}"': declared for number, declared in enumerate(DECLARED)}


def fill(house: House, rows: int, declared: dict[str, str], options: str = "") -> None:
    """Make the table `torture`: every awkward value in every column, then any."""
    made = ", ".join(f"{identifier(name)} {kind}" for name, kind in declared.items())
    names = ", ".join(map(identifier, ("id", "created_at", *declared)))
    random = Random(SEED)
    with database(house) as connection:
        connection.execute(f"CREATE TABLE torture (id INTEGER PRIMARY KEY, created_at TEXT, {made}){options}")
        for number in range(rows):
            # Shifted by column, so that every value meets every other.
            drawn = [
                AWKWARD[(number + shift) % len(AWKWARD)] if number < len(AWKWARD) else anything(random)
                for shift in range(len(declared))
            ]
            when = moment(number, rows).removesuffix("+00")
            connection.execute(f"INSERT INTO torture ({names}) VALUES ({number}, '{when}', {', '.join(drawn)})")
    house.policies('[[retention]]\ntable = "torture"\ntimestamp = "created_at"\nkeep_days = 30')


def contents(house: House, table: str) -> dict[int, tuple[Any, ...]]:
    """Storage class and bits of every value, by the row's key."""
    with database(house) as connection:
        cursor = connection.execute(f"SELECT * FROM {table} LIMIT 0")
        names = [name for (name, *_) in cursor.description]
        shown = ", ".join(f"typeof({identifier(name)}), {identifier(name)}" for name in names)
        rows = connection.execute(f"SELECT id, {shown} FROM {table}")
        return {row[0]: tuple((kind, bits(v)) for kind, v in zip(row[1::2], row[2::2], strict=True)) for row in rows}


def bits(value: object) -> object:
    """A value that is equal only where all bits are: -0.0 is not 0.0."""
    return struct.pack("<d", value) if isinstance(value, float) else value


def quoted(house: House, table: str) -> list[tuple[Any, ...]]:
    """What SQLite itself says of every value."""
    names = house.sql(f"SELECT name FROM pragma_table_info('{table}')")
    shown = " || ".join(f"hex(quote({identifier(name)})) || typeof({identifier(name)})" for (name,) in names)
    return house.sql(f"SELECT id, {shown} FROM {table} ORDER BY id")


def declared_types(house: House, table: str) -> list[tuple[Any, ...]]:
    return house.sql(f"SELECT name, type FROM pragma_table_info('{table}') ORDER BY cid")


def restore(house: House, **event: Any) -> dict[str, Any]:
    return run_job("restore", house.env, {"scheduled_time": AS_OF, "table": "torture", **event})


def assert_equal(
    before: dict[int, tuple[Any, ...]], after: dict[int, tuple[Any, ...]], declared: list[tuple[Any, ...]]
) -> None:
    """The same rows; where not, the shortest value of each column that differs."""
    assert after.keys() == before.keys()
    differing = [
        (column, was, came)
        for key in before
        for column, was, came in zip(declared, before[key], after[key], strict=True)
        if was != came
    ]
    shortest = {column: (was, came) for column, was, came in sorted(differing, key=lambda d: -len(str(d[1])))}
    assert shortest == {}


@pytest.mark.fast_cases("True")
@pytest.mark.parametrize("into_original", [False, True])
def test_every_value_in_every_column_comes_back(sqlite_house: House, into_original: bool) -> None:
    house = sqlite_house
    house.env["CLEANUP_CHUNK_MB"] = "1"
    rows = 2_000 if into_original else ROWS
    fill(house, rows, columns())
    before, said, declared = contents(house, "torture"), quoted(house, "torture"), declared_types(house, "torture")
    target = "torture" if into_original else "torture_restored"

    archived = house.run_table()

    assert archived["archived_rows"] == rows
    assert archived["objects"] >= 5
    assert house.value("SELECT count(*) FROM torture") == 0
    assert restore(house, into_original=into_original)["restored_rows"] == rows
    assert declared_types(house, target) == declared
    assert_equal(before, contents(house, target), declared)
    assert quoted(house, target) == said
    assert restore(house, into_original=into_original)["restored_rows"] == 0
    assert len(contents(house, target)) == rows


@pytest.mark.parametrize("target", ["torture_restored", "torture"])
@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="this SQLite has no STRICT tables")
def test_a_strict_table_comes_back(sqlite_house: House, target: str) -> None:
    """In a STRICT table a column of type ANY leaves text that looks like a number alone; elsewhere it would not."""
    house = sqlite_house
    fill(house, 400, {"any": "ANY", "other": "any"}, " STRICT")
    before, declared = contents(house, "torture"), declared_types(house, "torture")

    assert house.run_table()["archived_rows"] == 400

    assert restore(house, into_original=target == "torture")["restored_rows"] == 400
    assert_equal(before, contents(house, target), declared)


@pytest.mark.fast_cases("torture_restored")
@pytest.mark.parametrize("target", ["torture_restored", "torture"])
def test_generated_columns_come_back(sqlite_house: House, target: str) -> None:
    """As values in a table of their own; computed again in the original."""
    house = sqlite_house
    with database(house) as connection:
        connection.execute(
            "CREATE TABLE torture (id INTEGER PRIMARY KEY, created_at TEXT, a, shown TEXT AS (quote(a)),"
            " kept AS (a || '!') STORED)"
        )
        for number, value in enumerate(AWKWARD):
            connection.execute(f"INSERT INTO torture VALUES ({number}, '2025-01-01', {value})")
    house.policies('[[retention]]\ntable = "torture"\ntimestamp = "created_at"\nkeep_days = 30')
    before, declared = contents(house, "torture"), [("id",), ("created_at",), ("a",), ("shown",), ("kept",)]

    assert house.run_table()["archived_rows"] == len(AWKWARD)

    assert restore(house, into_original=target == "torture")["restored_rows"] == len(AWKWARD)
    assert_equal(before, contents(house, target), declared)
