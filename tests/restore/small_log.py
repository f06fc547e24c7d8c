"""A small table that is archived as a whole, for tests of what becomes of its rows elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.handler import run_job
from tests.support.house import AS_OF, House

ROWS = 12
MADE = (
    "CREATE TYPE mood AS ENUM ('fine', 'so so');"
    "CREATE TABLE log"
    " (id int PRIMARY KEY, name varchar(10), price numeric(10,2), feeling mood, at timestamptz NOT NULL);"
    "INSERT INTO log SELECT i, 'name ' || i, i + 0.25, CASE WHEN i % 2 = 0 THEN 'fine'::mood END,"
    f" timestamptz '2025-08-01 12:00+09' + i * interval '1 day' FROM generate_series(1, {ROWS}) i"
)


@pytest.fixture
def log(house: House) -> House:
    """A small table, archived as a whole; `kept` is a copy."""
    house.sql(MADE)
    house.sql("CREATE TABLE kept AS TABLE log")
    house.policies('[[retention]]\ntable = "log"\ntimestamp = "at"\nkeep_days = 30')
    assert house.run_table()["archived_rows"] == ROWS
    return house


def restore(house: House, **event: Any) -> dict[str, Any]:
    return run_job("restore", house.env, {"scheduled_time": AS_OF, "table": "log", **event})


def came(
    house: House, columns: str = "id, name, price, feeling, at", table: str = "log", kept: str | None = None
) -> None:
    """Every archived row is in the table, once, as text for text."""
    assert house.texts(f"(SELECT {columns} FROM {table})", "t::text") == house.texts(
        f"(SELECT {kept or columns} FROM kept)", "t::text"
    )
