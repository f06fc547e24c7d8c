"""Maps a timestamp column of any type to integers (epoch units) and back, in the policy's time zone.

The integers are points on an axis. For every column type, a chunk or a day is an interval on the axis, and a cutoff is
a point. A `TimestampColumn` defines the SQL for a point, and how a point maps to the calendar of the policy's zone:

| kind          | one unit      | zero                        | column                                   |
|---------------|---------------|-----------------------------|------------------------------------------|
| `timestamptz` | microsecond   | 1970-01-01 UTC              | `timestamp with time zone`               |
| `timestamp`   | microsecond   | 1970-01-01 on the wall      | `timestamp`: wall clock of the zone      |
| `date`        | day           | 1970-01-01                  | `date`                                   |
| `epoch_s`     | second        | 1970-01-01 UTC              | any number; SQLite: digits in text, too  |
| `epoch_ms`    | millisecond   | 1970-01-01 UTC              | the same; so are `epoch_us`, `epoch_ns`  |
| `text`        | microsecond   | 1970-01-01 on the wall      | SQLite's `YYYY-MM-DD HH:MM:SS` text      |

A fractional number is rounded down to its unit. A number is a time only if it lies between the years 2000 and 2100.
Other numbers are marks, such as `0` and `-1`, or have another unit: seconds read as milliseconds lie in 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from nightshift.database.catalog import quote_identifier, quote_literal

Kind = Literal["timestamptz", "timestamp", "date", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns", "text"]
Unit = Literal["s", "ms", "us", "ns"]
"""Unit of a number that is a time; the values of `epoch` in a policy."""

UNITS: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Number of units per second."""

_EPOCH_KINDS: dict[Unit, Kind] = {"s": "epoch_s", "ms": "epoch_ms", "us": "epoch_us", "ns": "epoch_ns"}
_FINITE_TYPES = ("timestamptz", "timestamp", "date")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_A_SECOND = {"timestamptz": 10**6, "timestamp": 10**6, "text": 10**6}
_UNITS_A_SECOND |= {kind: UNITS[unit] for unit, kind in _EPOCH_KINDS.items()}
_FLOATS = {"float4": "real", "float8": "double precision"}
_FIRST_US = -62_135_596_800_000_000
"""Beginning of year 1, in microseconds. Python's datetime begins here; PostgreSQL's timestamps begin in 4713 BC."""


