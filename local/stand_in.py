"""Servers on this machine for one call of one job, where the caller names none, with something in them for it to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from local.s3 import EmbeddedS3

BUCKET = "nightshift-demo"
FILES_BUCKET = "nightshift-demo-files"
CONVERSATIONS = 5_000
DAYS = 60
EXPIRED, LIVING = 50, 20
EXPIRY = """\
[[expiry]]
table = "job"

[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""

Fill = Callable[[str, EmbeddedS3, datetime, Path], Mapping[str, str]]
"""Takes the database's URL, S3, the time that the call stands for and a directory; returns further variables."""


@contextmanager
def stand_in(job: str, moment: datetime) -> Iterator[Mapping[str, str]]:
    """Start them, and say so on stderr.

    Args:
        moment: the time that the call stands for; some of the rows are due then.

    Yields:
        the variables by which the job finds them.
    """
    from local.postgres import DISPOSABLE, EmbeddedPostgres

    fill, rows = _FILLS.get(job, (_conversations, f"{CONVERSATIONS} rows of conversation_log"))
    print(f"a PostgreSQL with {rows} and an S3 are started on this machine, for this call only", file=sys.stderr)
    with EmbeddedPostgres(settings=DISPOSABLE) as postgres, EmbeddedS3() as s3, TemporaryDirectory() as directory:
        url = postgres.create_database("demo")
        s3.create_bucket(BUCKET)
        found = fill(url, s3, moment, Path(directory))
        yield {**s3.env, "DATABASE_URL": url, "ARCHIVE_BUCKET": BUCKET, **found}


def _conversations(url: str, _s3: EmbeddedS3, moment: datetime, _directory: Path) -> Mapping[str, str]:
    from local.chatlog import create_conversation_log

    create_conversation_log(url, CONVERSATIONS, days=DAYS, end=moment)
    return {}


def _jobs(url: str, s3: EmbeddedS3, moment: datetime, directory: Path) -> Mapping[str, str]:
    """Jobs with their files, and the policy that says when they end."""
    from local.job_data import Jobs, all_file_keys, put_files
    from local.job_rows import create_jobs
    from local.jobs import job_schema

    jobs = Jobs(EXPIRED, LIVING, moment, FILES_BUCKET)
    create_jobs(url, job_schema(cascades=False), jobs)
    s3.create_bucket(FILES_BUCKET)
    put_files(s3.client(), FILES_BUCKET, all_file_keys([*jobs.gone, *jobs.kept]))
    policy = directory / "policies.toml"
    policy.write_text(EXPIRY, encoding="utf-8")
    return {"NIGHTSHIFT_CONFIG": str(policy)}


_FILLS: Mapping[str, tuple[Fill, str]] = {
    "expire_jobs": (_jobs, f"{EXPIRED} expired and {LIVING} living jobs"),
}
"""What a job finds where it is not conversations, and what to call it."""
