"""What a run finds changed behind its back is an error with a remedy; each at the step where it can come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nightshift.errors import NightshiftError
from nightshift.progress_events import ProgressEvent, ProgressStep
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job
from tests.support.expiry_runs import JOB, MAKE_JOB, NOW, jobs, script
from tests.support.handler import environ_of
from tests.support.handler import run_job as call
from tests.support.house import AS_OF, House

LOG = """
CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO log SELECT n, '2025-08-01' FROM generate_series(1, 10) n
"""
POLICY = '[[retention]]\ntable = "log"\nkeep_days = 30\n'


def run(
    house: House, job: str, step: ProgressStep, change: Callable[[ProgressEvent], object], **asked: Any
) -> NightshiftError:
    """A run that fails, because something is changed at the first event of a step."""
    come: list[ProgressEvent] = []

    def listen(event: ProgressEvent) -> None:
        if event.step is step and not come:
            come.append(event)
            change(event)

    wiring, event = RunWiring(house.env, listener=listen), {"scheduled_time": AS_OF, **asked}
    with environ_of(house.env), pytest.raises(NightshiftError) as raised:
        run_job(job, event, None, wiring)
    assert come, "the step has come"
    return raised.value


@pytest.fixture
def log(house: House) -> House:
    house.sql(LOG)
    house.policies(POLICY)
    return house


def test_somebody_has_our_key(log: House) -> None:
    def put(event: ProgressEvent) -> None:
        for key in event.keys:
            log.s3.client().put_object(Bucket=log.bucket, Key=key, Body=b"somebody else's")

    error = run(log, "cleanup", ProgressStep.INTENT, put)

    assert "it was left alone; nothing but nightshift should write" in str(error.hint)
    assert set(log.s3.objects(log.bucket).values()) == {b"somebody else's"}
    assert log.value("SELECT count(*) FROM log") == 10


def test_a_commit_is_undone(log: House) -> None:
    error = run(log, "cleanup", ProgressStep.COMMITTED, lambda _: log.sql("DELETE FROM nightshift_archive_object"))

    assert error.message == "the ledger does not show what this run committed"
    assert "look at its log before the next run" in str(error.hint)


def test_nobody_foresaw_it(log: House) -> None:
    error = run(log, "cleanup", ProgressStep.PLANNED, lambda _: dict[str, str]()["not there"])

    assert (error.message, error.detail, error.hint) == ("an unexpected error", "KeyError", "the log has its trace")
    assert log.value("SELECT count(*) FROM log") == 10


def test_rows_come_back_under_a_hold(log: House) -> None:
    log.run()
    call("restore", log.env, {"scheduled_time": AS_OF, "table": "log", "into_original": True})
    hold = "UPDATE nightshift_restored_object SET hold_until = '2025-{}-01'"
    log.sql(hold.format(10))

    error = run(log, "cleanup", ProgressStep.STREAMED, lambda _: log.sql(hold.format(12)))

    assert error.hint == "the next run takes what is not held"
    assert log.value("SELECT count(*) FROM log") == 10


def test_restored_rows_are_gone_at_once(log: House) -> None:
    log.run()

    error = run(log, "restore", ProgressStep.COMMITTED, lambda _: log.sql("TRUNCATE log_restored"), table="log")

    assert error.message == "the table does not show what this run restored"
    assert "for a table of another name (--into)" in str(error.hint)


def test_a_right_is_taken_away(house: House, guest: str) -> None:
    script(house, MAKE_JOB + jobs(1, 2))
    house.sql(f"GRANT ALL ON job TO {guest}")
    house.policies(JOB)

    revoke = f"REVOKE DELETE ON job FROM {guest}"
    error = run(house, "expire_jobs", ProgressStep.TAKEN, lambda _: house.sql(revoke), scheduled_time=NOW)

    assert error.hint == "GRANT SELECT, UPDATE, DELETE on it to nightshift's role"
    assert house.value("SELECT count(*) FROM job") == 2


def test_a_trigger_keeps_expired_rows(house: House) -> None:
    script(house, MAKE_JOB + jobs(1, 2))
    house.sql("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    house.policies(JOB)
    trigger = "CREATE TRIGGER keep BEFORE DELETE ON job FOR EACH ROW EXECUTE FUNCTION keep()"

    error = run(house, "expire_jobs", ProgressStep.TAKEN, lambda _: house.sql(trigger), scheduled_time=NOW)

    assert "look for triggers and rules on the table" in str(error.hint)
    assert house.value("SELECT count(*) FROM job") == 2
