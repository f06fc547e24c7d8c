"""Small tables of the tests' own, archived whole."""

from __future__ import annotations

from typing import Any

from tests.support.handler import run_job
from tests.support.house import House

POLICY = '[[retention]]\ntable = "{table}"\ntimestamp = "at"\nkeep_days = 30\n'


def archive(house: House, table: str, *statements: str) -> None:
    """Make a table by some statements, and archive what is due of it."""
    for statement in statements:
        house.sql(statement)
    house.policies(POLICY.format(table=table))
    assert house.run()["complete"]


def restore(house: House, table: str, **event: Any) -> dict[str, Any]:
    """Call the handler."""
    return run_job("restore", house.env, {"table": table, **event})


def states(house: House) -> list[tuple[str, int]]:
    """State and rows of each object, oldest first."""
    return [(entry["state"], entry["row_count"]) for entry in house.ledger()]
