"""Rows that were restored into their table and must not be archived again yet.

A restore into the original table may set a hold. Until it is over, no cleanup takes rows of the days that the restored
objects stand for; rows of these days that were never away wait as well, which costs nothing but time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, inspect, select

from nightshift.database.tables import archive_object, restored_object
from nightshift.rows.axis import Axis

Span = tuple[int | None, int]
"""From (None: from the beginning), to and without, as points on the axis."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What a run must leave alone in one table.

    Attributes:
        spans: in order, apart from each other.
        until: when the last of them is over, aware; None where there is none.
    """

    spans: tuple[Span, ...] = ()
    until: datetime | None = None


NOTHING_HELD = Holds()


def active_holds(connection: Connection, table: str, axis: Axis, as_of: datetime) -> Holds:
    """The holds on a table at a run's time.

    Args:
        table: the ledger's label.
    """
    if not inspect(connection).has_table(restored_object.name):
        return NOTHING_HELD
    held = (
        select(archive_object.c.min_timestamp, archive_object.c.max_timestamp, restored_object.c.hold_until)
        .join(restored_object, restored_object.c.object_key == archive_object.c.object_key)
        .where(restored_object.c.target_table == table, restored_object.c.into_original)
        .where(restored_object.c.hold_until > as_of.astimezone(UTC))
    )
    found = list(connection.execute(held))
    if not found:
        return NOTHING_HELD
    until = max(row.hold_until if row.hold_until.tzinfo else row.hold_until.replace(tzinfo=UTC) for row in found)
    return Holds(_merged([_days(axis, row.min_timestamp, row.max_timestamp) for row in found]), until)


def _days(axis: Axis, first: str | None, last: str | None) -> Span:
    """The whole days, in the policy's zone, from one ISO timestamp to another."""
    # An end that no calendar knows lies before year 1: nothing past the cutoff is ever archived.
    end = axis.next_day(axis.at(datetime.fromisoformat(last) if last else datetime.min.replace(tzinfo=axis.zone)))
    assert end is not None  # the calendar ends after every cutoff
    return axis.day_start(axis.day(axis.at(datetime.fromisoformat(first)))) if first else None, end


def _merged(found: Iterable[Span]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for start, end in sorted(found, key=lambda span: (span[0] is not None, span[0] or 0)):
        if spans and (start is None or start <= spans[-1][1]):
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return tuple(spans)
