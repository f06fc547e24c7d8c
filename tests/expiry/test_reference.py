"""The reference schema from end to end: rows, files, answer, message, history.

Databases differ in what they declare, so each of these promises is tried: keys that cascade, keys that do not, and no
keys at all, where the policy has to say what hangs on what.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import pytest
from sqlalchemy import MetaData

from local.job_data import Jobs, all_file_keys, job_id, put_files
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, TABLES, job_schema
from tests.support.expiry_runs import deleted, expire, expired, only
from tests.support.house import House

WHEN = datetime(2025, 10, 15, 5, tzinfo=UTC)
GONE, LEFT = 12, 5

POLICY = """
[[expiry]]
table = "job"
[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""

LINKS = {
    "payment": ("job_id", "job"),
    "payment_failure": ("payment_id", "payment"),
    "job_file": ("job_id", "job"),
    "sms_log": ("job_id", "job"),
    "phone_verification_attempt": ("job_id", "job"),
    "report": ("job_id", "job"),
    "report_knowledge": ("report_id", "report"),
}


def dependents(tables: Collection[str]) -> str:
    """What a policy has to say of tables that the database does not know to be linked."""
    return "".join(
        f'[[expiry.dependents]]\ntable = "{table}"\ncolumns = ["{LINKS[table][0]}"]\nreferences = "{LINKS[table][1]}"\n'
        for table in tables
    )


def fill(house: House, schema: MetaData) -> Jobs:
    """Jobs that are due, jobs that are not, and the files of all."""
    house.env["EXPIRE_FILES_BUCKET"] = house.bucket
    jobs = Jobs(expired=GONE, living=LEFT, now=WHEN, bucket=house.bucket)
    create_jobs(house.url, schema, jobs)
    put_files(house.s3.client(), house.bucket, all_file_keys(range(1, jobs.total + 1)))
    return jobs


@pytest.mark.fast_cases("all unlinked")
@pytest.mark.parametrize(
    ("cascades", "unlinked", "naive"),
    [(True, (), False), (False, (), True), (True, ("sms_log", "payment"), True), (False, tuple(LINKS), False)],
    ids=["cascades", "no cascades", "some unlinked", "all unlinked"],
)
def test_all_of_it_goes_and_nothing_else(home: House, cascades: bool, unlinked: Collection[str], naive: bool) -> None:
    jobs = fill(home, job_schema(cascades=cascades, naive=naive, unlinked=unlinked))
    # SQLite keeps no zone: its text shows UTC's wall clock, unless it was meant to show Seoul's.
    zone = 'timezone = "UTC"\n' if home.url.startswith("sqlite") and not naive else ""

    answer = expired(home, POLICY.replace('"job"\n', '"job"\n' + zone, 1) + dependents(unlinked))

    assert (answer["status"], answer["complete"], only(answer)["expired"]) == ("ok", True, GONE)
    assert deleted(answer) == {table: GONE * each for table, each in ROWS_A_JOB.items()}
    assert list(deleted(answer))[-1] == "job"
    for table, each in ROWS_A_JOB.items():
        assert home.value(f"SELECT count(*) FROM {table}") == LEFT * each
    ids = {str(value).replace("-", "") for (value,) in home.sql("SELECT id FROM job")}
    assert ids == {job_id(number).replace("-", "") for number in jobs.kept}
    assert home.s3.keys(home.bucket) == sorted(all_file_keys(jobs.kept))
    assert answer["files"] == {
        "queued": 4 * GONE,
        "deleted": 4 * GONE,
        "looked_up": 20,
        "absent": 0,
        "kept": 0,
        "failed": 0,
        "waiting": 0,
        "failures": [],
    }


@pytest.mark.fast_cases("postgresql")
def test_what_is_told_of_it(home: House) -> None:
    """The preview and the report name the same numbers; an hour without anything to do is not told."""
    fill(home, job_schema(cascades=True, naive=True))
    home.policies(POLICY)

    expire(home, dry_run=True)
    expire(home)
    expire(home)

    preview, report = (message.seen for message in home.slack.messages)
    counts = (
        "job 12건 · 하위 144행 (job_file 48, report_knowledge 24, sms_log 24, payment_failure 12, report 12,"
        " 나머지 2개 테이블 24)"
    )
    assert report == f"🧹 만료 작업 정리: {counts} · 파일 48개 삭제 · 14:00 KST"
    assert counts in preview and "파일 48개" in preview
    assert len(home.slack.messages) == 2
    assert [(run["job"], run["status"], run["complete"]) for run in home.runs()] == [
        ("expire_jobs", "ok", True),
        ("expire_jobs", "nothing", True),
    ]
    assert only(home.runs()[0]["result"])["expired"] == GONE


@pytest.mark.fast_cases("sqlite")
def test_in_english_and_not_quiet(home: House) -> None:
    home.env |= {"REPORT_LANGUAGE": "en", "EXPIRE_QUIET": "off"}
    fill(home, job_schema(cascades=False, naive=True))
    home.policies(POLICY)

    for _ in range(2):
        expire(home)

    report, nothing = (message.seen for message in home.slack.messages)
    assert report.startswith("🧹 Expired jobs cleanup: job 12 rows · 144 dependent rows (job_file 48, ")
    assert report.endswith(" · 48 files deleted · 14:00 KST")
    assert nothing == "✅ No expired jobs. (as of 14:00 KST)"


def test_every_table_of_it_is_linked_somehow() -> None:
    """The tests above would not notice a table that nobody links."""
    assert set(LINKS) == set(TABLES) - {"job"}
