"""Somebody else is in the way: what is free goes, what is locked or refused is left and named, alone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pg8000.native
import pytest

from local.chatlog import connect
from local.job_data import job_id
from nightshift.progress_events import ProgressStep
from tests.support.expiring import REFUSES, JobScene
from tests.support.running import LOCK_HOLDER, OURS

WAITING = f"SELECT count(*) > 0 FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'"


@contextlib.contextmanager
def transaction(jobs: JobScene, *statements: str) -> Iterator[pg8000.native.Connection]:
    """The application's, open for as long as the context lasts."""
    with contextlib.closing(connect(jobs.url)) as other:
        for statement in ("BEGIN", *statements):
            other.run(statement)
        yield other


def left_alone(jobs: JobScene, *numbers: int) -> None:
    """These jobs are all that is left of the due ones, each with everything."""
    jobs.assert_sound()
    assert jobs.job_ids() == jobs.kept | {job_id(number) for number in numbers}


@pytest.mark.fast_cases("updated")
@pytest.mark.parametrize(
    "lock",
    [
        f"SELECT FROM job WHERE id = '{job_id(5)}' FOR UPDATE",
        f"UPDATE job SET status = 'again' WHERE id = '{job_id(5)}'",
        f"INSERT INTO sms_log (job_id, phone, message, sent_at) VALUES ('{job_id(5)}', '', '', now())",
    ],
    ids=["locked", "updated", "a child inserted"],
)
def test_a_job_that_somebody_works_on_is_passed_over(jobs: JobScene, lock: str) -> None:
    """Nobody waits for anybody, and the batches stay as large as they are."""
    jobs.fill()
    with transaction(jobs, lock):
        answer = jobs.run()
        left_alone(jobs, 5)
    (table,) = answer["tables"]
    assert (answer["status"], table["status"], table["expired"], table["busy"]) == ("partial", "partial", 23, 1)
    assert table["oldest_overdue"] is not None
    assert "1" in jobs.slack.messages[-1].seen
    assert jobs.converge()["tables"][0]["expired"] == 1


@pytest.mark.fast_cases("far leaf")
@pytest.mark.parametrize(
    "lock",
    [
        f"SELECT FROM payment WHERE job_id = '{job_id(5)}' FOR UPDATE",
        f"SELECT FROM job_file WHERE job_id = '{job_id(5)}' FOR UPDATE",
        "UPDATE report_knowledge SET excerpt = '' WHERE report_id IN"
        f" (SELECT id FROM report WHERE job_id = '{job_id(5)}')",
    ],
    ids=["inner", "leaf", "far leaf"],
)
def test_a_row_that_hangs_on_a_job_is_locked(jobs: JobScene, lock: str) -> None:
    """The batches shrink until it stands alone; with it stays what hangs on its job, and nothing else."""
    jobs.fill()
    with transaction(jobs, lock):
        answer = jobs.run()
        left_alone(jobs, 5)
    (table,) = answer["tables"]
    assert (table["status"], table["expired"], table["busy"]) == ("partial", 23, 1)
    assert "lock timeout" in table["warnings"][0]
    assert jobs.converge()["tables"][0]["expired"] == 1


@pytest.mark.slow
def test_a_whole_table_is_locked(jobs: JobScene) -> None:
    jobs.fill(8)
    with transaction(jobs, "LOCK TABLE payment_failure IN ACCESS EXCLUSIVE MODE"):
        child = jobs.child()
        jobs.await_value(WAITING, True)
    # The lock is gone once the run has begun to wait for it: it goes on, in smaller parts or not.
    assert child.wait() == 0, child.log
    assert jobs.converge()["complete"]


@pytest.mark.fast_cases("report_knowledge")
@pytest.mark.parametrize("table", ["job", "payment", "report_knowledge"])
def test_a_row_that_the_database_refuses(jobs: JobScene, table: str) -> None:
    jobs.fill()
    of_job = {
        "job": f"OLD.id = '{job_id(5)}'",
        "payment": f"OLD.job_id = '{job_id(5)}'",
        "report_knowledge": "OLD.report_id = md5('report 5')::uuid AND OLD.source = 'guide'",
    }
    jobs.sql(REFUSES.format(table=table, when=of_job[table]))
    answer = jobs.run()
    left_alone(jobs, 5)
    (told,) = answer["tables"]
    assert (told["status"], told["expired"], told["failed"], told.get("busy")) == ("partial", 23, 1, None)
    assert "sacred" in told["warnings"][0]
    assert "sacred" in jobs.slack.messages[-1].seen
    jobs.sql(f"DROP TRIGGER refuse ON {table}")
    assert jobs.converge()["tables"][0]["expired"] == 1


