"""What S3 may say to DeleteObjects, beside yes; each as an action for `tests/support/s3_proxy.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from xml.sax.saxutils import escape

from tests.support.s3_faults import Action, Forward, Request, Response

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def keys_of(request: Request) -> list[str]:
    """The keys that a request to DeleteObjects names."""
    return [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", request.body.decode(), re.DOTALL)]


def refuse(codes: Mapping[str, str], *, also: Mapping[str, str] | None = None) -> Action:
    """Delete all of a request's keys but some, and say so.

    Args:
        codes: key → the code with which it is refused.
        also: keys that nobody asked for, of which the answer speaks too.
    """

    def action(request: Request, forward: Forward) -> Response:
        refused = {key: code for key, code in codes.items() if key in keys_of(request)}
        for key in refused:
            part = f"<Object><Key>{escape(key)}</Key></Object>".encode()
            assert part in request.body, request.body
            request.body = request.body.replace(part, b"")
        # The store takes no request without a key.
        if keys_of(request):
            forward(request)
        return deleted(refused | dict(also or {}))

    return action


def deleted(refused: Mapping[str, str] | None = None) -> Response:
    """The answer in quiet mode: the keys that were not deleted, and why."""
    errors = "".join(
        f"<Error><Key>{escape(key)}</Key><Code>{code}</Code><Message>injected</Message></Error>"
        for key, code in (refused or {}).items()
    )
    body = f'<?xml version="1.0" encoding="UTF-8"?><DeleteResult xmlns="{NAMESPACE}">{errors}</DeleteResult>'
    return Response(200, [("Content-Type", "application/xml")], body.encode())


def say(body: str, status: int = 200) -> Action:
    """Answer with these bytes; the request never reaches the store."""

    def action(_request: Request, _forward: Forward) -> Response:
        return Response(status, [("Content-Type", "application/xml")], body.encode())

    return action


def malformed_where(part: str) -> Action:
    """Refuse a request as S3 does if it cannot read the XML, but only one whose body has `part`."""

    def action(request: Request, forward: Forward) -> Response:
        if part.encode() not in request.body:
            return forward(request)
        body = "<Error><Code>MalformedXML</Code><Message>The XML you provided was not well-formed</Message></Error>"
        return Response(400, [("Content-Type", "application/xml")], body.encode())

    return action
