"""Evaluates one day: counts votes, records a decision once, publishes its event.

There are three steps. The first step counts votes in one snapshot and writes nothing. The second step is one
transaction under a lock, which reads earlier decisions and writes the new decision. The third step sends the pending
event. If a run ends between two steps, the next delivery continues with the next step, so a window is decided once.

The event is pending as soon as the decision is committed. If a run ends before it records the sending, or receives no
answer from the event bus, the event stays pending and a later run sends it again, unchanged. The event is therefore
delivered at least once. Receivers recognize duplicates by the decision's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
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
        bus: function that returns the event bus; called if an event must be sent.
        now: clock that returns aware times; used only for recorded times.
    """

    settings: Settings
    database: Database
    bus: Callable[[], EventBus]
    now: Callable[[], datetime]


def evaluate_feedback(run: JobRun, context: FeedbackContext) -> FeedbackResult:
    """Report on the day before `run.as_of`, decide on the day once, and start re-embedding if the decision says so.

    Raises:
        BusError: the decision is recorded, but the bus did not accept the event; `result` holds the report.
        NightshiftError: the database refused a statement.
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
    """Send a decision's event, with the time of the run that decided, and record the sending in log and result."""
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
    """Returns the report: the figures of the decision, made by this or an earlier run, and the other current counts."""
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
    return FeedbackFigures(votes=votes, unknown=unknown, state=state, **asdict(rules))
