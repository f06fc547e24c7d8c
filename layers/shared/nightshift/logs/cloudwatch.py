"""Reads events of CloudWatch Logs page by page, and sets retention. No other module calls CloudWatch Logs.

FilterLogEvents returns up to 10,000 events or 1 MB per page, ordered by time. An empty page may have a next page. The
range includes events at `endTime`; GetLogEvents excludes them (CloudWatch Logs API reference). CloudWatch Logs allows
few requests per second for a whole account, so throttling is common. A throttled request is repeated after growing
pauses until the deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nightshift.errors import NightshiftError

TRIES = 9
PAUSE_S, MAX_PAUSE_S = 0.5, 20.0
"""Seconds of pause before the second try, and the maximum. The pause doubles: about a minute in all."""

RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288),
    3653,
)
"""Numbers of days that PutRetentionPolicy accepts (API reference)."""

_AGAIN = {
    *("ThrottlingException", "Throttling", "LimitExceededException", "ServiceUnavailableException"),
    *("ServiceUnavailable", "InternalFailure", "InternalServerException", "OperationAbortedException"),
}
_NOT_ITS_ANSWER = "an answer that is not CloudWatch's"
_HINTS = {
    "AccessDeniedException": "the role needs logs:FilterLogEvents on the group, and for its retention "
    "logs:DescribeLogGroups and logs:PutRetentionPolicy",
    "ResourceNotFoundException": "correct BACKUP_LOG_GROUPS: there is no such log group in this region",
    _NOT_ITS_ANSWER: "check AWS_ENDPOINT_URL and any proxy",
}


class LogsUnavailable(NightshiftError):
    """CloudWatch Logs refused, or did not answer in time."""

    code = ""
    words = ""
    """The error message of CloudWatch Logs or of boto3."""

    @property
    def sentence(self) -> str:
        """Returns the error and its hint as one sentence, for the list of missing logs."""
        sentence = f"{self.message}: {self.words}" if self.words else self.message
        return f"{sentence} ({self.hint})" if self.hint else sentence


class LogsOutOfTime(LogsUnavailable):
    """CloudWatch Logs did not answer, and the deadline leaves no time for another try."""


class TokenRefused(LogsUnavailable):
    """CloudWatch Logs refused a page token. A token is valid for 24 hours."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One log event. Times are in milliseconds since 1970."""

    timestamp: int
    stream: str
    message: str
    ingestion_time: int | None
    event_id: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of events, ordered by time and possibly empty. `token` names the next page; None: the last page."""

    events: tuple[LogEvent, ...]
    token: str | None


def make_client() -> Any:
    """Returns boto3's client, configured by the environment. `CloudWatchLogs` retries, not the client."""
    import boto3
    from botocore.config import Config

    # One unanswered request takes less time than a run reserves for writing its manifest.
    config = Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 1}, user_agent_extra="nightshift")
    return boto3.session.Session().client("logs", config=config)


@dataclass(frozen=True)
class CloudWatchLogs:
    """CloudWatch Logs of one account and region. `connect` returns boto3's client."""

    connect: Callable[[], Any] = make_client
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def _client(self) -> Any:
        """The first request creates the client, so that `_ask` handles a failure to create it."""
        return self.connect()

    def fetch_page(self, group: str, start_ms: int, end_ms: int, token: str | None, *, deadline: float) -> LogPage:
        """Returns one page of a group's events.

        Args:
            start_ms, end_ms: milliseconds since 1970. The range excludes `end_ms`.
            token: the page's token; None: the first page.
            deadline: `time.monotonic()` value after which the request is not repeated.

        Raises:
            TokenRefused: the token is too old, or CloudWatch Logs never issued it.
            LogsOutOfTime, LogsUnavailable: CloudWatch Logs does not answer, or repeats the same empty page.
        """
        at = {"nextToken": token} if token else {}
        try:
            period = {"startTime": start_ms, "endTime": end_ms - 1}
            answer = self._ask("filter_log_events", deadline, group, "events", logGroupName=group, **period, **at)
        except LogsUnavailable as exc:
            if token and exc.code == "InvalidParameterException":
                raise TokenRefused(exc.message, detail=exc.detail) from exc
            raise
        events = tuple(
            LogEvent(e["timestamp"], e["logStreamName"], e["message"], e.get("ingestionTime"), e["eventId"])
            for e in answer["events"]
        )
        if token and answer.get("nextToken") == token and not events:
            raise LogsUnavailable("CloudWatch Logs: the same page again and again", detail=group)
        return LogPage(events, answer.get("nextToken"))

    def set_retention(self, group: str, days: int, *, deadline: float) -> None:
        """Set a log group's retention, unless the group has this retention already.

        Raises:
            LogsUnavailable: CloudWatch Logs did not answer, or refused.
        """
        token: str | None = None
        while True:
            at = {"nextToken": token} if token else {}
            answer = self._ask("describe_log_groups", deadline, group, "logGroups", logGroupNamePrefix=group, **at)
            facts = next((entry for entry in answer["logGroups"] if entry["logGroupName"] == group), None)
            token = answer.get("nextToken")
            if facts is not None or not token:
                break
        if facts is None or facts.get("retentionInDays") != days:
            self._ask("put_retention_policy", deadline, group, None, logGroupName=group, retentionInDays=days)

    def _ask(self, operation: str, deadline: float, group: str, expected: str | None, **arguments: Any) -> Any:
        """Call an operation, and repeat the call after errors that may pass.

        Args:
            expected: key that every answer of CloudWatch Logs has. An answer without the key comes from another
                server, e.g. from a proxy. boto3 would read a proxy's page as an answer without events.
        """
        pause = PAUSE_S
        cause: Exception | None
        for attempt in range(1, TRIES + 1):
            try:
                answer = getattr(self._client, operation)(**arguments)
            except Exception as exc:
                (code, again), cause = _judged(exc), exc
            else:
                if expected is None or expected in answer:
                    return answer
                (code, again), cause = (_NOT_ITS_ANSWER, True), None
            if not again or attempt == TRIES:
                raise _unavailable(LogsUnavailable, code, group, cause) from cause
            if time.monotonic() + pause > deadline:
                raise _unavailable(LogsOutOfTime, code, group, cause) from cause
            self.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_S)
        raise AssertionError("the last try returns or raises")


def _judged(exc: Exception) -> tuple[str, bool]:
    """Returns the error's code, and whether a retry may help. Errors that are not boto3's are raised again."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.parsers import ResponseParserError

    if isinstance(exc, ClientError):
        status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(exc.response.get("Error", {}).get("Code") or status)
        return code, code in _AGAIN or status >= 500
    if isinstance(exc, BotoCoreError | ResponseParserError):
        return type(exc).__name__, isinstance(exc, HTTPClientError | ResponseParserError)
    raise exc


def _unavailable(kind: type[LogsUnavailable], code: str, group: str, exc: Exception | None = None) -> LogsUnavailable:
    from nightshift.aws_failures import hint_of, words_of

    hint = _HINTS.get(code) or (exc and hint_of(exc)) or "the next run tries again"
    words = words_of(exc) if exc else ""
    error = kind(f"CloudWatch Logs: {code}", detail=f"{group}: {words}" if words else group, hint=hint)
    error.code, error.words = code, words
    return error
