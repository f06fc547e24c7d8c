"""Stores the decision on each window, once, and the counts of each day.

One transaction reads the earlier decisions and writes the new decision. A lock makes concurrent runs decide one after
the other, so two windows cannot both start re-embedding because neither saw the other's decision. A decision's name is
computed from the source and the window, so every run that decides on a window uses the same name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    ScalarSelect,
    and_,
    bindparam,
    insert,
    null,
    or_,
    select,
    text,
    update,
)

from nightshift.database.catalog import escape_colons
from nightshift.database.own_tables import own_table, schema_of
from nightshift.database.tables import feedback_day, feedback_run
from nightshift.database.upgrades import columns_there
from nightshift.database.values import aware_utc
from nightshift.feedback.decision import DecisionRules
from nightshift.feedback.source import VoteSource
from nightshift.feedback.windows import FeedbackWindow
from nightshift.results.feedback import ConfidenceInterval, FeedbackReason, FeedbackState, VoteTotals

DECIDING = int.from_bytes(hashlib.sha256(b"nightshift:feedback:decision").digest()[:8], "big", signed=True)
"""Key of the advisory lock that a run holds while it decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A recorded decision.

    Attributes:
        votes, unknown, week, rules, interval: the basis of the decision; `week` is None if it was not recorded.
        event: detail of the decision's event; None if the decision starts nothing.
        sent: the event bus has confirmed the event.
        as_of: aware time of the run that decided.
    """

    decision: str
    start: datetime
    votes: VoteTotals
    unknown: int
    week: VoteTotals | None
    rules: DecisionRules
    interval: ConfidenceInterval | None
    state: FeedbackState
    reason: FeedbackReason
    cooling_until: datetime | None
    event: Mapping[str, Any] | None
    sent: bool
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionHistory:
    """Earlier decisions on a source.

    Attributes:
        started: the table's last decision that starts re-embedding, from any source of the table's votes.
        superseded: a later window of the table was decided.
    """

    own: DecisionRecord | None = None
    before: DecisionRecord | None = None
    started: DecisionRecord | None = None
    superseded: bool = False


def note_sent(connection: Connection, recorded: DecisionRecord, event_id: str, *, now: datetime) -> None:
    """Record that the event bus accepted a decision's event. The caller commits."""
    of_decision = feedback_run.c.decision == recorded.decision
    connection.execute(update(feedback_run).where(of_decision).values(event_id=event_id, event_sent_at=_utc(now)))


def decision_name(source: VoteSource, window: FeedbackWindow) -> str:
    """Returns the name of the decision on a window, 32 hexadecimal digits that depend only on source and window."""
    return hashlib.sha256(f"{source.identity} {window.start.isoformat()}".encode()).hexdigest()[:32]


