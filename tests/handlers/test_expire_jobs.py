"""`expire_jobs` as Lambda runs it: through the runtime, by its own events, against servers that stop answering."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from local.artefact import ROOT
from local.job_data import all_file_keys
from local.jobs import ROWS_A_JOB
from local.lambda_runtime import LambdaRuntime
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from tests.handlers import metrics
from tests.handlers.scene import EXPIRED, LIVING, MOMENT, Orders, answer_of
from tests.support.s3_faults import access_denied, store_then_stall
from tests.support.s3_proxy import S3Proxy
from tests.support.tcp_proxy import TcpProxy

AN_HOUR_LATER = {"scheduled_time": "2025-10-13T01:00:00Z"}
FILES = EXPIRED * ROWS_A_JOB["job_file"]


@pytest.fixture
def orders(environment: dict[str, str], s3: EmbeddedS3) -> Orders:
    return Orders("expire_jobs", metrics.measured(environment), s3)


@pytest.fixture
def warm(orders: Orders) -> Iterator[LambdaRuntime]:
    """The function in one environment for the whole test."""
    with orders.runtime() as runtime:
        yield runtime


@pytest.mark.fast_cases("expire_jobs.json")
@pytest.mark.parametrize("path", ["expire_jobs.json", "expire_jobs.dry_run.json"])
def test_the_events_that_come_along_do_what_they_say(orders: Orders, warm: LambdaRuntime, path: str) -> None:
    dry = "dry_run" in path
    answer = answer_of(warm.invoke((ROOT / "events" / path).read_bytes()))
    (table,) = answer["tables"]
    assert (answer["job"], answer["status"], answer["as_of"]) == ("expire_jobs", "dry_run" if dry else "ok", MOMENT)
    assert (table["table"], table["expired"]) == ("public.job", EXPIRED)
    assert table["deleted_rows"] == {f"public.{name}": EXPIRED * each for name, each in ROWS_A_JOB.items()}
    assert (answer["files"]["queued"], answer["files"]["deleted"]) == (FILES, 0 if dry else FILES)
    assert orders.untouched() is dry
    assert orders.done() is not dry


def test_the_slack_reader_is_told_and_not_of_an_hour_without_work(
    orders: Orders, warm: LambdaRuntime, slack: SlackServer
) -> None:
    first, second = warm.invoke(orders.event), warm.invoke(orders.event)
    assert (first.init_ms is None, second.init_ms is None) == (False, True)
    assert (answer_of(first)["status"], answer_of(second)["status"]) == ("ok", "nothing")
    (message,) = slack.messages
    assert message.seen.startswith(f"🧹 만료 작업 정리: job {EXPIRED}건 · 하위 {EXPIRED * 12}행 (")
    assert message.seen.endswith(f" · 파일 {FILES}개 삭제 · 09:00 KST")
    assert orders.done()


@pytest.mark.slow
def test_an_event_that_is_not_understood_touches_nothing(orders: Orders, warm: LambdaRuntime) -> None:
    for event in ({"dry-run": True}, {"table": "job"}, {"scheduled_time": "yesterday"}, [orders.event]):
        assert warm.invoke(json.dumps(event).encode()).error_type == "InvalidEvent", event
    assert orders.untouched()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"NIGHTSHIFT_CONFIG": ""}, ["no policy says what expires"]),
        ({"EXPIRE_BATCH": "none", "EXPIRE_LOCK_TIMEOUT": "0"}, ["EXPIRE_BATCH", "EXPIRE_LOCK_TIMEOUT"]),
    ],
    ids=["no policy", "wrong settings"],
)
def test_a_wrong_setting_fails_by_name_and_touches_nothing(
    orders: Orders, slack: SlackServer, wrong: dict[str, str], words: list[str]
) -> None:
    orders.env |= wrong
    with orders.runtime() as runtime:
        result = runtime.invoke(orders.event)
    assert result.error_type == "InvalidSettings"
    assert all(word in str(result.error_message) for word in words)
    assert slack.messages[-1].seen.startswith("🚨")
    assert orders.untouched()


@pytest.mark.slow
def test_s3_that_says_no_is_told_and_asked_again(orders: Orders, s3: EmbeddedS3, slack: SlackServer) -> None:
    with S3Proxy(s3.endpoint) as proxy, orders.runtime(AWS_ENDPOINT_URL=proxy.endpoint) as runtime:
        refused = proxy.inject(access_denied(), method="POST", times=None)
        answer = answer_of(runtime.invoke(orders.event))
        assert refused.fired > 0
        assert (answer["status"], answer["tables"][0]["status"]) == ("partial", "ok")
        assert [(one["code"], one["count"]) for one in answer["files"]["failures"]] == [("AccessDenied", FILES)]
        assert answer["files"]["waiting"] == orders.waiting() == FILES
        assert "AccessDenied" in slack.messages[-1].seen
        proxy.heal()
        later = answer_of(runtime.invoke(AN_HOUR_LATER))
    # The first of the living expired on the hour sharp: it is past it now, and goes as well.
    assert (later["status"], later["tables"][0]["expired"]) == ("ok", 1)
    assert later["files"]["deleted"] == FILES + ROWS_A_JOB["job_file"]
    assert set(s3.keys(orders.jobs.bucket)) == set(all_file_keys(orders.jobs.kept[1:]))


@pytest.mark.slow
def test_an_s3_that_never_answers_does_not_outlive_the_run(orders: Orders, s3: EmbeddedS3) -> None:
    """There is time to say so, and the next run in the same environment finds the files in the outbox."""
    release = threading.Event()
    with S3Proxy(s3.endpoint) as proxy, orders.runtime(8, AWS_ENDPOINT_URL=proxy.endpoint) as runtime:
        answer_of(runtime.invoke({**orders.event, "dry_run": True}))
        stalled = proxy.inject(store_then_stall(release), method="POST", times=None)
        answer = answer_of(runtime.invoke(orders.event))
        assert stalled.fired > 0
        assert (answer["status"], answer["files"]["deleted"]) == ("partial", 0)
        assert answer["files"]["waiting"] == orders.waiting() == FILES
        release.set()
        proxy.heal()
        assert answer_of(runtime.invoke(AN_HOUR_LATER))["complete"] is True
    assert orders.waiting() == 0


@pytest.mark.slow
def test_a_run_that_is_killed_by_the_clock_is_made_up_for_by_the_next(orders: Orders) -> None:
    """In the middle of a transaction, by a database that stops answering."""
    port = urlsplit(orders.url).port
    assert port is not None
    with (
        TcpProxy("127.0.0.1", port) as proxy,
        orders.runtime(8, DATABASE_URL=f"{proxy.through(orders.url)}?sslmode=disable") as runtime,
    ):
        answer_of(runtime.invoke({**orders.event, "dry_run": True}))
        hold = proxy.hold_when(b"SELECT ", "server", having=b"DELETE FROM")  # what the server says when it is through
        killed = runtime.invoke(orders.event)
        assert hold.fired == 1
        assert killed.error_type == "Sandbox.Timedout"
        proxy.cut()
        orders.await_quiet()
        assert orders.untouched()
        assert answer_of(runtime.invoke(orders.event))["complete"] is True
    assert orders.done()


@pytest.mark.slow
def test_every_alarm_looks_at_a_metric_that_the_function_writes(orders: Orders) -> None:
    with orders.runtime(SLACK_BOT_TOKEN="xoxb-another") as runtime:
        result = runtime.invoke(orders.event)
    assert answer_of(result)["status"] == "ok"
    lines = metrics.written(result)
    assert metrics.alarmed("expire_jobs") == {"FilesWaiting", "NotifyFailed", "OldestOverdueSeconds", "RunRefused"}
    assert metrics.alarmed("expire_jobs") <= metrics.names("expire_jobs", lines)
    facts = {name: line[name] for line in lines for name in line if name[0].isupper()}
    assert facts | {"ExpiredRows": [EXPIRED], "FilesDeleted": [FILES], "FilesWaiting": [0]} == facts
    assert facts["DeletedRows"] == [EXPIRED * sum(ROWS_A_JOB.values())]
    assert LIVING * ROWS_A_JOB["job_file"] == len(orders.s3.keys(orders.jobs.bucket))
