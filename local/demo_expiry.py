"""The demo's chapter on `expire_jobs`: orders that end after a day, with all that hangs on them and their files in S3.

The handler says what it deleted. What is left is counted without it: rows by SQL, files by listing the bucket.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from local.chatlog import connect
from local.demo_slack import Channel
from local.job_data import Jobs, all_file_keys, job_id, put_files
from local.job_rows import SEOUL, create_jobs
from local.jobs import ROWS_A_JOB, TABLES, job_schema
from local.s3 import EmbeddedS3
from local.stage import Stage, equals
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job

EXPIRED, LIVING = 200, 50
BUCKET = "nightshift-demo-uploads"
FILES = "files in S3"

POLICY = """\
[[expiry]]
table = "job"
expires_at = "expires_at"
cascade = [
  "payment", "payment_failure", "job_file", "sms_log",
  "phone_verification_attempt", "report", "report_knowledge",
]

[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
buckets = ["nightshift-demo-uploads"]
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there, counted from outside.

    Attributes:
        rows: by table.
        jobs: their identifiers.
        files: the keys in the bucket.
    """

    rows: Mapping[str, int]
    jobs: frozenset[str]
    files: frozenset[str]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table, and the files."""
        return {**self.rows, FILES: len(self.files)}


def play_expiry(stage: Stage, url: str, s3: EmbeddedS3, channel: Channel, now: datetime) -> bool:
    """The chapter; returns whether everything added up."""
    jobs = Jobs(EXPIRED, LIVING, now, BUCKET)
    stage.act(f"An order for documents ends after a day: {EXPIRED} have expired, {LIVING} live, {len(TABLES)} tables")
    create_jobs(url, job_schema(cascades=False), jobs)
    s3.create_bucket(BUCKET)
    put_files(s3.client(), BUCKET, all_file_keys([*jobs.gone, *jobs.kept]))
    before = _look(url, s3)
    stage.say(f"{sum(before.rows.values()):,} rows; s3://{BUCKET}: {len(before.files):,} files")
    stage.frame("the policy", POLICY.rstrip())

    stage.act(f"{now.astimezone(SEOUL):%H:%M} in Seoul: expire_jobs runs")
    answer = _expire(stage, now)
    channel.show()

    [table] = answer["tables"]
    said = {name.removeprefix("public."): count for name, count in table["deleted_rows"].items()}
    return _adds_up(stage, jobs, before, {**said, FILES: answer["files"]["deleted"]}, _look(url, s3))


def _expire(stage: Stage, now: datetime) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nightshift-demo-") as directory:
        policy = Path(directory, "policies.toml")
        policy.write_text(POLICY, encoding="utf-8")
        wiring = RunWiring({**os.environ, "NIGHTSHIFT_CONFIG": str(policy)})
        event = {"scheduled_time": now.isoformat()}
        answer = run_job("expire_jobs", event, None, wiring)
    [table], files = answer["tables"], answer["files"]
    stage.say(
        f"{answer['status']}: {table['expired']:,} jobs, {sum(table['deleted_rows'].values()):,} rows,"
        f" {files['deleted']:,} files in {answer['duration_ms'] / 1000:.1f} s"
    )
    return answer


def _look(url: str, s3: EmbeddedS3) -> Seen:
    with closing(connect(url)) as connection:
        rows = {table: int(connection.run(f"SELECT count(*) FROM {table}")[0][0]) for table in TABLES}
        jobs = frozenset(str(value) for (value,) in connection.run("SELECT id FROM job"))
    return Seen(rows, jobs, frozenset(s3.keys(BUCKET)))


def _adds_up(stage: Stage, jobs: Jobs, before: Seen, deleted: Mapping[str, int], after: Seen) -> bool:
    """Show what was there, went and is left; returns whether that is what should be, to the row and to the file."""
    counts = [(name, had, deleted.get(name, 0), after.counts[name]) for name, had in before.counts.items()]
    stage.table(["", "before", "deleted", "left"], [[name, *(f"{n:,}" for n in numbers)] for name, *numbers in counts])
    told_right = all(had == gone + left for _, had, gone, left in counts)
    rows_right = after.jobs == frozenset(map(job_id, jobs.kept)) and after.rows == {
        table: each * LIVING for table, each in ROWS_A_JOB.items()
    }
    files_right = after.files == frozenset(all_file_keys(jobs.kept))
    stage.act(f"{sum(after.rows.values()):,} rows left {equals(rows_right)} those of the {LIVING} living jobs")
    stage.act(f"{len(after.files):,} files left {equals(files_right)} those that living jobs name")
    return told_right and rows_right and files_right
