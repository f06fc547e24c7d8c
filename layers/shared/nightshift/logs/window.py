"""Computes the period of the day's logs: the calendar day before the run's own, in the deployment's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class LogWindow:
    """From `start` on, and before `end`; both aware, and whole seconds."""

    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """Milliseconds since 1970; the first that is not in it."""
        return int(self.end.timestamp()) * 1000


def day_before(as_of: datetime, timezone: str) -> LogWindow:
    """The calendar day before that of `as_of` (aware) in an IANA zone, of 23, 24 or 25 hours."""
    zone = ZoneInfo(timezone)
    today = as_of.astimezone(zone).date()
    yesterday = today - timedelta(days=1)
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone) for day in (yesterday, today))
    return LogWindow(start.astimezone(UTC), end.astimezone(UTC))