@pytest.mark.slow
def test_locked_and_refused_at_once(jobs: JobScene) -> None:
    jobs.fill()
    jobs.sql(REFUSES.format(table="job", when=f"OLD.id IN ('{job_id(2)}', '{job_id(24)}')"))
    lock = f"SELECT FROM sms_log WHERE job_id = '{job_id(20)}' FOR UPDATE"
    with transaction(jobs, lock, f"SELECT FROM job WHERE id = '{job_id(11)}' FOR UPDATE"):
        answer = jobs.run()
        left_alone(jobs, 2, 11, 20, 24)
    (table,) = answer["tables"]
    assert (table["expired"], table["failed"], table["busy"]) == (20, 2, 2)
    jobs.sql("DROP TRIGGER refuse ON job")
    jobs.converge()


@pytest.mark.slow
def test_a_deadlock(jobs: JobScene) -> None:
    """The application waits for a job that we hold, and we for a payment that it holds: ours gives in."""
    jobs.fill()
    child = jobs.child({"EXPIRE_LOCK_TIMEOUT": "300"}, hold_at=ProgressStep.TAKEN)
    payment = f"SELECT FROM payment WHERE job_id = '{job_id(5)}' FOR UPDATE"
    with transaction(jobs, "SET LOCAL deadlock_timeout = '1h'", payment) as other:
        child.await_step(ProgressStep.TAKEN)
        updates = threading.Thread(target=other.run, args=(f"UPDATE job SET status = '' WHERE id = '{job_id(5)}'",))
        updates.start()
        jobs.await_value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE job%' AND wait_event_type = 'Lock'", 1
        )
        child.resume()
        updates.join()
        assert child.wait() == 0, child.log
        other.run("COMMIT")
    assert jobs.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 1
    assert child.answer is not None
    (table,) = child.answer["tables"]
    assert (table["expired"], table["busy"]) == (23, 1)
    left_alone(jobs, 5)
    jobs.converge()


def test_the_second_of_two_runs_is_refused(jobs: JobScene) -> None:
    jobs.fill()
    first = jobs.child(hold_at=ProgressStep.COMMITTING, occurrence=2)
    first.await_step(ProgressStep.COMMITTING, 2)
    second = jobs.run()
    assert (second["status"], second["complete"]) == ("refused", False)
    assert jobs.count() == 4 + 16
    first.resume()
    assert first.wait() == 0, first.log
    jobs.assert_done()


@pytest.mark.fast_cases("taken", "committed")
@pytest.mark.parametrize(
    "step",
    [ProgressStep.TAKEN, ProgressStep.DELETED, ProgressStep.COMMITTED, ProgressStep.CLAIMED, ProgressStep.ANSWERED],
)
def test_two_runs_without_the_lock(jobs: JobScene, step: ProgressStep) -> None:
    """The connection that holds it is lost: both work at once, and do no harm; the first one ends with its batch."""
    jobs.fill()
    first = jobs.child(hold_at=step)
    first.await_step(step)
    assert jobs.terminate(LOCK_HOLDER) >= 1
    second = jobs.child(hold_at=ProgressStep.TAKEN if step != ProgressStep.ANSWERED else None)
    if step not in (ProgressStep.CLAIMED, ProgressStep.ANSWERED):
        second.await_step(ProgressStep.TAKEN)
    first.resume()
    second.resume()
    assert second.wait() == 0, second.log
    assert first.wait() == 0 or (first.error or "").startswith("LockLost"), first.log
    results = [run["result"] for run in jobs.runs()]
    assert sum(result["tables"][0]["expired"] for result in results) == 24
    assert sum(result["files"]["queued"] for result in results) == 96
    jobs.converge()
