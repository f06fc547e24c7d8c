"""`kill -9`, wherever it may hit: a job is there whole or gone whole, no file is forgotten, none goes too early."""

from __future__ import annotations

import signal

import pytest

from local.job_data import file_key
from local.jobs import TABLES
from local.postgres import EmbeddedPostgres
from nightshift.progress_events import ProgressStep
from tests.expiry.faults.wire import BATCH, COMMIT, SETTLED
from tests.support import s3_deletions as deletions
from tests.support import s3_faults as faults
from tests.support.expiring import JobScene
from tests.support.running import OURS
from tests.support.s3_faults import Action, Disconnect, Request
from tests.support.s3_proxy import S3Proxy
from tests.support.tcp_proxy import TcpProxy

MOMENTS = [
    (ProgressStep.TAKEN, 1),
    (ProgressStep.DELETED, 3),
    (ProgressStep.DELETED, len(TABLES) + 5),
    (ProgressStep.COMMITTING, 2),
    (ProgressStep.COMMITTED, 1),
    (ProgressStep.COMMITTED, 3),
    (ProgressStep.CLAIMED, 1),
    (ProgressStep.ANSWERED, 1),
    (ProgressStep.SETTLED, 1),
]


@pytest.mark.fast_cases("deleted-3", "committing-2", "committed-1", "claimed-1", "answered-1", "settled-1")
@pytest.mark.parametrize(("step", "occurrence"), MOMENTS)
def test_killed_at_a_step(jobs: JobScene, step: ProgressStep, occurrence: int) -> None:
    jobs.fill(unlinked=TABLES[1:])
    child = jobs.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence), child.log
    jobs.await_quiet()
    # The last batch may be committed by a server that had no time to say so.
    told = (ProgressStep.COMMITTING, ProgressStep.COMMITTED)
    assert jobs.count() in {28 - 8 * child.steps.count(moment) for moment in told}
    jobs.converge()


@pytest.mark.fast_cases("before its answer")
@pytest.mark.parametrize("reached", [False, True], ids=["before S3 has it", "before its answer"])
def test_killed_in_the_middle_of_a_request(jobs: JobScene, reached: bool) -> None:
    jobs.fill()
    with S3Proxy(jobs.s3.endpoint) as proxy:
        child = jobs.child({"AWS_ENDPOINT_URL": proxy.endpoint}, hold_at=ProgressStep.TAKEN)
        child.await_step(ProgressStep.TAKEN)

        asked: list[str] = []

        def kill(request: Request) -> None:
            asked.extend(deletions.keys_of(request))
            child.process.kill()
            raise Disconnect

        hit: Action = (faults.call_after if reached else faults.call_before)(kill)
        fault = proxy.inject(hit, method="POST", target="?delete")
        child.resume()
        assert child.wait() == -signal.SIGKILL
        assert fault.fired == 1
        jobs.await_quiet()
    # Whether or not S3 has deleted them: what nobody heard of is still in the outbox.
    assert asked
    assert set(asked) <= {row["object_key"] for row in jobs.outbox()}
    assert set(asked).isdisjoint(jobs.stored()) is reached
    jobs.converge()


def test_its_commit_arrives_late(jobs: JobScene, postgres: EmbeddedPostgres) -> None:
    """Its sender is dead and another run has been there when the server sees it: rows and outbox still go together."""
    jobs.fill()
    with TcpProxy("127.0.0.1", postgres.port) as proxy:
        held = proxy.hold_when(COMMIT, having=BATCH)
        child = jobs.child({"DATABASE_URL": proxy.through(jobs.env["DATABASE_URL"])})
        held.happened.wait()
        assert child.kill() == -signal.SIGKILL
        assert child.steps[-1] == ProgressStep.COMMITTING
        jobs.await_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)

        second = jobs.run()
        assert (second["status"], second["tables"][0]["busy"]) == ("partial", 8)
        jobs.assert_sound()
        assert jobs.count() == 4 + 8

        held.release()
        jobs.await_quiet()
    assert jobs.count() == 4
    assert len(jobs.outbox()) == 32
    assert jobs.converge()["files"]["deleted"] == 32


def test_the_outboxs_commit_arrives_late(jobs: JobScene, postgres: EmbeddedPostgres) -> None:
    """A second run waits for it: no entry is doubled, and a file that S3 refused twice meanwhile was tried once."""
    jobs.fill(8)
    refused = file_key(1, 1)
    with S3Proxy(jobs.s3.endpoint) as s3, TcpProxy("127.0.0.1", postgres.port) as proxy:
        s3.inject(deletions.refuse({refused: "AccessDenied"}), method="POST", target="?delete", times=None)
        held = proxy.hold_when(COMMIT, having=SETTLED)
        through = {"DATABASE_URL": proxy.through(jobs.env["DATABASE_URL"]), "AWS_ENDPOINT_URL": s3.endpoint}
        child = jobs.child(through)
        held.happened.wait()
        assert child.kill() == -signal.SIGKILL
        assert child.steps.count(ProgressStep.ANSWERED) > child.steps.count(ProgressStep.SETTLED)
        jobs.await_value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
        second = jobs.child({"AWS_ENDPOINT_URL": s3.endpoint})
        jobs.await_value(f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'", True)
        held.release()
        assert second.wait() == 0, second.log
    (entry,) = jobs.outbox()
    assert (entry["object_key"], entry["attempts"], entry["last_error"]) == (refused, 1, "AccessDenied")
    jobs.converge(scheduled_time="2025-10-15T06:00:00Z")


@pytest.mark.fast_cases("deleted-3", "committed-2")
@pytest.mark.parametrize(
    ("step", "occurrence"),
    [(ProgressStep.DELETED, 3), (ProgressStep.COMMITTING, 2), (ProgressStep.COMMITTED, 2), (ProgressStep.ANSWERED, 1)],
)
def test_killed_on_sqlite(sqlite_jobs: JobScene, step: ProgressStep, occurrence: int) -> None:
    sqlite_jobs.fill()
    child = sqlite_jobs.child(kill_at=step, occurrence=occurrence)
    assert child.wait() == -signal.SIGKILL
    assert (child.steps[-1], child.steps.count(step)) == (step, occurrence)
    assert sqlite_jobs.count() == 28 - 8 * child.steps.count(ProgressStep.COMMITTED)
    sqlite_jobs.converge()