@dataclass(frozen=True, slots=True)
class TimestampColumn:
    """The timestamp column of a table.

    Attributes:
        zone: the policy's time zone.
        type: the column's base type, see `catalog.TableColumn`; used only if the times are numbers.
    """

    column: str
    kind: Kind
    zone: ZoneInfo
    type: str = ""

    @property
    def epoch_unit(self) -> Unit | None:
        """Returns the unit of the numbers in the column; None if the column holds no numbers."""
        return next((unit for unit, kind in _EPOCH_KINDS.items() if kind == self.kind), None)

    @property
    def epoch_sql(self) -> str:
        """Returns SQL for the column's value; the SQL yields NULL for text that is no number in a column of numbers."""
        name = quote_identifier(self.column)
        if self.epoch_unit is None or self.type not in ("text", "blob"):
            return name
        # SQLite compares numbers in text as text, and any text as larger than every number.
        digits = f"{name} GLOB '[0-9]*' AND {name} NOT GLOB '*[^0-9.]*' AND {name} NOT GLOB '*.*.*'"
        return (
            f"(CASE typeof({name}) WHEN 'integer' THEN {name} WHEN 'real' THEN {name}"
            f" WHEN 'text' THEN CASE WHEN {digits} THEN CAST({name} AS NUMERIC) END END)"
        )

    def before_condition(self, point: int) -> str:
        """Returns the SQL condition for times before a point. The condition is false for marks, which are no times: an
        infinity, or a number before the year 2000."""
        condition = f"{self.epoch_sql} < {self.literal_sql(point)}"
        if self.kind in _FINITE_TYPES:
            return f"{condition} AND {self.epoch_sql} > '-infinity'"
        if self.epoch_unit is not None:
            return f"{condition} AND {self.epoch_sql} >= {self.literal_sql(years_of(self.epoch_unit)[0])}"
        return condition

    def to_epoch(self, moment: datetime) -> int:
        """Returns the point of an aware time; for `date`, the current day in the zone."""
        if self.kind == "date":
            return (moment.astimezone(self.zone).date() - _EPOCH.date()).days
        if self.kind in ("timestamp", "text"):
            moment = moment.astimezone(self.zone).replace(tzinfo=UTC)
        return _microseconds(moment) * _UNITS_A_SECOND[self.kind] // 1_000_000

    def to_wall_clock(self, time: datetime) -> int:
        """Returns the point of a naive wall-clock time; for `timestamp` and `text`."""
        return _microseconds(time.replace(tzinfo=UTC))

    def to_datetime(self, point: int) -> datetime | None:
        """Returns the aware time of a point, in the zone; None before year 1 or after year 9999."""
        try:
            if self.kind == "date":
                day = _EPOCH.date() + timedelta(days=point)
                return datetime(day.year, day.month, day.day, tzinfo=self.zone)
            moment = _EPOCH + timedelta(microseconds=point * 1_000_000 // _UNITS_A_SECOND[self.kind])
            if self.kind in ("timestamp", "text"):
                return moment.replace(tzinfo=self.zone)
            return moment.astimezone(self.zone)
        except OverflowError:
            return None

    def to_day(self, point: int) -> date:
        """Returns the calendar day of a point, in the zone; points before year 1 count as 0001-01-01.

        If clocks go back over midnight (in St. John's until 2011), the repeated minutes belong to the day that has
        begun. Therefore each day is one interval on the axis.
        """
        moment = self.to_datetime(point)
        if moment is None:
            return date.min if point < 0 else date.max
        day = moment.date()
        while day < date.max and self.day_start(day + timedelta(days=1)) <= point:
            day += timedelta(days=1)
        return day

    def day_start(self, day: date) -> int:
        """Returns the point at which a day begins in the zone."""
        return self.to_epoch(datetime(day.year, day.month, day.day, tzinfo=self.zone))

    def next_day(self, point: int) -> int | None:
        """Returns the point at which the day after the day of `point` begins; None at the end of the calendar."""
        day = self.to_day(point)
        try:
            return self.day_start(day + timedelta(days=1))
        except OverflowError:
            return None

    def literal_sql(self, point: int) -> str:
        """Returns the point as SQL of the column's type, so that PostgreSQL can use an index on the column."""
        if self.epoch_unit is not None:
            # The literal is rounded as the column would round it, so the float of a later time is never less.
            return f"'{point}'::{_FLOATS[self.type]}" if self.type in _FLOATS else str(point)
        if self.kind == "date":
            return f"(date '1970-01-01' + {point})"
        if self.kind == "text":
            wall = self._wall(point).isoformat(sep=" ")
            # Midnight is written as a date alone, so that the text "2025-09-15" is not less than the midnight.
            return quote_literal(wall.removesuffix(" 00:00:00"))
        # Interval arithmetic works outside Python's calendar; for ordinary dates, a plain literal reads better in logs.
        if point < _FIRST_US:
            return f"({self.kind} '1970-01-01 00:00:00' + interval '{point} microseconds')"
        wall = self._wall(point).isoformat(sep=" ")
        return f"{self.kind} '{wall}+00'" if self.kind == "timestamptz" else f"timestamp '{wall}'"

    def point_sql(self, expression: str) -> str:
        """Returns PostgreSQL's SQL that converts a value of the column to its point."""
        if self.epoch_unit is not None:
            return f"{'floor' if self.type in (*_FLOATS, 'numeric') else ''}(({expression}))::bigint"
        if self.kind == "date":
            return f"(({expression}) - date '1970-01-01')::bigint"
        return f"(extract(epoch FROM ({expression})) * 1000000)::bigint"

    def _wall(self, point: int) -> datetime:
        return (_EPOCH + timedelta(microseconds=point)).replace(tzinfo=None)


def years_of(unit: Unit) -> tuple[int, int]:
    """Returns begin and exclusive end of the years 2000 to 2099 in a unit; the ranges of two units do not overlap."""
    begin, end = (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH for year in (2000, 2100))
    return begin // timedelta(seconds=1) * UNITS[unit], end // timedelta(seconds=1) * UNITS[unit]


def epoch_kind(unit: str) -> Kind:
    """Returns the kind of a column whose numbers have a unit."""
    return next(kind for known, kind in _EPOCH_KINDS.items() if known == unit)


def parse_text(value: str) -> int | None:
    """Returns the point of a timestamp text in SQLite; None if the text is no timestamp without a zone."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo else _microseconds(moment.replace(tzinfo=UTC))


def _microseconds(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
