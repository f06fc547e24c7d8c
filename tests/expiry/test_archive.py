"""`archive = true`: rows lie in the archive before their deletion commits, and come back from it."""

from __future__ import annotations

import signal
from contextlib import closing
from datetime import UTC, datetime

import pytest

from local.job_data import Jobs, all_file_keys, job_id, put_files
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, TABLES, job_schema
from nightshift.progress_events import ProgressStep
from tests.support.child import JobChild
from tests.support.expiry_runs import JOB, MAKE_JOB, NOW, expire, files_of, jobs, put, refused, script
from tests.support.handler import run_cleanup, run_job
from tests.support.house import House

GONE, KEPT = 30, 5

POLICY = """
[[expiry]]
table = "job"
archive = true
[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""


@pytest.fixture
def filled(house: House) -> Jobs:
    """The reference schema, some of its jobs due, under a policy that archives."""
    here = Jobs(GONE, KEPT, datetime(2025, 10, 15, 5, tzinfo=UTC), house.bucket)
    create_jobs(house.url, job_schema(cascades=True), here)
    put_files(house.s3.client(), house.bucket, all_file_keys(range(1, here.total + 1)))
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.policies(POLICY)
    return here


def contents(house: House) -> dict[str, list[str]]:
    """Every row of the reference schema, as the database writes it."""
    return {table: house.texts(table) for table in TABLES}


def test_every_row_that_left_is_in_the_archive(house: House, filled: Jobs) -> None:
    answer = expire(house)

    (told,) = answer["tables"]
    assert (answer["status"], told["expired"], told["archived_rows"]) == ("ok", GONE, GONE * sum(ROWS_A_JOB.values()))
    assert answer["files"]["queued"] == answer["files"]["deleted"] == GONE * ROWS_A_JOB["job_file"]
    assert {str(row["id"]) for row in house.archived("public.job")} == {job_id(n) for n in filled.gone}
    for table, each in ROWS_A_JOB.items():
        assert (len(house.archived(f"public.{table}")), len(house.texts(table))) == (GONE * each, KEPT * each)
    assert {row["dt"] for row in house.archived("public.payment")} == {"2025-10-15"}
    assert {row["dt"] for row in house.archived("public.job")} == {"2025-10-14", "2025-10-15"}


def test_a_trigger_that_changes_the_sessions_time_zone(house: House) -> None:
    """Files are due at once, and not half a day later."""
    script(house, MAKE_JOB + jobs(*range(1, 21)) + "ALTER TABLE job ADD s3_key text; UPDATE job SET s3_key = 'f' || id")
    script(
        house,
        "CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM set_config('TimeZone', 'Etc/GMT+12', false); RETURN NULL; END $$;"
        "CREATE TRIGGER move AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION move()",
    )
    put(house, *(f"f{n}" for n in range(1, 21)))
    house.env |= {"EXPIRE_FILES_BUCKET": house.bucket, "EXPIRE_BATCH": "4"}
    house.policies(JOB + "archive = true\n" + files_of("job"))

    answer = expire(house)

    assert (answer["status"], answer["files"]["queued"], answer["files"]["deleted"]) == ("ok", 20, 20)
    assert house.value("SELECT count(*) FROM nightshift_file_deletion") == 0


def test_they_come_back_as_they_were_and_are_held(house: House, filled: Jobs) -> None:
    before = contents(house)
    expire(house)

    for table in TABLES:
        restored = run_job("restore", house.env, {"table": table, "into_original": True})
        assert (restored["status"], restored["restored_rows"]) == ("ok", GONE * ROWS_A_JOB[table])

    assert contents(house) == before
    held = expire(house)
    assert held["status"] == "nothing"
    assert any("left alone until" in warning for warning in held["tables"][0]["warnings"])
    assert contents(house) == before


@pytest.mark.slow
def test_the_orphans_of_a_run_that_died_are_swept_by_its_own_job(house: House, filled: Jobs) -> None:
    before = contents(house)
    child = JobChild(house.env, {"scheduled_time": NOW}, job="expire_jobs", kill_at=ProgressStep.UPLOADED, occurrence=3)
    assert (child.wait(), child.steps.count(ProgressStep.UPLOADED)) == (-signal.SIGKILL, 3)
    orphans = {entry["object_key"] for entry in house.ledger() if entry["state"] == "pending"}
    assert orphans
    assert contents(house) == before

    run_cleanup(house.env, {"scheduled_time": NOW, "dry_run": False})
    assert {entry["object_key"] for entry in house.ledger() if entry["state"] == "pending"} == orphans

    assert expire(house)["tables"][0]["expired"] == GONE
    assert {entry["state"] for entry in house.ledger() if entry["object_key"] in orphans} == {"swept"}
    assert orphans.isdisjoint(house.s3.keys(house.bucket))


@pytest.mark.slow
def test_a_batch_that_memory_cannot_hold_is_cut(house: House) -> None:
    """Twelve jobs of 20 MB each, where a batch may hold four times 16 MB."""
    script(house, MAKE_JOB + jobs(*range(1, 13)) + "ALTER TABLE job ADD COLUMN body text;")
    house.sql("UPDATE job SET body = repeat(md5(id::text), 20 * 32768)")
    house.policies(JOB + "archive = true\n")
    house.env["CLEANUP_CHUNK_MB"] = "16"

    (told,) = expire(house)["tables"]

    assert (told["expired"], told["archived_rows"], told["status"]) == (12, 12, "ok")
    assert house.value("SELECT count(*) FROM job") == 0


CIRCLE = """
CREATE TABLE a (id int PRIMARY KEY, job_id int REFERENCES job, b_id int);
CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a);
ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b;
"""


def test_a_circle_has_no_statement_that_could_return_it(house: House) -> None:
    script(house, MAKE_JOB + jobs(1) + CIRCLE)
    (refusal,) = refused(house, JOB + "archive = true\n")
    assert (refusal["guard"], "circle" in refusal["message"]) == ("archive", True)
    assert "or drop one of the foreign keys" in refusal["hint"]


def test_what_parquet_could_not_hold(house: House) -> None:
    script(house, MAKE_JOB + jobs(1) + "ALTER TABLE job ADD COLUMN _nightshift_exact text")
    (refusal,) = refused(house, JOB + "archive = true\n")
    assert (refusal["guard"], refusal["hint"]) == ("reserved_name", "rename the column")

    house.sql("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'")
    env = {**house.env, "DATABASE_URL": house.url.replace(house.database, "ascii")}
    with closing(House(env, house.s3, house.slack, house.directory)) as other:
        script(other, MAKE_JOB + jobs(1))
        (refusal,) = refused(other, JOB + "archive = true\n")
    house.sql("DROP DATABASE ascii WITH (FORCE)")
    assert refusal["guard"] == "encoding" and "and pg_restore, which names what is no UTF-8" in refusal["hint"]


def test_sqlite_archives_no_cascade(sqlite_house: House) -> None:
    script(sqlite_house, MAKE_JOB + jobs(1))
    (refusal,) = refused(sqlite_house, JOB + "archive = true\n")
    assert (refusal["guard"], refusal["hint"]) == ("archive", "take archive = true out of the policy")


@pytest.mark.fast_cases("1d")
@pytest.mark.parametrize("hold", ["0", "1d"])
def test_rows_that_were_restored_have_no_files_any_more(house: House, hold: str) -> None:
    """That theirs are absent says nothing about the policy."""
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    house.sql("CREATE TABLE job (id int PRIMARY KEY, expires_at timestamp, s3_key text)")
    house.sql(
        "INSERT INTO job SELECT n, timestamp '2025-10-01' + n * interval '1 minute', 'f' || n"
        " FROM generate_series(1, 30) n"
    )
    put(house, *(f"f{n}" for n in range(1, 35)))
    house.policies(JOB + "archive = true\n" + files_of("job"))
    assert expire(house)["files"]["deleted"] == 30
    assert run_job("restore", house.env, {"table": "job", "into_original": True, "hold": hold})["status"] == "ok"
    house.sql("UPDATE nightshift_restored_object SET hold_until = '2025-10-15' WHERE hold_until IS NOT NULL")
    house.sql("INSERT INTO job SELECT n, '2025-10-10', 'f' || n FROM generate_series(31, 34) n")

    answer = expire(house, scheduled_time="2025-10-16T05:00:00Z")

    assert (answer["status"], answer["files"]["looked_up"], answer["files"]["absent"]) == ("ok", 4, 0), answer
    assert house.value("SELECT count(*) FROM job") == 0
    assert not [key for key in house.s3.keys(house.bucket) if key.startswith("f")]
