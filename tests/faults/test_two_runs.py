"""Two runs at the same time. The lock refuses the second; and where the lock is lost, exactly once holds without it."""

from __future__ import annotations

import threading

import pytest

from nightshift.progress_events import ProgressStep
from tests.support import s3_faults as faults
from tests.support.s3_faults import Request
from tests.support.s3_proxy import S3Proxy
from tests.support.scene import OURS, Scene

SWEPT = ("ArchiveMismatch: another run swept objects", "ObjectAbsent: an object could not be read back: NoSuchKey")
"""How a run notices that another has taken its unfinished objects for orphans."""
LOCK_LOST = "LockLost: the run has lost its lock"
"""How a run notices, before it writes further objects, that another has its lock."""


def lose_lock(scene: Scene) -> None:
    """End the connections that hold the locks of the run and of its table, as a failing network would."""
    lock = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
    lost = scene.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS} AND pid IN ({lock})")
    assert len(lost) == 2


def test_the_second_is_refused(scene: Scene) -> None:
    scene.fill()
    first = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=ProgressStep.PROVEN)
    first.await_step(ProgressStep.PROVEN)
    ledger = scene.ledger()
    second = scene.run()
    assert (second["status"], second["complete"]) == ("refused", False)
    assert scene.ledger() == ledger
    assert len(scene.runs()) == 1
    first.resume()
    assert first.wait() == 0, first.log
    assert scene.converge()["status"] == "nothing"


@pytest.mark.fast_cases("proven")
@pytest.mark.parametrize(
    "step",
    [ProgressStep.PLANNED, ProgressStep.STREAMED, ProgressStep.INTENT, ProgressStep.UPLOADED, ProgressStep.PROVEN],
)
@pytest.mark.parametrize("indexed", [pytest.param(False, marks=pytest.mark.slow), True], ids=["by place", "by time"])
def test_both_work_on_the_same_table(scene: Scene, step: ProgressStep, indexed: bool) -> None:
    """The second starts while the first stands still, then they race. Either may fail; no row is lost or doubled."""
    scene.fill(indexed=indexed)
    times = 2 if step == ProgressStep.STREAMED else 1
    # Its only worker stands still: another would ask for the lock again and have it.
    first = scene.child({"CLEANUP_WORKERS": "1"}, hold_at=step, occurrence=times)
    first.await_step(step, times)
    lose_lock(scene)
    second = scene.child(hold_at=ProgressStep.PLANNED)
    second.await_step(ProgressStep.PLANNED)
    first.resume()
    second.resume()
    for child in (first, second):
        assert child.wait() in (0, 1)
        assert child.error is None or child.error.startswith((*SWEPT, LOCK_LOST)), child.log
    assert ProgressStep.STREAMED in second.steps
    scene.converge()


def test_an_upload_that_lands_after_the_sweep_is_removed(scene: Scene) -> None:
    """The run whose objects were swept removes what it wrote behind the sweeper's back; nobody else knows of it."""
    scene.fill()
    arrived, swept = threading.Event(), threading.Event()

    def meanwhile(_request: Request) -> None:
        arrived.set()
        swept.wait()

    with S3Proxy(scene.s3.endpoint) as proxy:
        late = proxy.inject(faults.call_before(meanwhile), method="PUT")
        first = scene.child({"AWS_ENDPOINT_URL": proxy.endpoint, "CLEANUP_WORKERS": "1"})
        arrived.wait()
        lose_lock(scene)
        second = scene.run()
        assert second["orphans_removed"] == len(first.events[-1]["keys"])
        swept.set()
        assert first.wait() == 1
        assert late.fired == 1
    assert first.error is not None and first.error.startswith(SWEPT), first.log
    scene.assert_tidy()
    scene.converge()
