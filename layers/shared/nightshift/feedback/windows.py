"""Computes the reported day: the calendar day before the run's day, in the report's zone.

A calendar day with a change of the clocks has 23 or 25 hours. If clocks skip a midnight, the day begins with its first
existing moment. A day that a zone skipped (Apia, 30 December 2011) has no moments and no votes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from nightshift.errors import InvalidEvent

WEEK = 7
CHART_DAYS = 30

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FeedbackWindow:
    """One calendar day in a zone."""

    day: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """Returns the day's first moment, aware, in the zone."""
        # For a skipped midnight, Python uses the offset before the change, which gives the moment of the change.
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=self.zone)

    @property
    def end(self) -> datetime:
        """Returns the next day's first moment."""
        return FeedbackWindow(self.day + _DAY, self.zone).start

    def before_by_days(self, days: int) -> FeedbackWindow:
        """Returns the window that is `days` days earlier."""
        return FeedbackWindow(self.day - timedelta(days=days), self.zone)

    @property
    def week_window(self) -> tuple[date, ...]:
        """Returns the seven days before, oldest first."""
        return tuple(self.day - timedelta(days=back) for back in range(WEEK, 0, -1))

    @property
    def chart_days(self) -> tuple[date, ...]:
        """Returns the days of the chart, oldest first, with this window's day last."""
        return tuple(self.day - timedelta(days=back) for back in range(CHART_DAYS - 1, -1, -1))


def window_of(as_of: datetime, zone: ZoneInfo) -> FeedbackWindow:
    """Returns the window that a run of `as_of` reports; raises `InvalidEvent` if the calendar lacks the days before."""
    try:
        window = FeedbackWindow(as_of.astimezone(zone).date() - _DAY, zone)
        window.before_by_days(CHART_DAYS + 1)
    except OverflowError as exc:
        raise InvalidEvent("scheduled_time is out of range", detail=f"scheduled_time: {as_of.isoformat()}") from exc
    return window
