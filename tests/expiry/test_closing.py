"""`archive = true` with references that the database dissolves: every row is archived as it was."""

from __future__ import annotations

import signal

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.child import JobChild
from tests.support.expiry_runs import DUE, JOB, MAKE_JOB, NOW, column, expire, jobs, only, refused, script
from tests.support.house import House

ARCHIVE = JOB + "archive = true\n"

WAITPOINTS = """
CREATE TABLE batch (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE CASCADE);
CREATE TABLE waitpoint (id int PRIMARY KEY, job_id int REFERENCES job ON DELETE CASCADE,
  batch_id int REFERENCES batch ON DELETE SET NULL, other_id int DEFAULT -1 REFERENCES batch ON DELETE SET DEFAULT);
INSERT INTO batch VALUES (-1, NULL);
"""
"""Jobs make batches, whose waitpoints belong to other jobs."""

MOMENTS = f"INSERT INTO job SELECT i, timestamp '{DUE}' - (1000 - i) * interval '1 s' FROM generate_series(1, %s) i;"


def values(house: House, table: str, name: str) -> dict[int, int | None]:
    return dict(house.sql(f"SELECT id, {name} FROM {table}"))


def archived(house: House, table: str, name: str) -> dict[int, int | None]:
    rows = [(row["id"], row[name]) for row in house.archived(f"public.{table}")]
    assert len(rows) == len(dict(rows))
    return dict(rows)


def fill_waitpoints(house: House) -> None:
    """On a batch of the next job, of the one before, of their own, or of the first of all; and of a living one."""
    script(house, MAKE_JOB + WAITPOINTS + MOMENTS % 95 + jobs(living=[200, 201]))
    house.sql(
        "INSERT INTO batch SELECT i * 10, i FROM generate_series(1, 95) i UNION ALL VALUES (2000, 200), (2010, 201)"
    )
    house.sql(
        "INSERT INTO waitpoint SELECT i * 100 + n, i, 10 * CASE n WHEN 0 THEN i % 95 + 1 WHEN 1 THEN 1 ELSE i END,"
        " 10 * (1 + i * 37 % 95) FROM generate_series(1, 95) i, generate_series(0, 2) n"
    )
    house.sql("INSERT INTO waitpoint VALUES (20000, 200, 10, 2000), (20001, 200, 2010, 20), (9999, 3, 2000, 2010)")


@pytest.mark.fast_cases("7")
@pytest.mark.parametrize("size", ["1", "7", "50"])
def test_waitpoints_keep_the_batch_that_an_earlier_transaction_deletes(house: House, size: str) -> None:
    fill_waitpoints(house)
    before = [values(house, "waitpoint", name) for name in ("batch_id", "other_id")]
    house.policies(ARCHIVE)
    house.env["EXPIRE_BATCH"] = size

    told = only(expire(house))

    assert (told["status"], told["expired"]) == ("ok", 95)
    for name, was in zip(("batch_id", "other_id"), before, strict=True):
        assert archived(house, "waitpoint", name) == {n: value for n, value in was.items() if n not in (20000, 20001)}
    assert house.sql("SELECT * FROM waitpoint ORDER BY id") == [(20000, 200, None, 2000), (20001, 200, 2010, -1)]


def test_a_run_that_dies_between_two_batches_has_dissolved_nothing_that_is_due(house: House) -> None:
    fill_waitpoints(house)
    house.sql("UPDATE waitpoint SET other_id = NULL, batch_id = CASE WHEN job_id < 95 THEN (job_id + 1) * 10 END")
    before = values(house, "waitpoint", "batch_id")
    house.policies(ARCHIVE)
    house.env["EXPIRE_BATCH"] = "7"
    child = JobChild(
        house.env, {"scheduled_time": NOW}, job="expire_jobs", kill_at=ProgressStep.COMMITTED, occurrence=2
    )
    assert child.wait() == -signal.SIGKILL
    assert house.value("SELECT count(*) FROM job") > 2

    assert only(expire(house))["status"] == "ok"
    assert archived(house, "waitpoint", "batch_id") == {n: b for n, b in before.items() if n not in (20000, 20001)}


@pytest.mark.fast_cases("i + 1")
@pytest.mark.parametrize("reference", ["i - 1", "i + 1", "1", "300", "i % 300 + 1", "NULLIF(i, i)"])
def test_jobs_that_reference_each_other(house: House, reference: str) -> None:
    """The one before, the next, all the same one, a circle that no batch was to hold."""
    script(house, MAKE_JOB + MOMENTS % 300)
    script(
        house, "ALTER TABLE job ADD COLUMN other int REFERENCES job ON DELETE SET NULL; CREATE INDEX ON job (other);"
    )
    house.sql(
        f"UPDATE job SET other = o.id FROM (SELECT id AS i FROM job) j, job o WHERE job.id = i AND o.id = {reference}"
    )
    house.sql("INSERT INTO job VALUES (1000, '2030-01-01', 5)")
    before = values(house, "job", "other")
    house.policies(ARCHIVE)
    house.env["EXPIRE_BATCH"] = "20"

    told = only(expire(house))

    assert (told["status"], told["expired"]) == ("ok", 300)
    assert archived(house, "job", "other") == {n: other for n, other in before.items() if n != 1000}
    assert house.sql("SELECT id, other FROM job") == [(1000, None)]


def test_what_a_refused_row_references_stays_with_it(house: House) -> None:
    script(house, MAKE_JOB + MOMENTS % 30)
    script(
        house,
        """
        ALTER TABLE job ADD COLUMN other int REFERENCES job ON DELETE SET NULL;
        UPDATE job SET other = 3 WHERE id = 20; UPDATE job SET other = 2 WHERE id = 3;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
        CREATE TRIGGER refuse AFTER DELETE ON job FOR EACH ROW WHEN (OLD.id = 20) EXECUTE FUNCTION refuse();
        """,
    )
    house.policies(ARCHIVE)

    told = only(expire(house))

    assert (column(house, "job"), told["expired"], told["failed"]) == ([2, 3, 20], 27, 3)
    assert house.sql("SELECT id, other FROM job ORDER BY id") == [(2, None), (3, 2), (20, 3)]
    assert any("job (id) = (2), public.job (id) = (3)" in warning for warning in told["warnings"])


def test_what_cannot_be_closed_is_refused_by_name(house: House) -> None:
    script(house, MAKE_JOB + jobs(1) + WAITPOINTS)
    script(house, "ALTER TABLE waitpoint ADD UNIQUE (id, batch_id);")
    follower = "CREATE TABLE note (id int, job_id int REFERENCES job, w int, b int);"
    follower += "ALTER TABLE note ADD FOREIGN KEY (w, b) REFERENCES waitpoint (id, batch_id) ON UPDATE CASCADE;"
    script(house, follower)
    (refusal,) = refused(house, ARCHIVE)
    assert refusal["guard"] == "archive" and "public.note follows changes of public.waitpoint" in refusal["message"]
    assert "or make one of the two keys NO ACTION" in refusal["hint"]

    script(
        house,
        "DROP TABLE note; ALTER TABLE batch DROP CONSTRAINT batch_pkey CASCADE; ALTER TABLE batch ADD UNIQUE (id);",
    )
    script(house, "ALTER TABLE waitpoint ADD FOREIGN KEY (batch_id) REFERENCES batch (id) ON DELETE SET NULL;")
    (refusal,) = refused(house, ARCHIVE)
    assert refusal["guard"] == "no_key" and "lose their reference" in refusal["message"]
    assert "what is archived could have lost it already" in refusal["hint"]
