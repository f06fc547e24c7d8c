"""Counts the votes of a window and of the days before the window, in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection

from nightshift.feedback.decision_log import DecisionLog
from nightshift.feedback.ratings import find_resembling
from nightshift.feedback.source import VoteSource, begin_reading, find_source
from nightshift.feedback.windows import FeedbackWindow
from nightshift.results.feedback import GroupVotes, UnknownRating, VoteTotals
from nightshift.settings import Settings

WORST = 5
"""Largest number of groups that the report names."""
_NAME_LENGTH = 200
UNKNOWN = 5
"""Largest number of unknown ratings that the report names, the most frequent first. `_VALUE_LENGTH` limits each value,
because the settings may name a wrong column, which holds users' texts."""
_VALUE_LENGTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyCounts:
    """Counts of one window's votes.

    Attributes:
        worst: groups with enough votes whose negative ratio is at least the window's, highest ratio first; of groups
            with equal ratios, the group with more votes first.
        comments: number of comments beside dislikes; None if the settings name no column of comments.
        unknown: number of ratings with values that the settings do not name.
        unknown_ratings: the most frequent unknown ratings.
    """

    votes: VoteTotals
    unknown: int = 0
    unknown_ratings: tuple[UnknownRating, ...] = ()
    worst: tuple[GroupVotes, ...] = ()
    comments: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCounts:
    """Votes of a window and of the days before it.

    Attributes:
        days: votes of every day of the chart, which include the week before, counted by this or an earlier run.
        fresh: votes of the days that this run counted.
    """

    source: VoteSource
    window: FeedbackWindow
    counted: DailyCounts
    days: dict[date, VoteTotals]
    fresh: dict[date, VoteTotals]

    @property
    def day_before(self) -> VoteTotals:
        """Returns the votes of the window before, counted by this run."""
        return self.days[self.window.week_window[-1]]

    @property
    def week(self) -> VoteTotals:
        """Returns the total votes of the seven windows before."""
        return sum((self.days[day] for day in self.window.week_window), VoteTotals())


def count_votes(connection: Connection, settings: Settings, window: FeedbackWindow) -> VoteCounts:
    """Count a window, the window before, and all other days of the chart that no run has counted. Ends the transaction.

    Raises `GuardRefused` if the votes cannot be counted.
    """
    begin_reading(connection)
    source = find_source(connection, settings, until=window.end)
    counted = count_window(connection, source, window, enough=settings.feedback_min_votes)
    known = DecisionLog(connection, source).known_days(window.chart_days)
    # The day before is counted again, because votes may have arrived late.
    yesterday = window.week_window[-1]
    missing = [day for day in window.chart_days[:-1] if day == yesterday or day not in known]
    fresh = {**count_days(connection, source, window, missing), window.day: counted.votes}
    connection.rollback()
    return VoteCounts(source=source, window=window, counted=counted, days=known | fresh, fresh=fresh)


def count_window(connection: Connection, source: VoteSource, window: FeedbackWindow, *, enough: int) -> DailyCounts:
    """Count one window's votes, also by group if there is a group column; the worst groups have `enough` votes."""
    # Without SQLAlchemy's `text()`, which would find parameters in names of columns.
    rows = connection.exec_driver_sql(_window_statement(source, window, enough)).all()
    (total,) = (row for row in rows if row.name is None)
    votes = _votes(total)
    groups = [GroupVotes(group=row.name, votes=_votes(row)) for row in rows if row.name is not None]
    groups = [group for group in groups if (group.votes.ratio or 0) >= (votes.ratio or 0)]
    unknown = int(total.unknown)
    return DailyCounts(
        votes=votes,
        unknown=unknown,
        unknown_ratings=_unknown_ratings(connection, source, window) if unknown else (),
        worst=tuple(sorted(groups, key=lambda group: (-(group.votes.ratio or 0), -group.votes.total, group.group))),
        comments=None if source.comment is None else int(total.comments),
    )


