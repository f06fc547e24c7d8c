"""S3 refuses, stalls, talks nonsense: a file counts as deleted on S3's word alone, and none is forgotten."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from local.job_data import file_key
from tests.expiry.faults.meeting_s3 import FILES, FIRST, assert_waiting, inject, later, run, run_impatiently
from tests.support import s3_deletions as deletions
from tests.support import s3_faults as faults
from tests.support.expiring import AS_OF, NOW, JobScene
from tests.support.s3_faults import Action
from tests.support.s3_proxy import S3Proxy


@pytest.mark.slow
@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_a_key_that_is_to_be_sent_again(jobs: JobScene, proxy: S3Proxy, code: str) -> None:
    jobs.fill()
    again = inject(proxy, deletions.refuse({FIRST: code}), times=2)
    answer = run(jobs, proxy)
    assert again.fired == 2
    assert (answer["status"], answer["files"]["deleted"], answer["files"]["failures"]) == ("ok", FILES, [])
    jobs.assert_done()


def test_keys_that_are_refused(jobs: JobScene, proxy: S3Proxy) -> None:
    """Some for good, some for longer than a run waits: the others go, and these are tried again in an hour."""
    jobs.fill()
    codes = {FIRST: "AccessDenied", file_key(2, 3): "AccessDenied", file_key(24, 4): "SlowDown"}
    inject(proxy, deletions.refuse(codes), times=None)
    answer = run(jobs, proxy)
    assert_waiting(jobs, answer, {"AccessDenied": 2, "SlowDown": 1})
    assert {row["object_key"] for row in jobs.outbox()} == set(codes) == jobs.stored() - jobs.named()
    asked = len(proxy.seen)
    assert run(jobs, proxy)["files"]["failed"] == 0
    assert len(proxy.seen) == asked, "nothing is tried again before its time"
    proxy.heal()
    assert jobs.converge(scheduled_time=later(1))["files"]["deleted"] == 3


@pytest.mark.slow
def test_pauses_grow(jobs: JobScene, proxy: S3Proxy) -> None:
    """Each twice as long as the one before, a day at the most; S3's last word is kept."""
    jobs.fill(1)
    inject(proxy, deletions.refuse({FIRST: "AccessDenied"}), times=None)
    tries = [NOW]
    for attempt in range(1, 9):
        answer = run(jobs, proxy, scheduled_time=tries[-1].isoformat())
        assert answer["files"]["failed"] == 1
        (entry,) = jobs.outbox()
        assert (entry["attempts"], entry["last_error"]) == (attempt, "AccessDenied")
        tries.append(entry["next_try"])
    assert [(b - a) // timedelta(hours=1) for a, b in pairwise(tries)] == [1, 2, 4, 8, 16, 24, 24, 24]
    early = tries[-1] - timedelta(seconds=1)
    assert jobs.run(scheduled_time=early.isoformat())["files"]["waiting"] == 1
    jobs.converge(scheduled_time=tries[-1].isoformat())


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [faults.slow_down(), faults.internal_error(), faults.disconnect(), faults.store_then_disconnect()]
)
def test_what_passes_is_waited_for(jobs: JobScene, proxy: S3Proxy, fault: Action) -> None:
    jobs.fill()
    injected = inject(proxy, fault)
    assert run(jobs, proxy)["status"] == "ok"
    assert injected.fired == 1
    jobs.assert_done()


@pytest.mark.fast_cases("503")
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.slow_down(), "SlowDown"),
        (faults.disconnect(), "ConnectionClosedError"),
        (deletions.say("<Error><Code>InternalError</Code><Message>no</Message></Error>"), "InternalError"),
    ],
    ids=["503", "no answer", "200 with an error"],
)
def test_it_stays_down(jobs: JobScene, proxy: S3Proxy, fault: Action, code: str) -> None:
    """The rows go all the same; S3 is not asked about each of their files, and the next run finds them."""
    jobs.fill()
    down = inject(proxy, fault, times=None)
    answer = run_impatiently(jobs, proxy.endpoint)
    assert 2 <= down.fired <= 8
    assert_waiting(jobs, answer, {code: answer["files"]["failed"]})
    assert answer["files"]["deleted"] == 0
    proxy.heal()
    assert jobs.converge(scheduled_time=later(1))["files"]["deleted"] == FILES


@pytest.mark.slow
def test_nobody_listens(jobs: JobScene) -> None:
    jobs.fill()
    answer = run_impatiently(jobs, "http://127.0.0.1:9")
    assert_waiting(jobs, answer, {"EndpointConnectionError": answer["files"]["failed"]})
    jobs.converge(scheduled_time=later(1))


def test_it_stalls(jobs: JobScene, proxy: S3Proxy) -> None:
    """S3 deletes, and says nothing: to delete what is gone already does no harm."""
    jobs.fill()
    release = threading.Event()
    inject(proxy, faults.store_then_stall(release), times=None)
    answer = run_impatiently(jobs, proxy.endpoint)
    release.set()
    assert_waiting(jobs, answer, {"ReadTimeoutError": answer["files"]["failed"]})
    jobs.converge(scheduled_time=later(1))


@pytest.mark.fast_cases("nothing")
@pytest.mark.parametrize(
    "fault",
    [
        deletions.say(""),
        deletions.say("<html><body>welcome</body></html>"),
        deletions.say("{}"),
        deletions.say("<DeleteResult><Err"),
        faults.truncate_returned(),
    ],
    ids=["nothing", "a page", "not XML", "half of it", "cut off"],
)
def test_a_200_that_is_not_s3s_answer(jobs: JobScene, proxy: S3Proxy, fault: Action) -> None:
    """Nothing counts as deleted: asked again, S3 answers."""
    jobs.fill()
    nonsense = inject(proxy, fault, times=2)
    assert run(jobs, proxy)["status"] == "ok"
    assert nonsense.fired == 2
    jobs.assert_done()


@pytest.mark.slow
def test_nothing_but_nonsense(jobs: JobScene, proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.fill()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    inject(proxy, deletions.say("<html/>"), times=None)
    answer = run(jobs, proxy)
    assert answer["files"]["deleted"] == 0
    assert_waiting(jobs, answer, {"502": answer["files"]["failed"]})
    jobs.converge(scheduled_time=later(1))


@pytest.mark.slow
def test_an_answer_about_other_keys(jobs: JobScene, proxy: S3Proxy) -> None:
    """Then nobody knows of which keys it does not speak."""
    jobs.fill()
    inject(proxy, deletions.refuse({}, also={"somebody/elses": "AccessDenied"}), times=None)
    answer = run(jobs, proxy)
    assert answer["files"]["deleted"] == 0
    assert sum(f["count"] for f in answer["files"]["failures"] if f["code"] == "NotConfirmed") == FILES
    jobs.assert_sound()
    proxy.heal()
    jobs.converge(scheduled_time=later(1))


@pytest.mark.slow
def test_the_rest_of_the_run_is_not_kept_up(jobs: JobScene, proxy: S3Proxy) -> None:
    """Files that wait from an earlier run, and rows that expire now: both go, by the same run."""
    jobs.fill()
    down = inject(proxy, faults.access_denied(), times=None)
    run(jobs, proxy)
    assert down.fired > 0
    jobs.sql(f"UPDATE job SET expires_at = '{datetime.fromisoformat(AS_OF)}'")
    jobs.kept = set()
    proxy.heal()
    answer = jobs.converge(scheduled_time=later(1))
    assert (answer["tables"][0]["expired"], answer["files"]["queued"], answer["files"]["deleted"]) == (
        4,
        16,
        FILES + 16,
    )
