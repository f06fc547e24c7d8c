"""Builds the SQL conditions for expired rows.

A row has expired if its `expires_at` lies before a point on the axis. In the hours around a change of the clocks, an
interval before this point has not expired.

A column without a time zone holds wall-clock times. When clocks go back, an hour occurs twice; when clocks go forward,
an hour is skipped, and `created_at + 24 hours` may produce a time in the skipped hour. An ambiguous or skipped time
means the later of its two possible moments, as in PostgreSQL's `AT TIME ZONE`, so no row is deleted too early.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from nightshift.archive.holds import NOTHING_HELD, Holds
from nightshift.database.catalog import TableName
from nightshift.rows.timestamp_column import TimestampColumn, parse_text

_SECOND = timedelta(seconds=1)
_AROUND = timedelta(hours=26)
"""Range that is searched for a change of the clocks. No zone has changed by more than a day (Samoa, Kwajalein)."""


@dataclass(frozen=True, slots=True)
class DueCondition:
    """SQL conditions of one run for rows of the expiring table.

    Attributes:
        held: holds on restored rows of the expiring table.
        restored: holds on all restored rows of the table, including holds that have ended.
        beneath: function that returns, for a row's alias, SQL conditions that are true if held rows depend on the row.
        notes: warnings of the guards.
    """

    axis: TimestampColumn
    as_of: datetime
    held: Holds = NOTHING_HELD
    notes: tuple[str, ...] = ()
    beneath: Callable[[str], Sequence[str]] = lambda _row: ()
    restored: Holds = NOTHING_HELD

    @property
    def due_sql(self) -> str:
        """Returns the SQL condition for rows `c` that have expired and may be deleted."""
        return self.sql_on("c")

    def sql_on(self, row: str) -> str:
        """Returns the SQL condition for rows with the alias `row` that have expired and may be deleted."""
        beneath = "".join(f" AND NOT {carrying}" for carrying in self.beneath(row))
        return self.is_expired + self.held.not_held_condition + beneath

    @property
    def is_expired(self) -> str:
        """Returns the SQL condition for expired rows; null and marks (see `before_condition`) never expire."""
        axis = self.axis
        condition = axis.before_condition(axis.to_epoch(self.as_of))
        if axis.kind in ("timestamp", "text") and (window := ambiguous_wall_clock_window(axis.zone, self.as_of)):
            lo, hi = (axis.literal_sql(axis.to_wall_clock(time)) for time in window)
            condition += f" AND NOT ({axis.epoch_sql} >= {lo} AND {axis.epoch_sql} < {hi})"
        return condition


def count_due(connection: Connection, due: DueCondition, table: TableName) -> int:
    """Returns the number of rows that have expired and may be deleted."""
    return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table.sql} c WHERE {due.due_sql}").scalar_one())


def count_held(connection: Connection, due: DueCondition, table: TableName) -> int:
    """Returns the number of expired rows that may not be deleted, because they or their dependent rows are held."""
    if due.due_sql == due.is_expired:
        return 0
    held = f"SELECT count(*) FROM {table.sql} c WHERE {due.is_expired} AND ({due.due_sql}) IS NOT TRUE"
    return int(connection.exec_driver_sql(held).scalar_one())


def oldest_due(connection: Connection, due: DueCondition, table: TableName) -> datetime | None:
    """Returns the time at which the oldest due row expired, aware, in the policy's zone; None if no row is due."""
    axis, oldest = due.axis, f"SELECT min({due.axis.epoch_sql}) FROM {table.sql} c WHERE {due.due_sql}"
    if connection.dialect.name == "postgresql":
        oldest = f"SELECT {axis.point_sql(oldest)}"
    point = connection.exec_driver_sql(oldest).scalar()
    point = parse_text(point) if isinstance(point, str) else point
    if point is None:
        return None
    return axis.to_datetime(int(point)) or datetime.min.replace(tzinfo=axis.zone)


def ambiguous_wall_clock_window(zone: ZoneInfo, as_of: datetime) -> tuple[datetime, datetime] | None:
    """Returns the interval of wall-clock times before that of `as_of` that mean moments at or after `as_of`.

    If the clocks change at `T`, the times from `T + min` to `T + max` of the two offsets occur twice or not at all. The
    later moment that such a time can mean is the time minus `min`.

    Returns:
        the interval's begin and its exclusive end, naive; None except in the hours around a change of the clocks.
    """
    now = as_of.astimezone(UTC)
    for begin, end in ((now - _AROUND, now), (now, now + _AROUND)):
        offsets = sorted((_offset(zone, begin), _offset(zone, end)))
        if offsets[0] == offsets[1]:
            continue
        change = _change(zone, begin, end)
        lo = (max(change, now) + offsets[0]).replace(tzinfo=None)
        hi = min((change + offsets[1]).replace(tzinfo=None), now.astimezone(zone).replace(tzinfo=None))
        if lo < hi:
            return lo, hi
    return None


def _change(zone: ZoneInfo, begin: datetime, end: datetime) -> datetime:
    """Returns the time, to the second, at which the zone's offset changes between `begin` and `end`."""
    before = _offset(zone, begin)
    while end - begin > _SECOND:
        middle = begin + (end - begin) // 2
        begin, end = (middle, end) if _offset(zone, middle) == before else (begin, middle)
    return end.replace(microsecond=0)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