def _window_statement(source: VoteSource, window: FeedbackWindow, enough: int) -> str:
    ratings = source.ratings
    comments = "0"
    if source.comment is not None:
        comments = _times(f"{ratings.dislikes} AND trim(CAST({source.comment} AS text)) <> ''")
    counts = (
        f"{_times(ratings.likes)} AS likes, {_times(ratings.dislikes)} AS dislikes, {comments} AS comments,"
        f" {_times(ratings.unknown)} AS unknown"
        f" FROM {source.votes_sql(source.between_condition(window.start, window.end))}"
    )
    if source.group is None:
        return f"SELECT NULL AS name, {counts}"
    name = f"substr(CAST({source.group} AS text), 1, {_NAME_LENGTH})"
    sums = ", ".join(f"coalesce(sum({what}), 0) AS {what}" for what in ("likes", "dislikes", "comments", "unknown"))
    return (
        f"WITH groups AS (SELECT {name} AS name, {counts} GROUP BY 1),"
        " worst AS (SELECT name, likes, dislikes, comments, unknown FROM groups"
        f" WHERE name IS NOT NULL AND dislikes > 0 AND likes + dislikes >= {enough}"
        f" ORDER BY 1.0 * dislikes / (likes + dislikes) DESC, likes + dislikes DESC, name LIMIT {WORST})"
        f" SELECT NULL AS name, {sums} FROM groups UNION ALL SELECT * FROM worst"
    )


def _unknown_ratings(connection: Connection, source: VoteSource, window: FeedbackWindow) -> tuple[UnknownRating, ...]:
    value = f"substr({source.ratings.value}, 1, {_VALUE_LENGTH})"
    rows = source.votes_sql(source.between_condition(window.start, window.end))
    statement = (
        f"SELECT {value} AS value, count(*) AS number FROM {rows} AND {source.ratings.unknown}"
        f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {UNKNOWN}"
    )
    words = source.ratings.words
    return tuple(
        UnknownRating(value=str(value), count=int(number), resembles=find_resembling(str(value), words))
        for value, number in connection.exec_driver_sql(statement)
    )


def count_days(
    connection: Connection, source: VoteSource, window: FeedbackWindow, days: Sequence[date]
) -> dict[date, VoteTotals]:
    """Count the votes of days in the window's zone, in one pass over the rows; days without votes are included."""
    counted = dict.fromkeys(days, VoteTotals())
    if not days:
        return counted
    # Consecutive days form one range, which needs one search in an index and reads no row outside the days.
    ranges = " OR ".join(f"({source.between_condition(run[0].start, run[-1].end)})" for run in _runs(window, days))
    axis, ratings = source.axis, source.ratings
    branches = "".join(
        f" WHEN {axis.epoch_sql} < {axis.literal_sql(axis.to_epoch(FeedbackWindow(day, window.zone).end))}"
        f" THEN {number}"
        for number, day in enumerate(days)
    )
    # The planner expects as many groups from a CASE as there are times, and counts without parallel workers; one day
    # needs no CASE.
    number, grouped = (f"CASE{branches} END", " GROUP BY 1") if len(days) > 1 else ("0", "")
    statement = (
        f"SELECT {number} AS number, {_times(ratings.likes)} AS likes, {_times(ratings.dislikes)} AS dislikes"
        f" FROM {source.votes_sql(ranges, day=number)}{grouped}"
    )
    for row in connection.exec_driver_sql(statement):
        counted[days[row.number]] = _votes(row)
    return counted


def _votes(row: Any) -> VoteTotals:
    return VoteTotals(likes=int(row.likes), dislikes=int(row.dislikes))


def _times(condition: str) -> str:
    """Returns SQL that counts the rows for which a condition is true."""
    return f"count(*) FILTER (WHERE {condition})"


def _runs(window: FeedbackWindow, days: Sequence[date]) -> list[list[FeedbackWindow]]:
    """Returns the windows of the days, grouped into runs of consecutive days."""
    runs: list[list[FeedbackWindow]] = []
    for day in days:
        here = FeedbackWindow(day, window.zone)
        if runs and runs[-1][-1].end == here.start:
            runs[-1].append(here)
        else:
            runs.append([here])
    return runs
