"""Reads everything that the database has on a window, from one snapshot, and writes nothing (the first step)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from nightshift.feedback.daily_counts import DailyCounts, count_days, count_window
from nightshift.feedback.decision_log import DecisionLog
from nightshift.feedback.source import VoteSource, begin_reading, find_source
from nightshift.feedback.windows import FeedbackWindow
from nightshift.results.feedback import VoteTotals
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCounts:
    """Votes of a window and of the days before it.

    Attributes:
        days: every day of the chart, the week before among them, counted now or before.
        fresh: those that were counted now.
    """

    source: VoteSource
    window: FeedbackWindow
    counted: DailyCounts
    days: dict[date, VoteTotals]
    fresh: dict[date, VoteTotals]

    @property
    def previous_week(self) -> VoteTotals:
        """The window before, counted now."""
        return self.days[self.window.week_window[-1]]

    @property
    def current_week(self) -> VoteTotals:
        """The seven windows before, together."""
        return sum((self.days[day] for day in self.window.week_window), VoteTotals())


def count_votes(connection: Connection, settings: Settings, window: FeedbackWindow) -> VoteCounts:
    """Count a window, the one before, and what else of the chart no run has counted yet. Ends the transaction.

    Raises:
        GuardRefused: the votes cannot be counted.
    """
    begin_reading(connection)
    source = find_source(connection, settings, until=window.end)
    counted = count_window(connection, source, window, enough=settings.feedback_min_votes)
    known = DecisionLog(connection, source).known_days(window.chart_days)
    # The day before is counted again, for votes that came late.
    yesterday = window.week_window[-1]
    missing = [day for day in window.chart_days[:-1] if day == yesterday or day not in known]
    fresh = {**count_days(connection, source, window, missing), window.day: counted.votes}
    connection.rollback()
    return VoteCounts(source=source, window=window, counted=counted, days=known | fresh, fresh=fresh)
