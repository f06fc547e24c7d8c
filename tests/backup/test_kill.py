"""`kill -9`, wherever it may hit: there is the whole backup or none, and the next run tidies up and takes one."""

from __future__ import annotations

import signal

import pytest

from nightshift.backup.inventory import BackupState
from nightshift.progress_events import ProgressStep
from tests.support.backups import NAME, NEXT, BackupHouse

STEPS = [
    (ProgressStep.PLANNED, 2),
    (ProgressStep.INTENT, 1),
    (ProgressStep.UPLOADED, 2),
    (ProgressStep.PROVEN, 4),
    (ProgressStep.COMMITTING, 1),
    (ProgressStep.COMMITTED, 1),
]


@pytest.mark.fast_cases("proven-4", "uploaded-2", "committing-1", "committed-1")
@pytest.mark.parametrize(("step", "occurrence"), STEPS)
def test_killed_at_a_step(backups: BackupHouse, step: ProgressStep, occurrence: int) -> None:
    backups.fill()
    backups.fill_large()
    child = backups.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence), child.log
    backups.await_quiet()
    backups.assert_sound()
    states = [one.state for one in backups.backups()]
    if step is ProgressStep.COMMITTED:
        assert states == [BackupState.GOOD]
        assert backups.run()["already"]
    else:
        assert states in ([], [BackupState.UNFINISHED])
        assert backups.run()["name"] == NAME
    backups.manifest()
    backups.assert_tidy()


def test_what_a_killed_run_left_is_collected_by_the_next_days(backups: BackupHouse) -> None:
    backups.fill()
    child = backups.child(kill_at=ProgressStep.COMMITTING)
    assert child.wait() == -signal.SIGKILL
    backups.await_quiet()
    assert len(backups.unlisted()) == 3
    backups.run(scheduled_time=NEXT)
    backups.assert_tidy()
    assert [run["error"] for run in backups.runs()] == ["it never ended", None]


def test_sigterm(backups: BackupHouse) -> None:
    """Stopped in order: recorded as failed, nothing listed."""
    backups.fill()
    child = backups.child(hold_at=ProgressStep.PROVEN)
    child.await_step(ProgressStep.PROVEN)
    child.interrupt(signal.SIGTERM)
    child.resume()
    assert child.wait() == 1
    assert [run["status"] for run in backups.runs()] == ["failed"]
    assert [one.state for one in backups.backups()] == [BackupState.UNFINISHED]
    assert backups.run()["status"] == "ok"
    backups.assert_tidy()