class DecisionLog:
    """The recorded decisions on one source. The caller begins and commits transactions."""

    def __init__(self, connection: Connection, source: VoteSource) -> None:
        self._connection = connection
        self._source = source
        # Before the first run there are no tables, and a dry run creates none.
        there = columns_there(connection).get(feedback_run.name, frozenset())
        self._there = bool(there)
        # A dry run does not upgrade a table of an earlier version, which lacks some columns.
        self._columns = [
            column if column.name in there else null().label(column.name) for column in feedback_run.columns
        ]

    def acquire_decision_lock(self) -> None:
        """Take the lock for deciding until the transaction ends; not needed in SQLite, which has one writer."""
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": DECIDING})

    def load_history(self, window: FeedbackWindow, *, anew: bool = False) -> DecisionHistory:
        """Returns the earlier decisions on which a decision on a window depends, by one statement.

        Args:
            anew: ignore an earlier decision on the same window.
        """
        if not self._there:
            return DecisionHistory()
        run = feedback_run.c
        own, before = (decision_name(self._source, day) for day in (window, window.before_by_days(1)))
        of_table = run.table_name == self._source.table.label
        started = and_(of_table, run.state == FeedbackState.RETRAINING.value)
        if anew:
            started = and_(started, run.decision != own)
        wanted = or_(
            run.decision.in_([own, before]),
            run.id == _last(run.as_of, where=started),
            run.id == _last(run.window_start, where=of_table),
        )
        rows = self._connection.execute(select(*self._columns).where(wanted))
        records = {row.decision: _recorded(row) for row in rows}
        starts = [record for record in records.values() if record.state is FeedbackState.RETRAINING]
        starts = [record for record in starts if not (anew and record.decision == own)]
        return DecisionHistory(
            own=records.get(own),
            before=records.get(before),
            started=max(starts, key=lambda record: record.as_of, default=None),
            superseded=any(record.start > window.start for record in records.values()),
        )

    def record_decision(self, decided: DecisionRecord, **grounds: Any) -> None:
        """Insert a decision; `grounds` are the values of the other columns of `nightshift_feedback_run`."""
        interval, week = decided.interval, decided.week
        columns = {
            "decision": decided.decision,
            "source": self._source.identity,
            "table_name": self._source.table.label,
            "window_start": decided.start,
            "likes": decided.votes.likes,
            "dislikes": decided.votes.dislikes,
            "unknown": decided.unknown,
            "week_likes": None if week is None else week.likes,
            "week_dislikes": None if week is None else week.dislikes,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            **asdict(decided.rules),
            "state": decided.state.value,
            "reason": decided.reason.value,
            "cooling_until": decided.cooling_until,
            "event": None if decided.event is None else json.dumps(decided.event, ensure_ascii=False),
            "as_of": decided.as_of,
            **grounds,
        }
        self._connection.execute(insert(feedback_run).values({name: _utc(value) for name, value in columns.items()}))

    def known_days(self, days: Sequence[date]) -> dict[date, VoteTotals]:
        """Returns the stored counts of the given days; days without stored counts are left out."""
        if not self._there:
            return {}
        table = feedback_day.c
        known = select(table.day, table.likes, table.dislikes).where(
            table.source == self._source.identity, table.day.between(min(days).isoformat(), max(days).isoformat())
        )
        counts = {
            date.fromisoformat(day): VoteTotals(likes=likes, dislikes=dislikes)
            for day, likes, dislikes in self._connection.execute(known)
        }
        return {day: counts[day] for day in days if day in counts}

    def save_daily_counts(self, counted: Mapping[date, VoteTotals], *, as_of: datetime) -> None:
        """Store the counts of days, and replace earlier counts of these days."""
        days = escape_colons(own_table(feedback_day, schema_of(self._connection)))
        remember = text(
            f"INSERT INTO {days} (source, day, likes, dislikes, counted_as_of)"
            " VALUES (:source, :day, :likes, :dislikes, :as_of) ON CONFLICT (source, day) DO UPDATE"
            " SET likes = excluded.likes, dislikes = excluded.dislikes, counted_as_of = excluded.counted_as_of"
        ).bindparams(bindparam("as_of", type_=DateTime(timezone=True)))
        facts = {"source": self._source.identity, "as_of": as_of.astimezone(UTC)}
        rows = [
            {"day": day.isoformat(), "likes": votes.likes, "dislikes": votes.dislikes, **facts}
            for day, votes in sorted(counted.items())
        ]
        self._connection.execute(remember, rows)


def _last(column: ColumnElement[datetime], *, where: ColumnElement[bool]) -> ScalarSelect[int]:
    """Returns a subquery for the id of the decision with the greatest value of a column."""
    return select(feedback_run.c.id).where(where).order_by(column.desc()).limit(1).scalar_subquery()


def _recorded(row: Any) -> DecisionRecord:
    return DecisionRecord(
        decision=row.decision,
        start=aware_utc(row.window_start),
        votes=VoteTotals(likes=row.likes, dislikes=row.dislikes),
        unknown=row.unknown or 0,
        week=None if row.week_likes is None else VoteTotals(likes=row.week_likes, dislikes=row.week_dislikes),
        rules=DecisionRules(threshold=row.threshold, min_votes=row.min_votes, confidence=row.confidence),
        interval=None if row.low is None else ConfidenceInterval(low=row.low, high=row.high, confidence=row.confidence),
        state=FeedbackState(row.state),
        reason=FeedbackReason(row.reason),
        cooling_until=None if row.cooling_until is None else aware_utc(row.cooling_until),
        event=None if row.event is None else json.loads(row.event),
        sent=row.event_sent_at is not None,
        as_of=aware_utc(row.as_of),
    )


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
