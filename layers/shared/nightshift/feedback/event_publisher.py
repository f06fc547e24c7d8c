"""Builds the event that starts re-embedding, and sends it until the bus has it.

The event is pending from the moment that the decision is committed. A run that dies before it notes the sending, or
never receives the bus's answer, leaves it pending, and it is sent again, word for word: at least once. Receivers
deduplicate by the decision's name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from nightshift.event_bus import EventBus
from nightshift.feedback.decision_log import DecisionRecord, note_sent
from nightshift.feedback.vote_counts import VoteCounts
from nightshift.results.feedback import ConfidenceInterval

KIND = "FeedbackThresholdExceeded"


def event_detail(decision: str, seen: VoteCounts, interval: ConfidenceInterval, *, threshold: float) -> dict[str, Any]:
    """The facts of an event `FeedbackThresholdExceeded`; JSON.

    Args:
        decision: its name.
        interval: of the negative ratio.
    """
    window, counted = seen.window, seen.counted
    return {
        "decision": decision,
        "table": seen.source.table.label,
        "window": {"start": window.start.isoformat(), "end": window.end.isoformat(), "zone": window.zone.key},
        **counted.votes.to_json(),
        "threshold": threshold,
        "interval": interval.to_json(),
        "worst": [group.to_json() for group in counted.worst],
    }


def publish_event(connection: Connection, bus: EventBus, owed: DecisionRecord, *, now: datetime) -> None:
    """Send the event of a decision that owes it, as of the run that decided, and note that it was sent.

    Args:
        now: aware, for the record.

    Raises:
        BusError: the bus did not take it; it is still owed.
    """
    event_id = bus.put_events(KIND, owed.event or {}, time=owed.as_of)
    note_sent(connection, owed, event_id, now=now)
    connection.commit()
