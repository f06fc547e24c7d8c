"""Computes the period of the day's logs: the calendar day before the run's own, in the deployment's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))


@dataclass(frozen=True, slots=True)
class LogWindow:
    """From `start` on, and before `end`; both aware."""

    start: datetime
    end: datetime

    @property
    def start_ms(self) -> int:
        """Milliseconds since 1970."""
        return (self.start - _EPOCH) // timedelta(milliseconds=1)

    @property
    def end_ms(self) -> int:
        """Milliseconds since 1970; the first that is not in it."""
        return (self.end - _EPOCH) // timedelta(milliseconds=1)


def day_before(as_of: datetime, timezone: str) -> LogWindow:
    """The calendar day before that of `as_of`, of 23, 24 or 25 hours.

    Args:
        as_of: aware.
        timezone: IANA name.
    """
    zone = ZoneInfo(timezone)
    today = as_of.astimezone(zone).date()
    yesterday = today - timedelta(days=1)
    start, end = (datetime(day.year, day.month, day.day, tzinfo=zone) for day in (yesterday, today))
    return LogWindow(start.astimezone(ZoneInfo("UTC")), end.astimezone(ZoneInfo("UTC")))
