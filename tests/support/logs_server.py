"""A CloudWatch Logs on loopback: FilterLogEvents, DescribeLogGroups and PutRetentionPolicy, as strict as AWS.

It speaks AWS JSON 1.1. `endTime` belongs to the range; events come by time, then by the time of their ingestion; pages
are small, some are empty and name a next one all the same; a token is good for the request that it was given for, until
`expire_tokens`. Troubles are queued; `suffered` proves that they happened.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from local.loopback import LoopbackHandler, LoopbackServer, aws_env

RETENTIONS = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
GROUPS_A_PAGE = 2


class Trouble(StrEnum):
    """What can go wrong with one request."""

    THROTTLED = "400 ThrottlingException"
    DENIED = "400 AccessDeniedException"
    UNAVAILABLE = "503 ServiceUnavailableException"
    CUT = "the connection is closed without an answer"
    GARBLED = "200 with a body that is no JSON"
    SAME_TOKEN = "an empty page that names itself as the next"


_ERRORS = {
    Trouble.THROTTLED: (400, "ThrottlingException"),
    Trouble.DENIED: (400, "AccessDeniedException"),
    Trouble.UNAVAILABLE: (503, "ServiceUnavailableException"),
}


class Refusal(Exception):
    """An answer of 400."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass
class Group:
    """A log group: its events as FilterLogEvents has them."""

    events: list[dict[str, Any]] = field(default_factory=list)
    retention: int | None = None


class LogsServer(LoopbackServer):
    """A CloudWatch Logs on 127.0.0.1 for as long as the context lasts.

    Attributes:
        page_size: events a page.
        empty_pages: every so many pages one is empty; 0: none is.
        requests: operations that arrived, with what they asked.
        suffered: the troubles that happened, in order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        super().__init__(_Handler)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.groups: dict[str, Group] = {}
        self.page_size, self.empty_pages = 10, 3
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.suffered: list[Trouble] = []
        self._troubles: deque[Trouble | None] = deque()
        self._tokens: dict[str, tuple[tuple[Any, ...], int]] = {}
        self._before: Callable[[str], None] | None = None

    @property
    def env(self) -> dict[str, str]:
        """What boto3 needs in the environment to find this server."""
        return aws_env(self.origin, "CLOUDWATCH_LOGS")

    def add(self, group: str, timestamp: int, message: str, *, stream: str = "s", delay: int = 5) -> dict[str, Any]:
        """Log an event; `delay` is how many milliseconds later it arrived."""
        events = self.groups.setdefault(group, Group()).events
        event = {
            "timestamp": timestamp,
            "message": message,
            "logStreamName": stream,
            "ingestionTime": timestamp + delay,
            "eventId": f"{len(events):056}",
        }
        events.append(event)
        return event

    def fail_next(self, *troubles: Trouble | None) -> None:
        """Queue troubles for the next requests; None lets one through."""
        self._troubles.extend(troubles)

    def call_before(self, hook: Callable[[str], None] | None) -> None:
        """Call `hook` with every operation that arrives, before it is carried out."""
        self._before = hook

    def expire_tokens(self) -> None:
        """Forget every token, as after 24 hours."""
        self._tokens.clear()

    def begin(self, operation: str, given: dict[str, Any]) -> Trouble | None:
        """Note a request; the trouble that waits for it, if any."""
        with self._lock:
            self.requests.append((operation, given))
            trouble = self._troubles.popleft() if self._troubles else None
            if trouble is not None:
                self.suffered.append(trouble)
        if self._before is not None:
            self._before(operation)
        return trouble

    def answer(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Carry a request out."""
        if operation == "FilterLogEvents":
            return self._filter(given)
        if operation == "DescribeLogGroups":
            return self._describe(given)
        if operation == "PutRetentionPolicy":
            group = self._group(given["logGroupName"])
            if given["retentionInDays"] not in RETENTIONS:
                raise Refusal("InvalidParameterException", "1 validation error detected")
            group.retention = given["retentionInDays"]
            return {}
        raise Refusal("UnknownOperationException")

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            raise Refusal("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[name]

    def _filter(self, given: Mapping[str, Any]) -> dict[str, Any]:
        asked = group, start, end = given["logGroupName"], given["startTime"], given["endTime"]
        token = given.get("nextToken")
        known, at = (asked, 0) if token is None else self._tokens.get(token, ((), 0))
        if known != asked:
            raise Refusal("InvalidParameterException", "The specified nextToken is invalid.")
        if end < start:
            raise Refusal("InvalidParameterException", "endTime is before startTime")
        found = [event for event in self._group(group).events if start <= event["timestamp"] <= end]
        found.sort(key=lambda event: (event["timestamp"], event["ingestionTime"]))
        pages = len(self._tokens) + 1
        size = 0 if self.empty_pages and pages % self.empty_pages == 0 else self.page_size
        page = {"events": found[at : at + size], "searchedLogStreams": []}
        if at + size >= len(found):
            return page
        more = f"f/{uuid.uuid4().hex}"
        self._tokens[more] = (asked, at + size)
        return {**page, "nextToken": more}

    def _describe(self, given: Mapping[str, Any]) -> dict[str, Any]:
        names = sorted(name for name in self.groups if name.startswith(given["logGroupNamePrefix"]))
        at = int(given.get("nextToken", 0))
        end = at + GROUPS_A_PAGE
        listed: list[dict[str, Any]] = []
        for name in names[at:end]:
            days = self.groups[name].retention
            listed.append({"logGroupName": name} | ({} if days is None else {"retentionInDays": days}))
        return {"logGroups": listed} | ({"nextToken": str(end)} if end < len(names) else {})


class _Handler(LoopbackHandler):
    service: LogsServer

    def do_POST(self) -> None:
        given = json.loads(self.body())
        version, _, operation = self.headers.get("X-Amz-Target", "").partition(".")
        logs = self.service
        trouble = logs.begin(operation, given)
        if version != "Logs_20140328" or "AWS4-HMAC-SHA256" not in self.headers.get("Authorization", ""):
            return self._send(400, {"__type": "IncompleteSignatureException"})
        if trouble is Trouble.CUT:
            return None
        if trouble is Trouble.GARBLED:
            return self._send(200, "<html>")
        if trouble is Trouble.SAME_TOKEN:
            return self._send(200, {"events": [], "nextToken": given.get("nextToken", "f/0")})
        if trouble is not None:
            status, code = _ERRORS[trouble]
            return self._send(status, {"__type": code, "message": str(trouble)})
        try:
            return self._send(200, logs.answer(operation, given))
        except Refusal as refusal:
            return self._send(400, {"__type": refusal.code, "message": refusal.message})

    def _send(self, status: int, content: Mapping[str, Any] | str) -> None:
        body = content if isinstance(content, str) else json.dumps(content)
        self.answer(status, body.encode(), {"Content-Type": "application/x-amz-json-1.1"})
