"""Finds holds: restored rows that no job may delete yet.

A restore into the original table may set a hold. Until it is over, no run takes rows of the days that the restored
objects have, by the column that they were archived by; rows of these days that were never away wait as well, which
costs nothing but time. Rows that were archived without a time, because they depended on expired ones, cannot be
distinguished from others: all rows of their table wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, or_, select

from nightshift.database.catalog import TableInfo, TableName, quote_literal
from nightshift.database.insertable import partition_family
from nightshift.database.own_tables import own_table, schema_of
from nightshift.database.tables import archive_object, restored_object, table_exists
from nightshift.errors import TableChanged
from nightshift.rows.timestamp_column import Kind, TimestampColumn

Span = tuple[int | None, int]
"""From (None: from the beginning), to and without, as points on the axis."""

_EPOCHS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind.startswith("epoch"))
_KINDS: dict[str, tuple[Kind, ...]] = {
    "timestamptz": ("timestamptz",),
    "timestamp": ("timestamp",),
    "date": ("date",),
    "text": ("text",),
    # Nobody has written down the unit: the same days lie far apart in different ones.
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric", "integer", "real"), _EPOCHS),
}
"""Kinds of axis from which a column's days can be read, by its base type."""


@dataclass(frozen=True, slots=True)
class Holds:
    """Holds on one table: rows that a run must not delete.

    Attributes:
        condition: SQL, true of rows that are held; empty where none are.
        until: when the last of them is over, aware; None where there is none.
        whole: all rows are held.
        lost: columns that the table has no more, or of a type that tells no days: the held rows are unknown.
    """

    condition: str = ""
    until: datetime | None = None
    whole: bool = False
    lost: tuple[str, ...] = ()

    @property
    def not_held_condition(self) -> str:
        """SQL that adds to a condition: and is not held."""
        return f" AND ({self.condition}) IS NOT TRUE" if self.condition else ""


NOTHING_HELD = Holds()


@dataclass(frozen=True, slots=True)
class HoldWatch:
    """The holds on some tables as they were when a run looked, for a look from within a deleting transaction.

    A restored row and its hold come with one commit: whatever statement has deleted the row, a later one sees the hold.

    Attributes:
        statement: SQL for a number that changes with the holds; empty where there is no table of them.
    """

    statement: str
    seen: int

    def check_unchanged(self, number: Callable[[str], int]) -> None:
        """Make sure that the holds are still these.

        Args:
            number: runs a statement and returns its integer.

        Raises:
            TableChanged: others have come; nothing of the transaction may stand.
        """
        if self.statement and number(self.statement) != self.seen:
            raise TableChanged(
                "rows were restored, or their hold was set, while rows of their table were deleted",
                detail="nothing of this transaction was deleted",
                hint="the next run takes what is not held",
            )


UNWATCHED = HoldWatch("", 0)


def active_holds(
    connection: Connection, info: TableInfo, zone: ZoneInfo, now: datetime | None, own: TimestampColumn | None = None
) -> Holds:
    """The holds on a table, whatever it, its partitions or its parent were called when they began.

    Args:
        zone: in which days begin.
        now: aware; None for all that was ever restored into the table, held or not.
        own: the axis of the policy.
    """
    if not table_exists(connection, restored_object):
        return NOTHING_HELD
    first, last, kept = archive_object.c.min_timestamp, archive_object.c.max_timestamp, restored_object.c
    held = (
        select(first, last, kept.hold_until, kept.timestamp_column)
        .join(restored_object, kept.object_key == archive_object.c.object_key)
        .where(kept.into_original, *([] if now is None else [kept.hold_until > now.astimezone(UTC)]))
        .where(or_(kept.target_table == info.name.label, kept.target_id.in_(partition_family(connection, info.name))))
    )
    rows = list(connection.execute(held))
    if not rows:
        return NOTHING_HELD
    ends = (row.hold_until for row in rows if row.hold_until is not None)
    until = max((end if end.tzinfo else end.replace(tzinfo=UTC) for end in ends), default=None)
    spans: dict[TimestampColumn, list[Span]] = {}
    lost, whole = set(), False
    for row in rows:
        column = row.timestamp_column or (own.column if own and (row[0] or row[1]) else None)
        if column is None:
            whole = True
            continue
        axes = _axes(info, column, zone, own)
        for axis in axes:
            spans.setdefault(axis, []).append(_days(axis, row[0], row[1]))
        if not axes:
            lost.add(column)
    conditions = [_within(axis, span) for axis, parts in spans.items() for span in _merged(parts)]
    return Holds("1 = 1" if whole else " OR ".join(conditions), until, whole, () if whole else tuple(sorted(lost)))


def watch_holds(connection: Connection, tables: Sequence[TableName], now: datetime) -> HoldWatch:
    """The holds on tables as they are now."""
    if not table_exists(connection, restored_object):
        return UNWATCHED
    postgresql = connection.dialect.name == "postgresql"
    moment = now.astimezone(UTC)
    since = moment.isoformat() if postgresql else f"{moment:%Y-%m-%d %H:%M:%S.%f}"
    labels = ", ".join(quote_literal(table.label) for table in tables)
    ids = ", ".join(quote_literal(identity) for table in tables for identity in partition_family(connection, table))
    statement = (
        f"SELECT CAST(coalesce(sum(id), 0) AS bigint) FROM {own_table(restored_object, schema_of(connection))}"
        f" WHERE into_original AND hold_until > {quote_literal(since)}"
        f" AND (target_table IN ({labels}) OR target_id IN ({ids}))"
    )
    return HoldWatch(statement, int(connection.exec_driver_sql(statement).scalar_one()))


def _axes(info: TableInfo, column: str, zone: ZoneInfo, own: TimestampColumn | None) -> list[TimestampColumn]:
    """The axes on which a column's values may lie; none where it is gone, or tells no days."""
    if own is not None and own.column == column:
        return [own]
    held = next((c for c in info.columns if c.name == column), None)
    if held is None:
        return []
    kinds = _KINDS.get(held.base_type, ())
    if not info.name.schema:
        # SQLite: numbers lie in columns of every type.
        kinds = tuple(dict.fromkeys((*kinds, *_EPOCHS)))
    return [TimestampColumn(column, kind, zone, held.base_type) for kind in kinds]


def _within(axis: TimestampColumn, span: Span) -> str:
    lo, hi = span
    since = "" if lo is None else f" AND {axis.epoch_sql} >= {axis.literal_sql(lo)}"
    return f"({axis.epoch_sql} < {axis.literal_sql(hi)}{since})"


def _days(axis: TimestampColumn, first: str | None, last: str | None) -> Span:
    """The whole days, in the policy's zone, from one ISO timestamp to another."""
    # An end that no calendar knows lies before year 1: nothing past the cutoff is ever archived.
    end = axis.next_day(_point(axis, last) if last else axis.to_epoch(datetime.min.replace(tzinfo=axis.zone)))
    assert end is not None  # the calendar ends after every cutoff
    return axis.day_start(axis.to_day(_point(axis, first))) if first else None, end


def _point(axis: TimestampColumn, written: str) -> int:
    """The point of a timestamp of the ledger. A wall clock's offset is that of the policy's zone as it was then."""
    moment = datetime.fromisoformat(written)
    return axis.to_epoch(moment.replace(tzinfo=axis.zone) if axis.kind in ("timestamp", "date", "text") else moment)


def _merged(parts: Iterable[Span]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for start, end in sorted(parts, key=lambda span: (span[0] is not None, span[0] or 0)):
        if spans and (start is None or start <= spans[-1][1]):
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return tuple(spans)
