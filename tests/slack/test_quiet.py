"""Which runs Slack hears of: all of them, but for hourly ones that had nothing to do."""

from __future__ import annotations

import sys
import time

import pytest
from aws_lambda_powertools import Logger

from local.slack import CHANNEL, SlackServer
from nightshift.errors import NightshiftError
from nightshift.notifications import notify
from nightshift.results.cleanup import CleanupResult
from nightshift.results.common import JobResult, RunRefused, RunStatus
from nightshift.results.expiry import ExpiredTable, FilesResult
from nightshift.run import JobRun
from nightshift.settings import Settings
from tests.slack.expiry_facts import EXPIRED, NO_FILES, NOTHING_EXPIRED, swept
from tests.slack.facts import AS_OF, LOST, NOTHING, cleaned
from tests.slack.support import POST, TOKEN

IDLE = swept(NOTHING_EXPIRED, files=NO_FILES)


def tell_of(slack: SlackServer, result: JobResult | None, error: Exception | None = None, **given: str) -> bool:
    settings = Settings.from_env(
        {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": CHANNEL, "SLACK_API_URL": slack.url, **given}
    )
    job = "cleanup" if isinstance(result, CleanupResult) else "expire_jobs"
    run = JobRun(job=job, as_of=AS_OF, deadline=time.monotonic() + 30)
    logger = Logger(service="test.quiet", stream=sys.stderr)
    return notify(settings, run, logger, duration_ms=1, request_id=None, result=result, error=error)


@pytest.mark.parametrize(
    "result", [IDLE, swept(NOTHING_EXPIRED, NOTHING_EXPIRED, files=NO_FILES), swept(files=NO_FILES)]
)
def test_an_hour_with_nothing_to_do_is_passed_over(slack: SlackServer, result: JobResult) -> None:
    assert tell_of(slack, result) is True
    assert slack.requests == []


def test_unless_every_run_is_wanted(slack: SlackServer) -> None:
    assert tell_of(slack, IDLE, EXPIRE_QUIET="off") is True
    assert [message.seen for message in slack.messages] == ["✅ 만료된 작업이 없습니다. (기준: 09:00 KST)"]


LEFT = ExpiredTable(table="public.job", status=RunStatus.PARTIAL, busy=1)
NO = ExpiredTable(table="public.job", status=RunStatus.REFUSED)


@pytest.mark.parametrize(
    ("result", "error", "expected"),
    [
        (swept(EXPIRED), None, "🧹 만료 작업 정리: job 124건"),
        (swept(NOTHING_EXPIRED, LEFT, files=NO_FILES), None, "🧹 만료 작업 정리: job 0건"),
        (swept(NOTHING_EXPIRED, NO, files=NO_FILES), None, "🧹 만료 작업 정리: job 0건"),
        (swept(NOTHING_EXPIRED, files=FilesResult(waiting=1)), None, "✅ 만료된 작업이 없습니다."),
        (swept(NOTHING_EXPIRED, files=FilesResult(deleted=1)), None, "🧹 만료 작업 정리: 파일 1개 삭제"),
        (IDLE, LOST, "🚨 만료 작업 정리 실행 실패"),
        (None, LOST, "🚨 만료 작업 정리 실행 실패"),
        (RunRefused(reason="another run"), None, "⏸️ 만료 작업 정리"),
        (cleaned(NOTHING), None, "✅ 백업할 오래된 로그가 없습니다."),
    ],
)
def test_anything_else_is_told(
    slack: SlackServer, result: JobResult | None, error: NightshiftError | None, expected: str
) -> None:
    assert tell_of(slack, result, error) is True
    (message,) = slack.messages
    assert message.seen.startswith(expected)


def test_a_slack_that_is_down_is_noticed(slack: SlackServer) -> None:
    slack.fail_next(POST, body={"ok": False, "error": "channel_not_found"})
    assert tell_of(slack, swept(EXPIRED)) is False
