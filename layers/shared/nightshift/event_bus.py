"""Sends events to EventBridge, for other jobs and external subscribers. No other module calls EventBridge.

EventBridge delivers an event at least once. A sender that does not know whether an event arrived sends the event again,
with the same detail. Receivers identify an event by its detail.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nightshift.errors import BusError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "nightshift"

_HINTS = {
    "AccessDeniedException": "the role needs events:PutEvents on the bus",
    "ResourceNotFoundException": "EVENT_BUS does not exist; deploy the stack or correct the name",
}


@dataclass(frozen=True)
class EventBus:
    """One EventBridge bus, by its name or ARN. The first event connects to EventBridge."""

    name: str

    @cached_property
    def _client(self) -> EventBridgeClient:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=5,
            read_timeout=15,
            retries={"mode": "standard", "max_attempts": 4},
            user_agent_extra="nightshift",
        )
        return boto3.session.Session().client("events", config=config)

    def put_events(self, kind: str, detail: Mapping[str, Any], *, time: datetime) -> str:
        """Sends an event. Returns the event's ID.

        Args:
            kind: the event's `detail-type`.
            detail: the event's facts, as JSON values.
            time: aware time that the event is about, not the time of sending.

        Raises:
            BusError: EventBridge refused the event, or did not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        entry: Any = {
            "EventBusName": self.name,
            "Source": SOURCE,
            "DetailType": kind,
            "Detail": json.dumps(detail, ensure_ascii=False),
            "Time": time,
        }
        try:
            answer = self._client.put_events(Entries=[entry])
        except ClientError as exc:
            raise self._error(kind, str(exc.response.get("Error", {}).get("Code", "refused")), exc) from exc
        except BotoCoreError as exc:
            raise self._error(kind, type(exc).__name__, exc) from exc
        # HTTP status 200 does not mean that EventBridge accepted the entry: each entry has its own result.
        [sent] = answer.get("Entries") or [{}]
        if not sent.get("EventId"):
            raise self._error(kind, sent.get("ErrorCode") or "no answer for the event", told=sent.get("ErrorMessage"))
        return sent["EventId"]

    def _error(self, kind: str, code: str, exc: Exception | None = None, told: str | None = None) -> BusError:
        from nightshift.aws_failures import hint_of, words_of

        words = words_of(exc) if exc is not None else told
        return BusError(
            f"the event bus was not told: {code}",
            detail=f"{self.name}: {kind}" + (f": {words}" if words else ""),
            hint=_HINTS.get(code) or (exc and hint_of(exc)) or "the next run sends it again",
        )
