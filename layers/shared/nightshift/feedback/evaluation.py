"""Evaluates one day: counts votes, records a decision once, publishes its event.

There are three steps, each complete by itself. *Look* reads one snapshot and writes nothing. *Decide* is one
transaction: it reads the past and writes the decision, under a lock. *Tell* sends the pending event. A run may die
between any two of them, and the next delivery goes on from there: a window is decided on once, and its event is sent
until the bus has it.
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
from nightshift.feedback.decision_log import DecisionRecord
from nightshift.feedback.decision_rule import DecisionOutcome, decide_once
from nightshift.feedback.event_publisher import publish_event
from nightshift.feedback.vote_counts import VoteCounts, count_votes
from nightshift.feedback.windows import FeedbackWindow, window_of
from nightshift.guards import GuardRefused
from nightshift.results.feedback import DayVotes, FeedbackFigures, FeedbackResult
from nightshift.run import JobRun
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackDependencies:
    """Dependencies of an evaluation.

    Attributes:
        bus: called where an event is to be sent.
        now: the clock, for the record alone; aware.
    """

    settings: Settings
    database: Database
    bus: Callable[[], EventBus]
    now: Callable[[], datetime]


def evaluate_feedback(run: JobRun, ports: FeedbackDependencies) -> FeedbackResult:
    """Report on the day before `run.as_of`, decide on it once, and start re-embedding where that was decided.

    Raises:
        BusError: the decision is on record, and the bus did not take its event; `result` holds the report.
        NightshiftError: the database refused.
    """
    settings = ports.settings
    window = window_of(run.as_of, ZoneInfo(settings.timezone))
    result = _blank(run, settings, window)
    try:
        with ports.database.connect() as connection:
            seen = count_votes(connection, settings, window)
            ruling = decide_once(connection, run, settings, seen, now=ports.now())
            result = _told(result, seen, ruling, settings)
            if ruling.owed is not None and not run.dry_run:
                result = _announced(connection, ports, ruling.owed, result)
    except GuardRefused as refused:
        return replace(result, refusal=refused.refusal)
    except DBAPIError as exc:
        raise refused_statement(exc) from exc
    return result


def _announced(
    connection: Connection, ports: FeedbackDependencies, owed: DecisionRecord, result: FeedbackResult
) -> FeedbackResult:
    try:
        publish_event(connection, ports.bus(), owed, now=ports.now())
    except BusError as exc:
        exc.result = result
        raise
    if owed.decision == result.decision:
        return replace(result, started=True)
    day = owed.start.astimezone(result.start.tzinfo).date()
    told = f"the event of the decision on {day} had not reached the bus: it was sent by this run"
    return replace(result, warnings=(*result.warnings, told))


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


def _told(blank: FeedbackResult, seen: VoteCounts, ruling: DecisionOutcome, settings: Settings) -> FeedbackResult:
    """Returns the report: the figures of the decision, made now or before, and the other current counts."""
    counted, own, window = seen.counted, ruling.own, seen.window
    week = own.week if own.week is not None else seen.current_week
    on_record, now = ruling.on_record, _figures_now(seen, settings)
    decided = None if on_record is None else _figures_of(on_record)
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
        previous=seen.previous_week if seen.previous_week.total else None,
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


def _figures_of(decision: DecisionRecord) -> FeedbackFigures:
    rules = decision.rules
    return FeedbackFigures(
        votes=decision.votes,
        unknown=decision.unknown,
        threshold=rules.threshold,
        min_votes=rules.min_votes,
        confidence=rules.confidence,
        state=decision.state,
    )


def _figures_now(seen: VoteCounts, settings: Settings) -> FeedbackFigures:
    return FeedbackFigures(
        votes=seen.counted.votes,
        unknown=seen.counted.unknown,
        threshold=settings.feedback_threshold,
        min_votes=settings.feedback_min_votes,
        confidence=settings.feedback_confidence,
    )
