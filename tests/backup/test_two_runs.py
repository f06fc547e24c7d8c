"""Two runs at once: the lock refuses the second; and where the lock is lost, there is one whole backup all the same."""

from __future__ import annotations

import pytest

from nightshift.backup.inventory import BackupState
from nightshift.progress_events import ProgressStep
from tests.support.backups import NEXT, BackupHouse
from tests.support.house import AS_OF
from tests.support.running import LOCK_HOLDER


def test_the_second_is_refused(backups: BackupHouse) -> None:
    backups.fill()
    first = backups.child(hold_at=ProgressStep.PROVEN)
    first.await_step(ProgressStep.PROVEN)
    objects = backups.s3.keys(backups.bucket)
    assert backups.run()["status"] == "refused"
    assert set(objects) <= set(backups.s3.keys(backups.bucket))
    first.resume()
    assert first.wait() == 0, first.log
    backups.assert_tidy()


@pytest.mark.fast_cases("planned, same", "committing, next day")
@pytest.mark.parametrize(
    ("step", "scheduled_time"),
    [
        (ProgressStep.PLANNED, AS_OF),
        (ProgressStep.COMMITTING, AS_OF),
        (ProgressStep.UPLOADED, NEXT),
        (ProgressStep.COMMITTING, NEXT),
    ],
    ids=["planned, same", "committing, same", "uploaded, next day", "committing, next day"],
)
def test_the_lock_was_lost(backups: BackupHouse, step: ProgressStep, scheduled_time: str) -> None:
    """The second takes the first for dead, or the first is just writing its manifest: either way parts are not lost."""
    backups.fill()
    first = backups.child(hold_at=step)
    first.await_step(step)
    if step is ProgressStep.PLANNED:
        first.await_step(ProgressStep.UPLOADED)  # by another worker: an object that the second finds
    assert backups.terminate(f"{LOCK_HOLDER} AND query LIKE '%advisory%'") == 1
    second = backups.child(scheduled_time=scheduled_time)
    if step is ProgressStep.COMMITTING:
        # It holds its own row of the history: whoever wants to collect its objects waits for that.
        backups.await_value("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'", True)
    else:
        assert second.wait() == 0, second.log
    first.resume()
    assert first.wait() in (0, 1)
    if step is ProgressStep.PLANNED:
        assert first.error is not None and "another run has taken this one for dead" in first.error, first.log
        assert "the other run, or the next, takes the backup" in first.error
    assert second.wait() in (0, 1)
    # Of two that finish the same backup, S3 takes the first one's manifest.
    assert second.error is None or second.error.startswith("ArchiveMismatch: a backup of this name"), second.log
    backups.assert_sound()
    assert BackupState.GOOD in [one.state for one in backups.backups()]
    backups.await_quiet()
    backups.run(scheduled_time="2025-10-17T00:00:00Z")
    backups.assert_tidy()
