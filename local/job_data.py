"""Who is in the tables of `local/jobs.py`, and which files they have in S3: a function of the arguments alone.

Jobs are numbered from 1 in the order in which they expire. Identifiers and S3 keys follow from the number, so that
whoever knows the numbers knows what must be gone and what must still be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING
from uuid import UUID

from local.jobs import ROWS_A_JOB

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LIFE = timedelta(days=1)
"""From order to expiry; expired jobs expired within the last such time, living ones will within the next."""

CONNECTIONS = 8
TINY_PDF = b"%PDF-1.7\n%%EOF\n"


@dataclass(frozen=True, slots=True)
class Jobs:
    """Who is in the database.

    Attributes:
        expired: jobs 1 to `expired`; the first expired almost a day before `now`.
        living: the jobs after them; the first expires at `now` sharp, and is not past it yet.
        now: aware.
        bucket: what `job_file.bucket` says.
    """

    expired: int
    living: int
    now: datetime
    bucket: str = "job-files"

    @property
    def gone(self) -> range:
        """Numbers of the jobs that are due."""
        return range(1, self.expired + 1)

    @property
    def kept(self) -> range:
        """Numbers of the jobs that are not."""
        return range(self.expired + 1, self.total + 1)

    @property
    def total(self) -> int:
        return self.expired + self.living

    @property
    def steps(self) -> tuple[timedelta, timedelta]:
        """Time between two jobs' expiry: before `now`, and after."""
        return LIFE // max(1, self.expired), LIFE // max(1, self.living)

    def expires_at(self, number: int) -> datetime:
        """When a job expires."""
        before, after = self.steps
        place = number - self.expired - 1
        return self.now + place * (before if place < 0 else after)


def job_id(number: int) -> str:
    return str(UUID(digest(f"job {number}")))


def file_keys(number: int) -> tuple[str, ...]:
    """The S3 keys of one job's files."""
    return tuple(file_key(number, k) for k in range(1, ROWS_A_JOB["job_file"] + 1))


def all_file_keys(numbers: Iterable[int]) -> Iterator[str]:
    """The S3 keys of many jobs' files: `all_file_keys(jobs.gone)`."""
    return (key for number in numbers for key in file_keys(number))


def put_files(client: S3Client, bucket: str, keys: Iterable[str]) -> int:
    """Make sure that each key has an object in S3; returns how many there are."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return sum(1 for _ in pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=TINY_PDF), keys))


def file_key(number: int, k: int) -> str:
    """The S3 key of a job's k-th file, from 1."""
    return f"jobs/{job_id(number)}/{k}-{digest(f'{number}/{k}')}.pdf"


def digest(value: str) -> str:
    """32 digits that look like chance, in Python as in PostgreSQL."""
    return md5(value.encode(), usedforsecurity=False).hexdigest()
