"""Somebody alters a table in the middle of a run: nothing more leaves that the guards have not seen as it is now."""

from __future__ import annotations

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.expiring import JobScene

NEWCOMER = "CREATE TABLE note (job_id uuid REFERENCES job (id) {action}); INSERT INTO note SELECT id FROM job"


def altered(jobs: JobScene, statement: str) -> None:
    """Run up to the first commit, alter, go on: the run fails, and what it committed by then is all that has gone."""
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTED)
    child.await_step(ProgressStep.COMMITTED)
    jobs.sql(statement)
    child.resume()
    assert child.wait() == 1, child.log
    assert child.error is not None and child.error.startswith("TableChanged"), child.error
    assert "nothing of this transaction was deleted; the next run takes the table" in child.error
    assert jobs.count() == 4 + 16
    jobs.assert_sound()
    assert [run["status"] for run in jobs.runs()] == ["failed"]
    assert jobs.runs()[0]["result"]["tables"][0]["expired"] == 8
    # The files of what had gone go all the same.
    assert jobs.runs()[0]["result"]["files"]["deleted"] == 32


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE job ADD COLUMN note text",
        "ALTER TABLE job_file RENAME COLUMN kind TO sort",
        "ALTER TABLE report_knowledge ALTER COLUMN source TYPE varchar(100)",
    ],
    ids=["column", "renamed", "type"],
)
def test_the_next_run_takes_the_tables_as_they_are_then(jobs: JobScene, statement: str) -> None:
    altered(jobs, statement)
    jobs.converge()


@pytest.mark.slow
@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "ON DELETE SET NULL"])
def test_a_reference_that_comes(jobs: JobScene, action: str) -> None:
    """Its rows go with the next run, which knows of them, or stay where they are meant to."""
    altered(jobs, NEWCOMER.format(action=action))
    assert jobs.count("note") == jobs.value("SELECT count(job_id) FROM note") == 20
    answer = jobs.converge()
    assert ("public.note" in answer["tables"][0]["deleted_rows"]) is ("CASCADE" in action)
    assert jobs.value("SELECT count(job_id) FROM note") == 4


@pytest.mark.fast_cases("reference")
@pytest.mark.parametrize(
    "statement",
    [
        NEWCOMER.format(action="ON DELETE NO ACTION"),
        "CREATE TABLE log (n int); CREATE RULE tell AS ON DELETE TO payment DO ALSO INSERT INTO log VALUES (1)",
    ],
    ids=["reference", "rule"],
)
def test_what_comes_and_forbids_the_deletion(jobs: JobScene, statement: str) -> None:
    """The database refuses each row: they are left, all of them, until the next run, which knows why."""
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTED)
    child.await_step(ProgressStep.COMMITTED)
    jobs.sql(statement)
    child.resume()
    assert child.wait() == 0, child.log
    assert child.answer is not None
    (table,) = child.answer["tables"]
    assert (table["status"], table["expired"], table["failed"]) == ("partial", 8, 16)
    jobs.assert_sound()
    jobs.sql("DROP RULE IF EXISTS tell ON payment")
    jobs.converge()


def test_a_trigger_that_comes_is_respected(jobs: JobScene) -> None:
    function = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    trigger = "CREATE TRIGGER keep BEFORE DELETE ON sms_log FOR EACH ROW EXECUTE FUNCTION keep()"
    jobs.fill()
    child = jobs.child(hold_at=ProgressStep.COMMITTED)
    child.await_step(ProgressStep.COMMITTED)
    jobs.sql(f"{function}; {trigger}")
    child.resume()
    assert child.wait() in (0, 1), child.log
    assert jobs.count() == 4 + 16
    jobs.assert_sound()
    assert jobs.run()["tables"][0]["refusal"]["guard"] == "hidden_rows"
    jobs.sql("DROP TRIGGER keep ON sms_log")
    jobs.converge()
