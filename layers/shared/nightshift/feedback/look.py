"""The first step: everything that the database says about a window, from one snapshot, and nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from nightshift.feedback.counting import Counted, count_days, count_window
from nightshift.feedback.ledger import Ledger
from nightshift.feedback.source import Source, begin, find_source
from nightshift.feedback.window import Window
from nightshift.results import Votes
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen.

    Attributes:
        days: every day of the chart, the week before among them, counted now or before.
        fresh: those that were counted now.
    """

    source: Source
    window: Window
    counted: Counted
    days: dict[date, Votes]
    fresh: dict[date, Votes]

    @property
    def previous(self) -> Votes:
        """The window before, counted now."""
        return self.days[self.window.week[-1]]

    @property
    def week(self) -> Votes:
        """The seven windows before, together."""
        return sum((self.days[day] for day in self.window.week), Votes())


def look(connection: Connection, settings: Settings, window: Window) -> Seen:
    """Count a window, the one before, and what else of the chart no run has counted yet. Ends the transaction.

    Raises:
        Refused: the votes cannot be counted.
    """
    begin(connection)
    source = find_source(connection, settings, until=window.end)
    counted = count_window(connection, source, window, enough=settings.feedback_min_votes)
    known = Ledger(connection, source).known_days(window.chart)
    # The day before is counted again, for votes that came late.
    yesterday = window.week[-1]
    missing = [day for day in window.chart[:-1] if day == yesterday or day not in known]
    fresh = {**count_days(connection, source, window, missing), window.day: counted.votes}
    connection.rollback()
    return Seen(source=source, window=window, counted=counted, days=known | fresh, fresh=fresh)
