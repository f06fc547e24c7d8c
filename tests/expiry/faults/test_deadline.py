"""Time runs out, and memory does not: a run stops in time, says so, and the next one goes on from there."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightshift.progress_events import ProgressEvent, ProgressStep
from tests.support import s3_faults as faults
from tests.support.expiring import POLICY, JobScene
from tests.support.handler import Context
from tests.support.s3_proxy import S3Proxy

DAWDLE = (
    "CREATE FUNCTION dawdle() RETURNS trigger AS 'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END'"
    " LANGUAGE plpgsql; CREATE TRIGGER dawdle AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION dawdle()"
)


def test_between_batches(jobs: JobScene) -> None:
    """No batch is begun that would not be through in time, going by the slowest so far."""
    jobs.fill()
    jobs.sql(DAWDLE.format(seconds=0.15))
    context = Context(seconds=5)
    answer = jobs.run(context)
    assert context.get_remaining_time_in_millis() > 0
    assert (answer["status"], answer["complete"], answer["tables"][0]["status"]) == ("partial", False, "partial")
    assert 0 < answer["tables"][0]["expired"] < 24
    assert answer["tables"][0]["oldest_overdue"] is not None
    jobs.assert_sound()
    jobs.sql("DROP TRIGGER dawdle ON job")
    assert jobs.converge()["tables"][0]["expired"] == 24 - answer["tables"][0]["expired"]


@pytest.mark.slow
def test_a_batch_that_takes_too_long(jobs: JobScene) -> None:
    """The server itself ends its statement; smaller ones go through, this time: else no run would ever get anywhere."""
    jobs.fill()
    jobs.sql(DAWDLE.format(seconds=0.6))
    context = Context(seconds=7)
    answer = jobs.run(context)
    assert context.get_remaining_time_in_millis() > 0
    assert answer["status"] == "partial"
    assert 0 < answer["tables"][0]["expired"] < 24
    jobs.assert_sound()
    jobs.sql("DROP TRIGGER dawdle ON job")
    jobs.converge()


@pytest.mark.slow
def test_one_row_that_takes_too_long(jobs: JobScene) -> None:
    jobs.fill(8)
    jobs.sql(DAWDLE.format(seconds=60))
    context = Context(seconds=5)
    answer = jobs.run(context)
    assert context.get_remaining_time_in_millis() > 0
    assert (answer["status"], answer["tables"][0]["expired"]) == ("partial", 0)
    assert answer["tables"][0]["oldest_overdue"] is not None
    jobs.sql("DROP TRIGGER dawdle ON job")
    jobs.converge()


def test_no_time_at_all(jobs: JobScene) -> None:
    jobs.fill()
    answer = jobs.run(Context(seconds=1.5))
    assert (answer["status"], answer["tables"][0]["expired"]) == ("partial", 0)
    jobs.converge()


@pytest.mark.slow
def test_s3_is_slow(jobs: JobScene, proxy: S3Proxy) -> None:
    """The rows are gone, and no file is claimed any more that might not be through in time."""
    jobs.fill()
    slow = proxy.inject(faults.delay(1.5), method="POST", target="?delete", times=None)
    context = Context(seconds=12)
    answer = jobs.run_with({"AWS_ENDPOINT_URL": proxy.endpoint}, context)
    assert context.get_remaining_time_in_millis() > 0
    assert slow.fired > 0
    assert answer["tables"][0]["status"] == "ok"
    assert answer["files"]["waiting"] == 96 - answer["files"]["deleted"]
    jobs.assert_sound()
    jobs.converge()


@pytest.mark.slow
def test_s3_stalls(jobs: JobScene, proxy: S3Proxy) -> None:
    """A request that S3 does not answer must not outlive the run: there must be time to say so."""
    jobs.fill()
    release = threading.Event()
    stalled = proxy.inject(faults.store_then_stall(release), method="POST", target="?delete", times=None)
    context = Context(seconds=12)
    try:
        answer = jobs.run_with({"AWS_ENDPOINT_URL": proxy.endpoint}, context)
        assert context.get_remaining_time_in_millis() > 0
    finally:
        release.set()
    assert stalled.fired > 0
    assert (answer["status"], answer["files"]["deleted"]) == ("partial", 0)
    jobs.assert_sound()
    jobs.converge(scheduled_time="2025-10-15T06:00:00Z")


@dataclass(frozen=True)
class Peak:
    """A hook that writes down how much memory its process has had at the most, MB."""

    path: Path

    def __call__(self, event: ProgressEvent) -> None:
        if event.step in (ProgressStep.COMMITTED, ProgressStep.SETTLED):
            status = Path("/proc/self/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            assert found
            with self.path.open("a") as file:
                file.write(f"{int(found[1]) / 1024:.1f}\n")

    def seen(self) -> list[float]:
        return [float(line) for line in self.path.read_text().splitlines()]


@pytest.mark.slow
def test_memory_stays_flat(jobs: JobScene) -> None:
    """Ten times the rows and files cost no more: 130,000 rows with 40,000 files."""
    jobs.fill(10_000, with_files=False)
    jobs.policies(POLICY.replace("[[expiry.files]]", "[[expiry.files]]\ncheck = false"))
    peak = Peak(jobs.directory / "peak")
    child = jobs.child({"EXPIRE_BATCH": "1000"}, hook=peak)
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert (child.answer["tables"][0]["expired"], child.answer["files"]["deleted"]) == (10_000, 40_000)
    assert len(peak.seen()) > 10
    assert max(peak.seen()) - peak.seen()[0] < 48, peak.seen()
    assert jobs.job_ids() == jobs.kept
