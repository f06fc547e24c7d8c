"""Retry policy shared by Slack API calls and file uploads, bounded by the run's deadline.

The SDK's own retry handlers are switched off. The SDK's handlers sleep without regard to the deadline, and do not cover
the upload of bytes. This module retries transient errors: rate limits, server errors and lost connections. After a rate
limit, the wait is as long as Slack asks. Slack may have executed a request whose answer was lost, so a message can
appear twice. A repeated message is better than a missing message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, TypeVar
from urllib.error import HTTPError, URLError

from nightshift.errors import NotifyError

if TYPE_CHECKING:
    from slack_sdk.web import SlackResponse

T = TypeVar("T")

MAX_TRIES = 5
MAX_PATIENCE_S = 60.0
"""Maximum time for one message and its files, in seconds. The limit saves cost: AWS also bills a Lambda that waits."""
MIN_TIMEOUT_S, MAX_TIMEOUT_S = 1, 10
"""Limits of the timeout of one request, in whole seconds, because the SDK takes whole seconds."""
FIRST_WAIT_S = 0.5
"""Wait before the second try, in seconds, if Slack names no wait. The wait doubles with each try."""

PASSING = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
"""Slack's error codes of transient errors, with any HTTP status."""

HINTS = {
    "account_inactive": "the bot was removed from the workspace: install it again and renew SLACK_BOT_TOKEN",
    "channel_is_archived": "unarchive the channel, or set SLACK_CHANNEL to another",
    "channel_not_found": "check SLACK_CHANNEL; a private channel is only found once the bot is invited to it",
    "invalid_auth": "check SLACK_BOT_TOKEN (or the secret in SLACK_SECRET_ARN); a bot's token starts with xoxb-",
    "invalid_blocks": "Slack does not take the message's blocks; please report this as a bug of nightshift",
    "is_archived": "unarchive the channel, or set SLACK_CHANNEL to another",
    "missing_scope": "give the bot the scopes chat:write and files:write, then install it again",
    "msg_blocks_too_long": "the message is too long; please report this as a bug of nightshift",
    "msg_too_long": "the message is too long; please report this as a bug of nightshift",
    "not_authed": "set SLACK_BOT_TOKEN or SLACK_SECRET_ARN",
    "not_in_channel": "invite the bot to the channel: /invite @<its name>",
    "restricted_action": "a workspace setting forbids the bot to post there: ask a workspace admin",
    "storage_limit_reached": "the workspace's file storage is full; set SLACK_ATTACH_CSV=off or free some",
    "token_expired": "renew SLACK_BOT_TOKEN",
    "token_revoked": "renew SLACK_BOT_TOKEN",
}
"""Actions for the operator, by Slack's error code (https://docs.slack.dev/reference/methods/chat.postMessage)."""


_CODE = re.compile(r"[a-z][a-z0-9_:.,]{1,99}")
"""Pattern of Slack's error codes and scopes. Error messages never contain other text of an answer."""

_NOT_SLACK = "another server answers: check SLACK_API_URL and any proxy"


@dataclass(frozen=True, slots=True)
class SlackFailure:
    """Cause of a failed try.

    Attributes:
        reason: the error of Slack or of the network, without secrets.
        passing: whether the error is transient, so that another try may succeed.
        retry_after: wait that Slack asks for, in seconds.
    """

    reason: str
    passing: bool
    hint: str | None = None
    retry_after: float | None = None


