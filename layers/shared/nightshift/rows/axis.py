"""A table's timestamp column as a line of integers.

Whatever the column's type, chunks are intervals on a line, days are intervals on it, and a cutoff is a point. An `Axis`
says how that line is written in SQL and how it lies against the calendar of the policy's time zone:

| kind          | one unit      | zero                        | column                                   |
|---------------|---------------|-----------------------------|------------------------------------------|
| `timestamptz` | microsecond   | 1970-01-01 UTC              | `timestamp with time zone`               |
| `timestamp`   | microsecond   | 1970-01-01 on the wall      | `timestamp`: wall clock of the zone      |
| `date`        | day           | 1970-01-01                  | `date`                                   |
| `epoch_s/_ms` | s or ms       | 1970-01-01 UTC              | any integer                              |
| `text`        | microsecond   | 1970-01-01 on the wall      | SQLite's `YYYY-MM-DD HH:MM:SS` text      |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from nightshift.database.catalog import quote_identifier, quote_literal

Kind = Literal["timestamptz", "timestamp", "date", "epoch_s", "epoch_ms", "text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_A_SECOND = {"timestamptz": 1_000_000, "timestamp": 1_000_000, "text": 1_000_000, "epoch_s": 1, "epoch_ms": 1000}
_FIRST_US = -62_135_596_800_000_000
"""Year 1 begins; Python's datetime ends there, PostgreSQL's goes on to 4713 BC."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One table's timestamp column.

    Attributes:
        column: its exact name.
        zone: the policy's time zone.
    """

    column: str
    kind: Kind
    zone: ZoneInfo

    @property
    def sql(self) -> str:
        return quote_identifier(self.column)

    def at(self, moment: datetime) -> int:
        """The point of an aware moment; for `date`, the day that has begun in the zone."""
        if self.kind == "date":
            return (moment.astimezone(self.zone).date() - _EPOCH.date()).days
        if self.kind in ("timestamp", "text"):
            moment = moment.astimezone(self.zone).replace(tzinfo=UTC)
        return _microseconds(moment) * _UNITS_A_SECOND[self.kind] // 1_000_000

    def wall(self, time: datetime) -> int:
        """The point of a time on the wall, naive; for `timestamp` and `text`."""
        return _microseconds(time.replace(tzinfo=UTC))

    def moment(self, point: int) -> datetime | None:
        """The aware moment of a point, in the zone; None before year 1 or after year 9999."""
        try:
            if self.kind == "date":
                day = _EPOCH.date() + timedelta(days=point)
                return datetime(day.year, day.month, day.day, tzinfo=self.zone)
            moment = _EPOCH + timedelta(microseconds=point * (1_000_000 // _UNITS_A_SECOND[self.kind]))
            if self.kind in ("timestamp", "text"):
                return moment.replace(tzinfo=self.zone)
            return moment.astimezone(self.zone)
        except OverflowError:
            return None

    def day(self, point: int) -> date:
        """The calendar day of a point, in the zone; points before year 1 count as 0001-01-01.

        A day is never reopened: where clocks go back over midnight (St. John's did until 2011), the minutes that come
        again belong to the day that had begun. So days follow each other on the line, and each is one interval.
        """
        moment = self.moment(point)
        if moment is None:
            return date.min if point < 0 else date.max
        day = moment.date()
        while day < date.max and self.day_start(day + timedelta(days=1)) <= point:
            day += timedelta(days=1)
        return day

    def day_start(self, day: date) -> int:
        """The point at which a day begins in the zone."""
        return self.at(datetime(day.year, day.month, day.day, tzinfo=self.zone))

    def next_day(self, point: int) -> int | None:
        """The point at which the day after `point`'s begins; None where the calendar ends."""
        day = self.day(point)
        try:
            return self.day_start(day + timedelta(days=1))
        except OverflowError:
            return None

    def literal(self, point: int) -> str:
        """The point as SQL, of the column's own type so that its index serves."""
        if self.kind in ("epoch_s", "epoch_ms"):
            return str(point)
        if self.kind == "date":
            return f"(date '1970-01-01' + {point})"
        if self.kind == "text":
            wall = self._wall(point).isoformat(sep=" ")
            # A midnight is written as its date alone: text compares so that "2025-09-15" stays on the later side of it.
            return quote_literal(wall.removesuffix(" 00:00:00"))
        # Interval arithmetic reaches beyond Python's calendar; for ordinary dates a plain literal reads better in logs.
        if point < _FIRST_US:
            return f"({self.kind} '1970-01-01 00:00:00' + interval '{point} microseconds')"
        wall = self._wall(point).isoformat(sep=" ")
        return f"{self.kind} '{wall}+00'" if self.kind == "timestamptz" else f"timestamp '{wall}'"

    def point_sql(self, expression: str) -> str:
        """SQL (PostgreSQL) that turns a value of the column into its point."""
        if self.kind in ("epoch_s", "epoch_ms"):
            return f"({expression})::bigint"
        if self.kind == "date":
            return f"(({expression}) - date '1970-01-01')::bigint"
        return f"(extract(epoch FROM ({expression})) * 1000000)::bigint"

    def _wall(self, point: int) -> datetime:
        return (_EPOCH + timedelta(microseconds=point)).replace(tzinfo=None)


def parse_text(value: str) -> int | None:
    """The point of SQLite's timestamp text; None where it is no timestamp without a zone."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo else _microseconds(moment.replace(tzinfo=UTC))


def _microseconds(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
