"""Decides on a window once, in one transaction; later calls for the window return the recorded decision.

A window is superseded if a later window has been decided. Age alone does not supersede a window: the newest decision
may start re-embedding even if the run is late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from nightshift.feedback.decision import DecisionRules, EarlierWindows, FeedbackDecision, make_decision
from nightshift.feedback.decision_log import DecisionLog, DecisionRecord, decision_name
from nightshift.feedback.vote_counts import VoteCounts
from nightshift.results.feedback import ConfidenceInterval, FeedbackReason
from nightshift.run import JobRun
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionOutcome:
    """Result of deciding on a window.

    Attributes:
        own: the recorded decision on this window; in a dry run, the decision that a run would make now.
        on_record: the decision of an earlier run on this window.
        late: number of votes of the window before that arrived after the decision on that window.
        owed: the decision whose event must be sent; it may be on this window or an earlier window.
    """

    own: DecisionRecord
    on_record: DecisionRecord | None
    late: int
    owed: DecisionRecord | None


def decide_once(
    connection: Connection, run: JobRun, settings: Settings, seen: VoteCounts, *, now: datetime
) -> DecisionOutcome:
    """Return the recorded decision, or decide and record. Ends the transaction; a dry run writes nothing."""
    ledger = DecisionLog(connection, seen.source)
    if run.dry_run:
        outcome = _decide(ledger, run, settings, seen, now)
        connection.rollback()
        return outcome
    ledger.acquire_decision_lock()
    ledger.save_daily_counts(seen.fresh, as_of=run.as_of)
    outcome = _decide(ledger, run, settings, seen, now)
    connection.commit()
    return outcome


def _decide(ledger: DecisionLog, run: JobRun, settings: Settings, seen: VoteCounts, now: datetime) -> DecisionOutcome:
    window, cooling = seen.window, timedelta(hours=settings.feedback_cooldown_hours)
    history = ledger.load_history(window, anew=run.dry_run)
    earlier, started = history.before, history.started
    late = max(0, seen.day_before.total - earlier.votes.total) if earlier else 0
    own = None if run.dry_run else history.own
    if own is None:
        until = started.as_of + cooling if started is not None and cooling else None
        past = EarlierWindows(week=seen.week, cooling_until=until, superseded=history.superseded)
        counted = seen.counted
        decision = make_decision(
            counted.votes, past, DecisionRules.from_settings(settings), as_of=run.as_of, unknown=counted.unknown
        )
        own = _recorded(run, settings, seen, decision, until)
        if not run.dry_run:
            ledger.record_decision(own, window_end=window.end, zone=window.zone.key, run_id=run.run_id, decided_at=now)
    last = own if own.event is not None and history.own is None else started
    owed = last if _is_owed(last, own, run, cooling) else None
    return DecisionOutcome(own=own, on_record=history.own, late=late, owed=owed)


def _is_owed(last: DecisionRecord | None, own: DecisionRecord, run: JobRun, cooling: timedelta) -> bool:
    """Returns whether the event of `last`, the table's last decision to start re-embedding, must be sent now.

    The event may belong to an earlier window: during the cooldown after that decision, every run sends a pending event.
    """
    if last is None or last.event is None or last.sent:
        return False
    return last.decision == own.decision or run.as_of < last.as_of + cooling


def _recorded(
    run: JobRun, settings: Settings, seen: VoteCounts, decision: FeedbackDecision, until: datetime | None
) -> DecisionRecord:
    name = decision_name(seen.source, seen.window)
    event = None
    if decision.reason is FeedbackReason.CERTAIN and decision.interval is not None:
        event = _event_detail(name, seen, decision.interval, settings.feedback_threshold)
    return DecisionRecord(
        decision=name,
        start=seen.window.start,
        votes=seen.counted.votes,
        unknown=seen.counted.unknown,
        week=seen.week,
        rules=DecisionRules.from_settings(settings),
        interval=decision.interval,
        state=decision.state,
        reason=decision.reason,
        cooling_until=until if decision.reason is FeedbackReason.COOLING_DOWN else None,
        event=event,
        sent=False,
        as_of=run.as_of,
    )


def _event_detail(name: str, seen: VoteCounts, interval: ConfidenceInterval, threshold: float) -> dict[str, Any]:
    """Returns the detail of an event `FeedbackThresholdExceeded`; `interval` is that of the negative ratio."""
    window, counted = seen.window, seen.counted
    return {
        "decision": name,
        "table": seen.source.table.label,
        "window": {"start": window.start.isoformat(), "end": window.end.isoformat(), "zone": window.zone.key},
        **counted.votes.to_json(),
        "threshold": threshold,
        "interval": interval.to_json(),
        "worst": [group.to_json() for group in counted.worst],
    }
