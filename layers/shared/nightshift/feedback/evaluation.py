"""Evaluates one day: counts votes, records a decision once, publishes its event.

There are three steps, each complete by itself. *Look* reads one snapshot and writes nothing. *Decide* is one
transaction: it reads the past and writes the decision, under a lock. *Tell* sends the pending event. A run may die
between any two of them, and the next delivery goes on from there: a window is decided on once.

The event is pending from the moment that the decision is committed. A run that dies before it notes the sending, or
never receives the bus's answer, leaves it pending, and it is sent again, word for word: at least once. Receivers
deduplicate by the decision's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.database.connect import Database, refused_statement
from nightshift.errors import BusError
from nightshift.event_bus import EventBus
from nightshift.feedback.decision import DecisionRules
from nightshift.feedback.decision_log import DecisionRecord, note_sent
from nightshift.feedback.decision_rule import DecisionOutcome, decide_once
from nightshift.feedback.vote_counts import VoteCounts, count_votes
from nightshift.feedback.windows import FeedbackWindow, window_of
from nightshift.guards import GuardRefused
from nightshift.results.feedback import DayVotes, FeedbackFigures, FeedbackResult, FeedbackState, VoteTotals
from nightshift.run import JobRun
from nightshift.settings import Settings

KIND = "FeedbackThresholdExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackContext:
    """Dependencies of an evaluation.

    Attributes:
        bus: called where an event is to be sent.
        now: the clock, for the record alone; aware.
    """

    settings: Settings
    database: Database
    bus: Callable[[], EventBus]
    now: Callable[[], datetime]


def evaluate_feedback(run: JobRun, context: FeedbackContext) -> FeedbackResult:
    """Report on the day before `run.as_of`, decide on it once, and start re-embedding where that was decided.

    Raises:
        BusError: the decision is on record, and the bus did not take its event; `result` holds the report.
        NightshiftError: the database refused.
    """
    settings = context.settings
    window = window_of(run.as_of, ZoneInfo(settings.timezone))
    result = _blank(run, settings, window)
    try:
        with context.database.connect() as connection:
            seen = count_votes(connection, settings, window)
            ruling = decide_once(connection, run, settings, seen, now=context.now())
            result = _report(result, seen, ruling, settings)
            if ruling.owed is not None and not run.dry_run:
                result = _publish_event(connection, context, ruling.owed, result)
    except GuardRefused as refused:
        return replace(result, refusal=refused.refusal)
    except DBAPIError as exc:
        raise refused_statement(exc) from exc
    return result


def _publish_event(
    connection: Connection, context: FeedbackContext, owed: DecisionRecord, result: FeedbackResult
) -> FeedbackResult:
    """Send the event of a decision, as of the run that decided; note that it was sent, in the result as well."""
    try:
        event_id = context.bus().put_events(KIND, owed.event or {}, time=owed.as_of)
        note_sent(connection, owed, event_id, now=context.now())
        connection.commit()
    except BusError as exc:
        exc.result = result
        raise
    if owed.decision == result.decision:
        return replace(result, started=True)
    day = owed.start.astimezone(result.start.tzinfo).date()
    warning = f"the event of the decision on {day} had not reached the bus: it was sent by this run"
    return replace(result, warnings=(*result.warnings, warning))


def _blank(run: JobRun, settings: Settings, window: FeedbackWindow) -> FeedbackResult:
    """The report before anything is known of the votes."""
    return FeedbackResult(
        table=settings.feedback_table,
        start=window.start,
        end=window.end,
        threshold=settings.feedback_threshold,
        min_votes=settings.feedback_min_votes,
        dashboard_url=settings.feedback_dashboard_url,
        dry_run=run.dry_run,
    )


def _report(blank: FeedbackResult, seen: VoteCounts, ruling: DecisionOutcome, settings: Settings) -> FeedbackResult:
    """Returns the report: the figures of the decision, made now or before, and the other current counts."""
    counted, own, window = seen.counted, ruling.own, seen.window
    week = own.week if own.week is not None else seen.week
    on_record, now = ruling.on_record, _figures(counted.votes, counted.unknown, DecisionRules.from_settings(settings))
    decided = None
    if on_record is not None:
        decided = _figures(on_record.votes, on_record.unknown, on_record.rules, on_record.state)
    has_changed = decided is not None and replace(decided, state=None) != now
    days = {**seen.days, window.day: own.votes}
    return replace(
        blank,
        table=seen.source.table.label,
        votes=own.votes,
        unknown=own.unknown,
        unknown_ratings=counted.unknown_ratings,
        interval=own.interval,
        threshold=own.rules.threshold,
        min_votes=own.rules.min_votes,
        state=own.state,
        reason=own.reason,
        previous=seen.day_before if seen.day_before.total else None,
        week=week if week.total else None,
        late=ruling.late,
        worst=counted.worst,
        comments=counted.comments,
        days=tuple(DayVotes(day=day, votes=days[day]) for day in window.chart_days),
        cooling_until=None if own.cooling_until is None else own.cooling_until.astimezone(window.zone),
        decision=own.decision,
        decided_before=on_record is not None,
        since=now if has_changed and not blank.dry_run else None,
        on_record=decided if blank.dry_run else None,
        warnings=seen.source.warnings,
    )


def _figures(
    votes: VoteTotals, unknown: int, rules: DecisionRules, state: FeedbackState | None = None
) -> FeedbackFigures:
    return FeedbackFigures(
        votes=votes,
        unknown=unknown,
        threshold=rules.threshold,
        min_votes=rules.min_votes,
        confidence=rules.confidence,
        state=state,
    )
