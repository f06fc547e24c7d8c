"""Computes the period of the day's logs: the calendar day before the run's day, in the deployment's time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class LogWindow:
    """A period that includes `start` and excludes `end`. Both are aware datetimes in whole seconds."""

    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        """Returns `start` in milliseconds since 1970."""
        return int(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """Returns `end` in milliseconds since 1970."""
        return int(self.end.timestamp()) * 1000


def day_before(as_of: datetime, timezone: str) -> LogWindow:
    """Returns the calendar day before the day of `as_of` (aware) in an IANA time zone: 23, 24 or 25 hours."""
    zone = ZoneInfo(timezone)
    today = as_of.astimezone(zone).date()
    yesterday = today - timedelta(days=1)
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone) for day in (yesterday, today))
    return LogWindow(start.astimezone(UTC), end.astimezone(UTC))
