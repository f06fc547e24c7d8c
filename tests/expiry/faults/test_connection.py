"""The database goes away: between two statements, during COMMIT, altogether. Rows and outbox stay together."""

from __future__ import annotations

import pytest

from local.job_data import file_key
from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.expiry.faults.wire import BATCH, COMMIT, SETTLED
from tests.support import s3_deletions as deletions
from tests.support.expiring import JobScene
from tests.support.running import LOCK_HOLDER
from tests.support.s3_proxy import S3Proxy
from tests.support.tcp_proxy import TcpProxy

AT_WORK = f"NOT {LOCK_HOLDER}"


@pytest.mark.fast_cases("claimed-1")
@pytest.mark.parametrize(
    ("step", "occurrence"),
    [
        (ProgressStep.TAKEN, 2),
        (ProgressStep.DELETED, 12),
        (ProgressStep.COMMITTING, 2),
        (ProgressStep.CLAIMED, 1),
        (ProgressStep.ANSWERED, 1),
    ],
)
def test_the_server_ends_a_connection(jobs: JobScene, step: ProgressStep, occurrence: int) -> None:
    jobs.fill()
    child = jobs.child(hold_at=step, occurrence=occurrence)
    child.await_step(step, occurrence)
    assert jobs.terminate(AT_WORK) > 0
    child.resume()
    assert child.wait() == 1, child.log
    assert child.error is not None and "Traceback" not in child.error
    assert [run["status"] for run in jobs.runs()] == ["failed"]
    jobs.await_quiet()
    jobs.assert_sound()
    assert jobs.count() == 28 - 8 * child.steps.count(ProgressStep.COMMITTED)
    jobs.converge()


def test_the_lock_is_a_courtesy(jobs: JobScene) -> None:
    """Without the connection that holds the run's lock the run goes on, and ends well."""
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.DELETED)
    child.await_step(ProgressStep.DELETED)
    assert jobs.terminate(LOCK_HOLDER) >= 1
    child.resume()
    assert child.wait() == 0, child.log
    jobs.assert_done()


@pytest.mark.slow
def test_the_server_is_restarted(jobs: JobScene, postgres: EmbeddedPostgres) -> None:
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTING, occurrence=2)
    child.await_step(ProgressStep.COMMITTING, 2)
    jobs.leave()
    postgres.restart()
    child.resume()
    assert child.wait() == 1, child.log
    assert child.error is not None
    jobs.assert_sound()
    assert jobs.count() == 4 + 16
    jobs.converge()


@pytest.mark.fast_cases("True")
@pytest.mark.parametrize("arrived", [False, True])
def test_the_connection_is_lost_during_a_batchs_commit(
    jobs: JobScene, postgres: EmbeddedPostgres, arrived: bool
) -> None:
    """Whether or not the server has carried it out: rows and outbox know it both."""
    jobs.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, having=BATCH, after_forward=arrived, skip=1)
        child = jobs.child({"DATABASE_URL": proxy.through(jobs.env["DATABASE_URL"])})
        assert child.wait() == 1, child.log
        assert cut.happened.is_set()
    assert (child.steps.count(ProgressStep.COMMITTING), child.steps.count(ProgressStep.COMMITTED)) == (2, 1)
    jobs.await_quiet()
    jobs.assert_sound()
    assert jobs.count() == 4 + (8 if arrived else 16)
    assert [run["status"] for run in jobs.runs()] == ["failed"]
    jobs.converge()


@pytest.mark.fast_cases("True")
@pytest.mark.parametrize("arrived", [False, True])
def test_the_connection_is_lost_during_the_outboxs_commit(
    jobs: JobScene, postgres: EmbeddedPostgres, arrived: bool
) -> None:
    """Files that are gone may be in the outbox still, and are deleted again; a refused one is there once."""
    jobs.fill()
    refused = file_key(1, 1)
    with S3Proxy(jobs.s3.endpoint) as s3, TcpProxy("127.0.0.1", postgres.port) as proxy:
        s3.inject(deletions.refuse({refused: "AccessDenied"}), method="POST", target="?delete", times=None)
        cut = proxy.cut_when(COMMIT, having=SETTLED, after_forward=arrived)
        through = {"DATABASE_URL": proxy.through(jobs.env["DATABASE_URL"]), "AWS_ENDPOINT_URL": s3.endpoint}
        child = jobs.child(through)
        assert child.wait() == 1, child.log
        assert cut.happened.is_set()
    jobs.await_quiet()
    jobs.assert_sound()
    (entry,) = [row for row in jobs.outbox() if row["object_key"] == refused]
    assert entry["attempts"] == (1 if arrived else 0)
    jobs.converge(scheduled_time="2025-10-15T06:00:00Z")


def test_the_server_vanishes(jobs: JobScene, postgres: EmbeddedPostgres) -> None:
    """The answer to a COMMIT is lost with everything else, and nobody can be asked: the run fails, nothing is torn."""
    jobs.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        cut = proxy.cut_when(COMMIT, having=BATCH, after_forward=True, everything=True)
        child = jobs.child({"DATABASE_URL": proxy.through(jobs.env["DATABASE_URL"])})
        assert child.wait() == 1, child.log
        assert cut.happened.is_set()
    jobs.await_quiet()
    assert jobs.count() == 28 - 8
    jobs.converge()
