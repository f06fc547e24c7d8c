"""Reads events of CloudWatch Logs page by page, and sets retention. The only module that calls it.

FilterLogEvents returns up to 10,000 events or 1 MB a page, by time; a page may be empty and yet name a next one, and
its `endTime` still belongs to the range, other than GetLogEvents' (CloudWatch Logs API reference). It allows few
requests a second for a whole account, so that throttling is usual: a throttled request is repeated, with growing
pauses, as long as there is time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nightshift.errors import NightshiftError

TRIES = 9
PAUSE_S, MAX_PAUSE_S = 0.5, 20.0
"""Pause before the second try, and its maximum; doubled before each further one: about a minute in all."""

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
    """CloudWatch's own, or boto3's."""

    @property
    def sentence(self) -> str:
        """Returns the error in its words, and the remedy, for a list of missing logs."""
        sentence = f"{self.message}: {self.words}" if self.words else self.message
        return f"{sentence} ({self.hint})" if self.hint else sentence


class LogsOutOfTime(LogsUnavailable):
    """There is no time left to ask again."""


class TokenRefused(LogsUnavailable):
    """CloudWatch does not know this token any more: tokens live for 24 hours."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event; times in milliseconds since 1970."""

    timestamp: int
    stream: str
    message: str
    ingestion_time: int | None
    event_id: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some events by time, maybe none, and the token of the next page; None: this is the last."""

    events: tuple[LogEvent, ...]
    token: str | None


class CloudWatchLogs:
    """CloudWatch Logs of one account and region."""

    def __init__(
        self, connect: Callable[[], Any] | None = None, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Args:
        connect: gives boto3's client; asked when the first request is due. None: `make_client`.
        """
        self._connect = connect or make_client
        self._sleep = sleep
        self._client: Any = None

    def fetch_page(self, group: str, start_ms: int, end_ms: int, token: str | None, *, deadline: float) -> LogPage:
        """One page of a group's events.

        Args:
            start_ms, end_ms: milliseconds since 1970, the latter not in the range.
            token: of the page; None: the first.
            deadline: `time.monotonic()` value after which it is not asked again.

        Raises:
            TokenRefused: the token is too old, or never was one.
            LogsOutOfTime, LogsUnavailable: there is no answer, or the same empty page again and again.
        """
        at = {"nextToken": token} if token else {}
        try:
            answer = self._ask(
                "filter_log_events",
                deadline,
                group,
                "events",
                logGroupName=group,
                startTime=start_ms,
                endTime=end_ms - 1,
                **at,
            )
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
        """Set a group's retention where it differs.

        Raises:
            LogsUnavailable: it could not be asked, or refused.
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
        """Call, and call again where that may help.

        Args:
            expected: what every answer has. Without it the answer is somebody else's, e.g. a proxy's page, which
                boto3 takes for one without events.
        """
        pause = PAUSE_S
        cause: Exception | None
        for attempt in range(1, TRIES + 1):
            try:
                answer = getattr(self._connected(), operation)(**arguments)
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
            self._sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_S)
        raise AssertionError("the last try returns or raises")

    def _connected(self) -> Any:
        """The client, built by the first call: that it cannot be built is an answer like any other."""
        if self._client is None:
            self._client = self._connect()
        return self._client


def make_client() -> Any:
    """boto3's client, from the environment; asking again is `CloudWatchLogs`'s own affair."""
    import boto3
    from botocore.config import Config

    # What is kept of a run's time for its manifest is longer than one request that is never answered.
    config = Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 1}, user_agent_extra="nightshift")
    return boto3.session.Session().client("logs", config=config)


def _judged(exc: Exception) -> tuple[str, bool]:
    """Returns the error in a word, and whether a retry may help; raises errors that are no answer of CloudWatch's."""
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
