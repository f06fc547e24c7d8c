"""Extracts a job's keys, such as `dry_run`, from the event. An envelope of AWS may contain the keys.

The module accepts five forms of events. Every key of an event is checked, because an overlooked `dry_run` would delete
rows.

* No envelope: the input of a schedule or of an operator.
* EventBridge, from a rule or from a schedule without an input: the keys are in `detail`. EventBridge Scheduler writes
  `detail` as text (https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html).
* HTTP, from a function URL, API Gateway (1.0 and 2.0) or a load balancer: the keys are in the JSON body. A request
  without a body, or with a query string, is refused, because browsers and link previews send such requests unasked.
* Lambda's record of a failed invocation: `requestPayload` is the failed event
  (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html).
* The same record in an event of EventBridge, in `detail`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nightshift.errors import InvalidEvent

_EVENTBRIDGE_KEYS = frozenset(
    {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name"}
)
_HTTP_KEYS = frozenset(
    {"version", "routeKey", "rawPath", "rawQueryString", "cookies", "headers", "queryStringParameters"}
    | {"requestContext", "body", "pathParameters", "isBase64Encoded", "stageVariables", "resource", "path"}
    | {"httpMethod", "multiValueHeaders", "multiValueQueryStringParameters"}
)
_QUERY_KEYS = ("queryStringParameters", "multiValueQueryStringParameters", "rawQueryString")
_RECORD_KEYS = frozenset(
    {"version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload"}
)
_MISPLACED_KEYS = frozenset({"dryrun", "force", "scheduledtime"})
"""Keys of every job, in lower case and without separators, as path parameters or stage variables may spell them."""

_DEPTH = 4
"""Maximum nesting of envelopes. A record contains an event, and another envelope may contain the record."""


def unwrap_event(event: object, *, depth: int = _DEPTH) -> Mapping[str, Any]:
    """Returns the job's keys in an event.

    Raises:
        InvalidEvent: the event has none of the accepted forms, or has a key in a wrong place.
    """
    if event is None:
        return {}
    if not isinstance(event, Mapping):
        raise InvalidEvent(
            "the event is not a JSON object",
            detail=f"got: {type(event).__name__}",
            hint='send {} or {"scheduled_time": "2025-10-15T00:00:00Z"}',
        )
    if depth == 0:
        raise InvalidEvent("the event is nested too deeply", hint="send the innermost event by itself")
    if "detail-type" in event:
        return _eventbridge_detail(event, depth)
    if "requestPayload" in event:
        return _failed_payload(event, depth)
    if "requestContext" in event:
        return _http_body(event)
    return event


def _eventbridge_detail(event: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    _check_keys(event, _EVENTBRIDGE_KEYS, 'put it into "detail"')
    detail = event.get("detail")
    if isinstance(detail, str):
        detail = _parse_json(detail, "the envelope's detail")
    if detail is None:
        detail = {}
    if not isinstance(detail, Mapping):
        raise InvalidEvent("the envelope's detail is not a JSON object", detail=f"got: {type(detail).__name__}")
    if "requestPayload" in detail:
        return _failed_payload(detail, depth)
    return {"scheduled_time": event.get("time"), **detail}


def _failed_payload(record: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    _check_keys(record, _RECORD_KEYS, 'put it into "requestPayload", the event that is tried again')
    context = record.get("requestContext")
    condition = context.get("condition") if isinstance(context, Mapping) else None
    if condition == "Success":
        raise InvalidEvent(
            "the record is of an invocation that succeeded", hint="send its requestPayload by itself to run it again"
        )
    payload = record["requestPayload"]
    if payload is None:
        raise InvalidEvent("the record of a failed invocation holds no event", hint="send the event by itself")
    return unwrap_event(payload, depth=depth - 1)


def _http_body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    _check_keys(event, _HTTP_KEYS, "put it into the JSON body")
    query = [event.get(key) for key in _QUERY_KEYS if event.get(key)]
    if query:
        # The error has only names, because a value may be a token.
        names = {name for part in query if isinstance(part, Mapping) for name in part}
        raise InvalidEvent(
            "the HTTP request has a query string",
            detail=f"parameters: {_listed(names)}",
            hint="keys are read from the JSON body alone; nothing was run",
        )
    _check_parameters(event)
    raw = event.get("body")
    if raw is None or raw == "":
        raise InvalidEvent("the HTTP request has no body", hint="POST {} to run the job; nothing was run")
    try:
        if event.get("isBase64Encoded"):
            raw = base64.b64decode(raw, validate=True).decode("utf-8")
    except (binascii.Error, TypeError, ValueError) as exc:
        raise InvalidEvent("the body of the HTTP request is not JSON") from exc
    body = _parse_json(raw, "the body of the HTTP request")
    if not isinstance(body, Mapping):
        raise InvalidEvent("the body of the HTTP request is not a JSON object", detail=f"got: {type(body).__name__}")
    return body


def _check_parameters(event: Mapping[str, Any]) -> None:
    """Refuses path parameters and stage variables with the name of a job's key. Other names belong to the route."""
    for place in ("pathParameters", "stageVariables"):
        named = event.get(place)
        names = named if isinstance(named, Mapping) else ()
        misplaced = [name for name in names if re.sub("[_-]", "", str(name)).lower() in _MISPLACED_KEYS]
        if misplaced:
            raise InvalidEvent(
                "the HTTP request has keys outside their place",
                detail=f"{place}: {_listed(misplaced)}",
                hint="keys are read from the JSON body alone; nothing was run",
            )


def _parse_json(text: object, what: str) -> object:
    """Returns the value of a JSON text. Refuses an object with the same key twice: the intended value is unknown."""
    repeated: set[str] = set()

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        collected = dict(pairs)
        if len(collected) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.update(name for name in names if names.count(name) > 1)
        return collected

    try:
        value: object = json.loads(text, object_pairs_hook=collect)  # type: ignore[arg-type]  # TypeError is caught
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidEvent(f"{what} is not JSON") from exc
    if repeated:
        raise InvalidEvent(f"{what} names a key twice", detail=f"repeated: {_listed(repeated)}")
    return value


def _check_keys(event: Mapping[str, Any], known: frozenset[str], cure: str) -> None:
    unknown = set(event) - known
    if unknown:
        raise InvalidEvent(
            "the event has keys outside their place",
            detail="\n".join(f"{key[:80]}: unknown key" for key in sorted(unknown)[:20]),
            hint=f"a key beside the envelope's own is not read; {cure}",
        )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(str(name)[:80] for name in names)[:20])
