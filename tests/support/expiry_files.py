"""Jobs with a file each, whose names a test chooses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nightshift.database.catalog import quote_literal, quote_nullable
from tests.support.expiry_runs import MAKE_JOB, jobs, script
from tests.support.house import House

MAKE_FILES = "CREATE TABLE file (id int PRIMARY KEY, job_id int REFERENCES job, s3_key text, bucket text);"
BY_ROW = 'bucket_column = "bucket"\n'


@pytest.fixture
def uploads(home: House) -> House:
    """An empty table of files, in the bucket that the setting names; 30 jobs are due, five are not."""
    home.env["EXPIRE_FILES_BUCKET"] = home.bucket
    script(home, MAKE_JOB + jobs(*range(1, 31), living=range(31, 36)) + MAKE_FILES)
    return home


def name(home: House, values: Sequence[str], *, first: int = 1, bucket: str | None = None) -> None:
    """A file row for each value, each of a job of its own."""
    rows = [f"({n}, {n}, {quote_literal(value)}, {quote_nullable(bucket)})" for n, value in enumerate(values, first)]
    script(home, f"INSERT INTO file VALUES {', '.join(rows)}")
