"""What can go wrong between us and S3, each as a small function that stands between a request and its answer.

`tests/support/s3_proxy.py` decides which requests meet them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Request:
    """What the client sent. `target` is the decoded path and query: `bucket/key?query`."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(slots=True)
class Response:
    """What the client is to receive. `headers` keep S3's own `Content-Length`, which a `HEAD` needs."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Disconnect(Exception):
    """Close the client's connection without an answer."""


Forward = Callable[[Request], Response]
Action = Callable[[Request, Forward], Response]
"""Takes a request and the way to the real S3, and returns an answer or raises `Disconnect`."""


def answer(status: int, code: str, message: str = "injected") -> Action:
    """Answer with an S3 error; the request never reaches the store."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'

    def action(request: Request, _forward: Forward) -> Response:
        content = b"" if request.method == "HEAD" else body.encode()
        return Response(status, [("Content-Type", "application/xml")], content)

    return action


def slow_down() -> Action:
    return answer(503, "SlowDown", "Please reduce your request rate.")


def internal_error() -> Action:
    return answer(500, "InternalError", "We encountered an internal error. Please try again.")


def access_denied() -> Action:
    return answer(403, "AccessDenied", "Access Denied")


def no_such_bucket() -> Action:
    return answer(404, "NoSuchBucket", "The specified bucket does not exist")


def precondition_failed() -> Action:
    return answer(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def disconnect() -> Action:
    """Close the connection; the request never reaches the store."""

    def action(_request: Request, _forward: Forward) -> Response:
        raise Disconnect

    return action


def store_then_disconnect() -> Action:
    """Let the store carry the request out, then close the connection in place of the answer."""

    def action(request: Request, forward: Forward) -> Response:
        forward(request)
        raise Disconnect

    return action


def store_then_stall(release: threading.Event) -> Action:
    """Let the store carry the request out, then say nothing until `release` is set: a time-out for the client."""

    def action(request: Request, forward: Forward) -> Response:
        forward(request)
        release.wait()
        raise Disconnect

    return action


def corrupt_stored() -> Action:
    """Flip a bit in the middle of the body on its way in; headers, checksums among them, stay as they were."""

    def action(request: Request, forward: Forward) -> Response:
        request.body = _flipped(request.body)
        return forward(request)

    return action


def corrupt_returned() -> Action:
    """Flip a bit in the middle of the body on its way out; what is stored stays intact."""

    def action(request: Request, forward: Forward) -> Response:
        response = forward(request)
        response.body = _flipped(response.body)
        return response

    return action


def truncate_returned() -> Action:
    """Send half of the body under the whole one's `Content-Length`, then close."""

    def action(request: Request, forward: Forward) -> Response:
        response = forward(request)
        response.body = response.body[: len(response.body) // 2]
        response.headers.append(("Connection", "close"))
        return response

    return action


def alter_headers(changes: Mapping[str, str | None]) -> Action:
    """Replace headers of the answer, or remove those given as None: a store that states something else."""
    names = {name.lower() for name in changes}

    def action(request: Request, forward: Forward) -> Response:
        response = forward(request)
        kept = [(name, value) for name, value in response.headers if name.lower() not in names]
        response.headers = kept + [(name, value) for name, value in changes.items() if value is not None]
        return response

    return action


def delay(seconds: float) -> Action:
    """Add latency."""

    def action(request: Request, forward: Forward) -> Response:
        time.sleep(seconds)
        return forward(request)

    return action


def call_before(hook: Callable[[Request], None]) -> Action:
    """Run `hook` while the client waits and the store has not yet seen the request."""

    def action(request: Request, forward: Forward) -> Response:
        hook(request)
        return forward(request)

    return action


def call_after(hook: Callable[[Request], None]) -> Action:
    """Run `hook` once the store has carried the request out and before the client hears of it."""

    def action(request: Request, forward: Forward) -> Response:
        response = forward(request)
        hook(request)
        return response

    return action


def _flipped(body: bytes) -> bytes:
    if not body:
        raise AssertionError("nothing to corrupt: the body is empty")
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
