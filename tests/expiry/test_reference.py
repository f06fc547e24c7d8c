"""The reference schema from end to end: rows, files and message."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from local.job_data import Jobs
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, job_schema
from tests.support.handler import run_job
from tests.support.house import House

NOW = datetime(2025, 10, 15, 5, tzinfo=UTC)

POLICY = """
[[expiry]]
table = "job"
[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""


@pytest.mark.parametrize("cascades", [True, False])
def test_smoke(house: House, cascades: bool) -> None:
    jobs = Jobs(expired=50, living=10, now=NOW, bucket=house.bucket)
    create_jobs(house.url, job_schema(cascades=cascades), jobs)
    client = house.s3.client()
    keys = [key for (key,) in house.sql("SELECT s3_key FROM job_file")]
    for key in keys:
        client.put_object(Bucket=house.bucket, Key=key, Body=b"x")
    house.policies(POLICY)
    dry = run_job("expire_jobs", house.env, {"scheduled_time": "2025-10-15T05:00:00Z", "dry_run": True})
    print(dry)
    answer = run_job("expire_jobs", house.env, {"scheduled_time": "2025-10-15T05:00:00Z"})
    print(answer)
    (table,) = answer["tables"]
    assert table["expired"] == 50
    for name, each in ROWS_A_JOB.items():
        assert house.value(f"SELECT count(*) FROM {name}") == each * 10
        assert table["deleted_rows"][f"public.{name}"] == each * 50
        assert dry["tables"][0]["deleted_rows"][f"public.{name}"] == each * 50
    assert len(house.s3.keys(house.bucket)) == 40
    assert answer["status"] == "ok"
    again = run_job("expire_jobs", house.env, {"scheduled_time": "2025-10-15T05:00:00Z"})
    assert again["status"] == "nothing"