class RetryBudget:
    """Time limit for one message and its files, with retries of failed requests."""

    def __init__(self, deadline: float, sleep: Callable[[float], None]) -> None:
        """`deadline` is a `time.monotonic()` value; `MAX_PATIENCE_S` may end the tries earlier."""
        self._deadline = min(deadline, time.monotonic() + MAX_PATIENCE_S)
        self._sleep = sleep

    def call_with_retry(self, what: str, ask: Callable[[int], T], *, requests: int = 1) -> T:
        """Calls `ask` until a call succeeds, and returns its result.

        Args:
            what: name of the call, for errors.
            ask: makes the requests. The argument is the timeout of one request, in seconds.
            requests: number of requests that one call of `ask` makes.

        Raises:
            NotifyError: Slack refused the call, kept failing, or asks for a longer wait than the deadline allows.
        """
        tries = 0
        while True:
            timeout = min(MAX_TIMEOUT_S, int(self._remaining() / requests))
            if timeout < MIN_TIMEOUT_S:
                raise NotifyError("there was no time left to tell Slack", detail=f"{what}: not asked")
            try:
                return ask(timeout)
            except NotifyError:
                raise
            except Exception as exc:  # the SDK may raise any exception, and a failure of Slack must not fail the run
                failure = explain_failure(exc)
            # Raised outside the `except`, so that the error does not refer to the SDK's error, which has the token.
            tries += 1
            if not failure.passing or tries == MAX_TRIES:
                raise NotifyError("Slack was not told", detail=f"{what}: {failure.reason}", hint=failure.hint)
            wait = FIRST_WAIT_S * 2 ** (tries - 1) if failure.retry_after is None else failure.retry_after
            if wait + MIN_TIMEOUT_S * requests > self._remaining():
                detail = f"{what}: {failure.reason}; wait {wait:g} s, left {max(0.0, self._remaining()):.1f} s"
                raise NotifyError("Slack would have us wait past the deadline", detail=detail, hint=failure.hint)
            self._sleep(wait)

    def _remaining(self) -> float:
        return self._deadline - time.monotonic()


def explain_failure(exc: Exception) -> SlackFailure:
    """Classifies a failed request. For an unknown exception, `reason` has only the type: the text may have a header."""
    from slack_sdk.errors import SlackApiError

    if isinstance(exc, SlackApiError):
        return _refusal(exc.response)
    if isinstance(exc, HTTPError):
        return _status(exc.code, exc.headers.get("Retry-After"))
    if isinstance(exc, URLError):
        hint = "check SLACK_API_URL and any proxy; in a VPC the function needs a NAT gateway"
        return SlackFailure(f"no connection: {exc.reason}", passing=True, hint=hint)
    if isinstance(exc, (OSError, HTTPException)):
        return SlackFailure(f"connection lost: {type(exc).__name__}", passing=True)
    if isinstance(exc, ValueError):  # the answer is not JSON, or not UTF-8
        return SlackFailure(f"{type(exc).__name__}, not Slack's answer", passing=True, hint=_NOT_SLACK)
    return SlackFailure(f"unexpected {type(exc).__name__}", passing=False)


def _refusal(response: SlackResponse) -> SlackFailure:
    headers = {name.lower(): value for name, value in response.headers.items()}
    failure = _status(response.status_code, headers.get("retry-after"))
    if failure.passing:
        return failure
    answer = response.data if isinstance(response.data, dict) else {}
    error, needed = str(answer.get("error", "")), str(answer.get("needed", ""))
    if not _CODE.fullmatch(error):
        ok = response.status_code == HTTPStatus.OK  # a proxy may have sent a page of its own, which is transient
        return SlackFailure(f"{failure.reason}, but not Slack's answer", passing=ok, hint=_NOT_SLACK)
    reason = f"{error}, needed: {needed}" if _CODE.fullmatch(needed) else error
    return SlackFailure(reason, error in PASSING, HINTS.get(error), _seconds(headers.get("retry-after")))


def _status(status: int, retry_after: str | None) -> SlackFailure:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return SlackFailure("rate limited (HTTP 429)", passing=True, retry_after=_seconds(retry_after))
    return SlackFailure(f"HTTP {status}", passing=status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def _seconds(header: str | None) -> float | None:
    return float(header) if header and re.fullmatch(r"\d{1,9}", header.strip()) else None
