"""`archive = true`: rows lie in the archive before their deletion commits."""

from __future__ import annotations

from datetime import UTC, datetime

from local.job_data import Jobs, job_id
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, job_schema
from tests.support.handler import run_job
from tests.support.house import House

AS_OF = "2025-10-15T05:00:00Z"
NOW = datetime(2025, 10, 15, 5, tzinfo=UTC)

POLICY = """
[[expiry]]
table = "job"
archive = true
[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""


def test_every_row_that_left_is_in_the_archive(house: House) -> None:
    jobs = Jobs(expired=30, living=5, now=NOW, bucket=house.bucket)
    create_jobs(house.url, job_schema(cascades=True), jobs)
    before = {table: set(house.texts(table, "md5(to_jsonb(t)::text)")) for table in ROWS_A_JOB}
    house.policies(POLICY)

    answer = run_job("expire_jobs", house.env, {"scheduled_time": AS_OF})

    (told,) = answer["tables"]
    assert (answer["status"], told["expired"], told["archived_rows"]) == ("ok", 30, 30 * sum(ROWS_A_JOB.values()))
    assert answer["files"]["queued"] == answer["files"]["deleted"] == 30 * ROWS_A_JOB["job_file"]
    assert {str(row["id"]) for row in house.archived("public.job")} == {job_id(n) for n in jobs.gone}
    for table, each in ROWS_A_JOB.items():
        assert len(house.archived(f"public.{table}")) == 30 * each
        assert len(before[table]) - len(house.texts(table)) == 30 * each
    assert {row["dt"] for row in house.archived("public.payment")} == {"2025-10-15"}
    assert {row["dt"] for row in house.archived("public.job")} == {"2025-10-14", "2025-10-15"}
