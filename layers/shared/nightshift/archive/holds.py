"""Rows that were restored into their table and must not be archived again yet.

A restore into the original table may set a hold. Until it is over, no cleanup takes rows of the days that the restored
objects stand for; rows of these days that were never away wait as well, which costs nothing but time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, func, or_, select

from nightshift.database.catalog import TableName
from nightshift.database.identity import family
from nightshift.database.tables import archive_object, is_there, restored_object
from nightshift.rows.axis import Axis

Span = tuple[int | None, int]
"""From (None: from the beginning), to and without, as points on the axis."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What a run must leave alone in one table.

    Attributes:
        spans: in order, apart from each other.
        until: when the last of them is over, aware; None where there is none.
        columns: the timestamp columns that the spans are about.
    """

    spans: tuple[Span, ...] = ()
    until: datetime | None = None
    columns: frozenset[str] = frozenset()

    def sql(self, axis: Axis) -> str:
        """SQL that adds to a condition: and is not held."""
        column, at = axis.sql, axis.literal
        return "".join(
            f" AND NOT ({column} < {at(hi)}{'' if lo is None else f' AND {column} >= {at(lo)}'})"
            for lo, hi in self.spans
        )


NOTHING_HELD = Holds()


def active_holds(connection: Connection, table: TableName, axis: Axis, as_of: datetime) -> Holds:
    """The holds on a table at a run's time, whatever it, its partitions or its parent were called when it began."""
    if not is_there(connection, restored_object):
        return NOTHING_HELD
    kept = restored_object.c
    held = (
        select(
            archive_object.c.min_timestamp,
            archive_object.c.max_timestamp,
            kept.hold_until,
            func.coalesce(kept.timestamp_column, axis.column).label("timestamp_column"),
        )
        .join(restored_object, kept.object_key == archive_object.c.object_key)
        .where(kept.into_original, kept.hold_until > as_of.astimezone(UTC))
        .where(or_(kept.target_table == table.label, kept.target_id.in_(family(connection, table))))
    )
    found = list(connection.execute(held))
    if not found:
        return NOTHING_HELD
    until = max(row.hold_until if row.hold_until.tzinfo else row.hold_until.replace(tzinfo=UTC) for row in found)
    return Holds(
        spans=_merged([_days(axis, row.min_timestamp, row.max_timestamp) for row in found]),
        until=until,
        columns=frozenset(row.timestamp_column for row in found),
    )


def _days(axis: Axis, first: str | None, last: str | None) -> Span:
    """The whole days, in the policy's zone, from one ISO timestamp to another."""
    # An end that no calendar knows lies before year 1: nothing past the cutoff is ever archived.
    end = axis.next_day(_point(axis, last) if last else axis.at(datetime.min.replace(tzinfo=axis.zone)))
    assert end is not None  # the calendar ends after every cutoff
    return axis.day_start(axis.day(_point(axis, first))) if first else None, end


def _point(axis: Axis, written: str) -> int:
    """The point of a timestamp of the ledger. A wall clock's offset is that of the policy's zone as it was then."""
    moment = datetime.fromisoformat(written)
    return axis.at(moment.replace(tzinfo=axis.zone) if axis.kind in ("timestamp", "date", "text") else moment)


def _merged(found: Iterable[Span]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for start, end in sorted(found, key=lambda span: (span[0] is not None, span[0] or 0)):
        if spans and (start is None or start <= spans[-1][1]):
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return tuple(spans)
