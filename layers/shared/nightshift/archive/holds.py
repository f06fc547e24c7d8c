"""Finds holds: periods in which no job may delete restored rows.

A restore into the original table may set a hold. Until the hold ends, no run deletes rows of the restored objects'
days, by the timestamp column with which the rows were archived. Other rows of the same days are held as well; they are
only deleted later. Some rows were archived without a time, because they depended on expired rows. They cannot be
distinguished from other rows, so all rows of their table are held.
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
"""An interval of points on the axis: its start (None: no limit), and its end, which is excluded."""

_EPOCHS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind.startswith("epoch"))
_KINDS: dict[str, tuple[Kind, ...]] = {
    "timestamptz": ("timestamptz",),
    "timestamp": ("timestamp",),
    "date": ("date",),
    "text": ("text",),
    # The records do not contain the unit. The same day has very different numbers in different units.
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric", "integer", "real"), _EPOCHS),
}
"""Kinds of axis from which a column's days can be read, by its base type."""


@dataclass(frozen=True, slots=True)
class Holds:
    """Holds on one table: rows that a run must not delete.

    Attributes:
        condition: SQL condition that is true for held rows; empty: no row is held.
        until: end of the last hold, aware; None: no hold.
        whole: all rows of the table are held.
        lost: timestamp columns of the holds that the table no longer has, or whose type has no days. The held rows
            cannot be identified.
    """

    condition: str = ""
    until: datetime | None = None
    whole: bool = False
    lost: tuple[str, ...] = ()

    @property
    def not_held_condition(self) -> str:
        """Returns SQL that extends a condition with `AND …`, so that the condition excludes held rows."""
        return f" AND ({self.condition}) IS NOT TRUE" if self.condition else ""


NOTHING_HELD = Holds()


@dataclass(frozen=True, slots=True)
class HoldWatch:
    """Detects in a deleting transaction whether the holds on some tables have changed since the run read them.

    One commit inserts a restored row and its hold. If a statement has deleted the row, a later statement sees the hold.

    Attributes:
        statement: SQL that yields a number, which changes when the holds change; empty: no table of holds exists.
        seen: the number when the run read the holds.
    """

    statement: str
    seen: int

    def check_unchanged(self, number: Callable[[str], int]) -> None:
        """Check that the holds have not changed.

        Args:
            number: runs a statement and returns its integer.

        Raises:
            TableChanged: the holds have changed. The caller must roll back.
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
    """Returns the holds on a table, its partitions and its parent, even if the tables were renamed since.

    Args:
        zone: time zone in which days begin.
        now: time at which a hold must be active, aware. None: all restored rows count, with or without a hold.
        own: the policy's axis.
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
    """Returns a `HoldWatch` with the present holds on the tables."""
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
    """Returns the possible axes of a column; none if the table has no such column, or its type has no days."""
    if own is not None and own.column == column:
        return [own]
    held = next((c for c in info.columns if c.name == column), None)
    if held is None:
        return []
    kinds = _KINDS.get(held.base_type, ())
    if not info.name.schema:
        # In SQLite a column of any type may hold numbers.
        kinds = tuple(dict.fromkeys((*kinds, *_EPOCHS)))
    return [TimestampColumn(column, kind, zone, held.base_type) for kind in kinds]


def _within(axis: TimestampColumn, span: Span) -> str:
    lo, hi = span
    since = "" if lo is None else f" AND {axis.epoch_sql} >= {axis.literal_sql(lo)}"
    return f"({axis.epoch_sql} < {axis.literal_sql(hi)}{since})"


def _days(axis: TimestampColumn, first: str | None, last: str | None) -> Span:
    """Returns the interval of whole days, in the policy's time zone, from one ISO timestamp to another."""
    # A missing `last` lies before year 1, because no row past the cutoff is ever archived.
    end = axis.next_day(_point(axis, last) if last else axis.to_epoch(datetime.min.replace(tzinfo=axis.zone)))
    assert end is not None  # the calendar ends after every cutoff
    return axis.day_start(axis.to_day(_point(axis, first))) if first else None, end


def _point(axis: TimestampColumn, written: str) -> int:
    """Returns the point on the axis of a timestamp in the ledger.

    For a column without a time zone, the offset in the ledger is ignored: the column's values are local times.
    """
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
