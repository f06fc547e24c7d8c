"""The application goes on: what it was told has happened is so, and what comes too late it is told."""

from __future__ import annotations

import contextlib
import threading

import pytest

from local.chatlog import connect
from local.job_data import file_keys, job_id
from nightshift.progress_events import ProgressStep
from tests.support.expiring import JobScene
from tests.support.job_application import FAR, Application
from tests.support.running import OURS

FIRST, LAST = 1, 24
"""The oldest of the due jobs, and the newest: in the first batch, and in the last."""

EXTEND = f"UPDATE job SET expires_at = '{FAR}' WHERE id = '{{}}' RETURNING id"
APPLICATION_WAITS = (
    f"SELECT count(*) FROM pg_stat_activity WHERE NOT ({OURS}) AND datname = current_database()"
    " AND wait_event_type = 'Lock'"
)
SMS = "INSERT INTO sms_log (job_id, phone, message, sent_at) VALUES ('{}', '', '', now())"
FAILURE = "INSERT INTO payment_failure (payment_id, code, message) SELECT id, '', '' FROM payment WHERE job_id = '{}'"


def test_a_job_that_is_extended_before_its_batch_survives(jobs: JobScene) -> None:
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTED)
    child.await_step(ProgressStep.COMMITTED)
    assert jobs.sql(EXTEND.format(job_id(FIRST))) == []
    assert len(jobs.sql(EXTEND.format(job_id(LAST)))) == 1
    jobs.kept.add(job_id(LAST))
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None
    assert (child.answer["status"], child.answer["tables"][0]["expired"]) == ("ok", 23)
    jobs.assert_done()
    assert set(file_keys(LAST)) <= jobs.stored()


@pytest.mark.slow
@pytest.mark.parametrize("commits", [True, False])
def test_a_job_that_is_being_extended_is_passed_over(jobs: JobScene, commits: bool) -> None:
    jobs.fill()
    with contextlib.closing(connect(jobs.url)) as other:
        other.run("BEGIN")
        other.run(EXTEND.format(job_id(FIRST)))
        answer = jobs.run()
        assert (answer["status"], answer["tables"][0]["busy"]) == ("partial", 1)
        other.run("COMMIT" if commits else "ROLLBACK")
    if commits:
        jobs.kept.add(job_id(FIRST))
    assert jobs.converge()["tables"][0]["expired"] == (0 if commits else 1)


@pytest.mark.fast_cases("True")
@pytest.mark.parametrize("dies", [False, True])
def test_an_extension_that_comes_too_late_finds_no_row(jobs: JobScene, dies: bool) -> None:
    """It waits for us; where we do not commit, it has come in time."""
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTING)
    child.await_step(ProgressStep.COMMITTING)
    extended: list[int] = []

    def extend() -> None:
        with contextlib.closing(connect(jobs.url)) as other:
            extended.append(len(other.run(EXTEND.format(job_id(FIRST))) or ()))

    application = threading.Thread(target=extend)
    application.start()
    jobs.await_value(APPLICATION_WAITS, 1)
    if dies:
        child.kill()
        jobs.kept.add(job_id(FIRST))
    else:
        child.resume()
        assert child.wait() == 0, child.log
    application.join()
    assert extended == [1 if dies else 0]
    jobs.converge()


@pytest.mark.fast_cases("taken-of its payment")
@pytest.mark.parametrize("row", [SMS, FAILURE], ids=["of the job", "of its payment"])
@pytest.mark.parametrize("step", [ProgressStep.TAKEN, ProgressStep.COMMITTING])
def test_a_row_for_a_job_that_is_going(jobs: JobScene, row: str, step: ProgressStep) -> None:
    """It waits for us, and is refused or finds nothing to hang on; no orphan is left."""
    jobs.fill()
    child = jobs.child({"EXPIRE_LOCK_TIMEOUT": "300"}, hold_at=step)
    child.await_step(step)
    told: list[str] = []

    def insert() -> None:
        with contextlib.closing(connect(jobs.url)) as other:
            try:
                other.run(row.format(job_id(FIRST)))
                told.append("done")
            except Exception as exc:
                told.append(str(exc.args[0]["C"]))

    application = threading.Thread(target=insert)
    application.start()
    if not (row is FAILURE and step is ProgressStep.TAKEN):
        jobs.await_value(APPLICATION_WAITS, 1)
    child.resume()
    application.join()
    assert child.wait() == 0, child.log
    # Before the payments are locked the row may still be in time; then it goes with the others.
    assert told == ["23503"] or (row is FAILURE and step is ProgressStep.TAKEN), told
    jobs.converge()


def test_rows_that_come_before_the_batch_go_with_it(jobs: JobScene) -> None:
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTED)
    child.await_step(ProgressStep.COMMITTED)
    for row in (SMS, FAILURE):
        jobs.sql(row.format(job_id(LAST)))
    jobs.sql(
        "INSERT INTO job_file (job_id, kind, bucket, s3_key, size)"
        f" VALUES ('{job_id(LAST)}', 'late', '{jobs.bucket}', 'jobs/late.pdf', 1)"
    )
    jobs.s3.client().put_object(Bucket=jobs.bucket, Key="jobs/late.pdf", Body=b"late")
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None
    rows = child.answer["tables"][0]["deleted_rows"]
    assert (rows["public.sms_log"], rows["public.payment_failure"], rows["public.job_file"]) == (49, 25, 97)
    jobs.assert_done()


def test_a_file_that_is_named_again_is_kept(jobs: JobScene) -> None:
    """The outbox knows of it already when a living job's row comes to name it: it stays, with that row."""
    jobs.fill()
    child = jobs.child(kill_at=ProgressStep.COMMITTED)
    child.wait()
    jobs.await_quiet()
    key, living = file_keys(FIRST)[0], next(iter(jobs.kept))
    assert key in {row["object_key"] for row in jobs.outbox()}
    jobs.sql(
        "INSERT INTO job_file (job_id, kind, bucket, s3_key, size)"
        f" VALUES ('{living}', 'again', '{jobs.bucket}', '{key}', 1)"
    )
    answer = jobs.converge()
    assert answer["files"]["kept"] == 1
    assert key in jobs.stored()


def test_an_application_at_work(jobs: JobScene) -> None:
    """It extends, orders and logs, as fast as it can, while one run after the other goes through."""
    jobs.fill(120)
    application = Application(jobs, seed=7, last=124)
    application.start()
    try:
        runs = 0
        while runs < 3 or min(application.done[what] for what in ("ordered", "extended", "too late", "refused")) == 0:
            jobs.run()
            runs += 1
            with application.turn:
                jobs.assert_sound()
    finally:
        application.stop.set()
        application.join()
    jobs.converge()
