"""An EventBridge on loopback for the demo and the tests: PutEvents, as strict as AWS about what it takes.

It speaks AWS JSON 1.1 (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html): at most ten
entries a request, 256 KB in all; an entry without a source, a type or a JSON object as its detail fails alone, inside
an answer of 200. What is taken is kept as the envelope that a rule's target gets, and waits for `deliver`, which calls
whoever subscribed, in the thread of its caller: a target that is a Lambda handler changes the environment of its
process, so nothing may run beside it. Troubles are queued; `suffered` proves that they happened.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from local.loopback import REGION, LoopbackHandler, LoopbackServer, aws_env

ACCOUNT = "123456789012"
MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
_TIME_BYTES = 14
"""What a `Time` counts (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html)."""

Event = dict[str, Any]
"""The envelope of an event, as Lambda gets it from a rule."""
Target = Callable[[Event], object]


class Trouble(StrEnum):
    """What can go wrong with one request."""

    ENTRY = "the request is answered, and the entry was not taken"
    INTERNAL = "500 InternalFailure"
    THROTTLED = "400 ThrottlingException"
    DENIED = "400 AccessDeniedException"
    CUT = "the connection is closed before anything is taken"
    LOST = "the events are taken, and the connection is closed without an answer"


_ERRORS = {
    Trouble.INTERNAL: (500, "InternalFailure"),
    Trouble.THROTTLED: (400, "ThrottlingException"),
    Trouble.DENIED: (400, "AccessDeniedException"),
}


@dataclass(frozen=True, slots=True)
class _Subscription:
    target: Target
    kinds: frozenset[str]


class EventBusServer(LoopbackServer):
    """An event bus on 127.0.0.1 for as long as the context lasts.

    Attributes:
        events: every event taken, in order; one that was sent twice is there twice, under IDs of its own.
        suffered: the troubles that happened, in order.
        requests: how many requests there were, whatever came of them.
    """

    def __init__(self, *, port: int = 0) -> None:
        """Make a server; port 0 takes a free one."""
        self.events: list[Event] = []
        self.suffered: list[Trouble] = []
        self.requests = 0
        self._troubles: deque[Trouble] = deque()
        self._hooks: deque[Callable[[], None]] = deque()
        self._waiting: deque[tuple[Target, Event]] = deque()
        self._subscriptions: list[_Subscription] = []
        self._lock = threading.Lock()
        super().__init__(_Handler, port=port)

    @property
    def env(self) -> dict[str, str]:
        """What boto3 needs in the environment to find this bus, whatever else it finds elsewhere."""
        return aws_env(self.origin, "EVENTBRIDGE")

    def subscribe(self, target: Target, kinds: Collection[str]) -> None:
        """Have `deliver` call `target` with every event of these detail types that is taken from now on."""
        self._subscriptions.append(_Subscription(target, frozenset(kinds)))

    def deliver(self) -> int:
        """Call the subscribers with what waits for them, until nothing does; returns how many calls there were.

        A target that raises keeps its event waiting, and the error goes to the caller: delivery is at least once.
        """
        calls = 0
        while self._waiting:
            target, event = self._waiting[0]
            target(event)
            self._waiting.popleft()
            calls += 1
        return calls

    def repeat(self, event: Event) -> None:
        """Have an event wait for its subscribers once more: a second delivery, under the same ID."""
        with self._lock:
            self._enqueue(event)

    def fail_next(self, trouble: Trouble, times: int = 1) -> None:
        """Queue a trouble for the next requests."""
        with self._lock:
            self._troubles.extend([trouble] * times)

    def call_next(self, hook: Callable[[], None]) -> None:
        """Call `hook` when the next request has arrived, before anything is taken from it."""
        with self._lock:
            self._hooks.append(hook)

    def heal(self) -> None:
        """Forget the troubles that have not happened yet."""
        with self._lock:
            self._troubles.clear()

    def begin_request(self) -> Trouble | None:
        """Note a request; the trouble that waits for it, if any."""
        with self._lock:
            self.requests += 1
            hook = self._hooks.popleft() if self._hooks else None
            trouble = self._troubles.popleft() if self._troubles else None
            if trouble is not None:
                self.suffered.append(trouble)
        if hook is not None:
            hook()
        return trouble

    def take(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """Keep one entry, or say why not; the entry's part of the answer."""
        if problem := _problem(entry):
            return {"ErrorCode": problem[0], "ErrorMessage": problem[1]}
        event = _envelope(entry)
        with self._lock:
            self.events.append(event)
            self._enqueue(event)
        return {"EventId": event["id"]}

    def _enqueue(self, event: Event) -> None:
        self._waiting.extend((s.target, event) for s in self._subscriptions if event["detail-type"] in s.kinds)


def _envelope(entry: Mapping[str, Any]) -> Event:
    time = datetime.fromtimestamp(entry["Time"], UTC) if "Time" in entry else datetime.now(UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "account": ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": list(entry.get("Resources", ())),
        "detail": json.loads(entry["Detail"]),
    }


def _problem(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Code and message of an entry that is not taken."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
    if str(entry["Source"]).startswith("aws."):
        return "NotAuthorizedForSource", "Not authorized for the source."
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _size(entry: Mapping[str, Any]) -> int:
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    return sum(len(str(text).encode()) for text in [*texts, *entry.get("Resources", ())]) + (
        _TIME_BYTES if "Time" in entry else 0
    )


class _Handler(LoopbackHandler):
    service: EventBusServer

    def do_POST(self) -> None:
        body = self.body()
        if self.headers.get("X-Amz-Target") != "AWSEvents.PutEvents":
            return self._refuse(400, "UnknownOperationException", "")
        trouble = self.service.begin_request()
        if trouble is Trouble.CUT:
            return None
        if trouble in _ERRORS:
            return self._refuse(*_ERRORS[trouble], f"as it was told: {trouble}")
        try:
            entries = json.loads(body)["Entries"]
        except (ValueError, TypeError, KeyError):
            return self._refuse(400, "SerializationException", "")
        if not 0 < len(entries) <= MAX_ENTRIES:
            return self._refuse(400, "ValidationException", f"entries must have from 1 to {MAX_ENTRIES} members")
        if sum(map(_size, entries)) > MAX_BYTES:
            return self._refuse(
                400, "ValidationException", "Total size of the entries in the request is over the limit."
            )
        return self._put(entries, trouble)

    def _put(self, entries: list[dict[str, Any]], trouble: Trouble | None) -> None:
        if trouble is Trouble.ENTRY:
            failed = {"ErrorCode": "InternalFailure", "ErrorMessage": f"as it was told: {trouble}"}
            answers = [failed] * len(entries)
        else:
            answers = [self.service.take(entry) for entry in entries]
        if trouble is not Trouble.LOST:
            count = sum("ErrorCode" in answer for answer in answers)
            self._answer(200, {"FailedEntryCount": count, "Entries": answers})

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._answer(status, {"__type": code, "message": message})

    def _answer(self, status: int, content: Mapping[str, Any]) -> None:
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.1"})
