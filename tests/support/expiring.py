"""Jobs on the eve of their expiry, and the promise that holds whatever happens to the run.

The promise: a job is there with all that hangs on it, or gone with all of it; every file that a row names is in S3,
and what else is in S3 is waiting in the outbox. It holds at every moment, a crash included. `converge` adds what a
plain run afterwards owes: the jobs that are left are those that have not expired, S3 holds their files alone, and the
outbox is empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from local.job_data import Jobs, all_file_keys, job_id, put_files
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, job_schema
from nightshift.progress_events import ProgressEvent, ProgressStep
from tests.support.child import JobChild
from tests.support.handler import Context, run_job
from tests.support.house import House
from tests.support.running import RunningHouse

NOW = datetime(2025, 10, 15, 5, tzinfo=UTC)
AS_OF = "2025-10-15T05:00:00Z"

IMPATIENT = {"EXPIRE_LOCK_TIMEOUT": "0.2", "EXPIRE_BATCH": "8"}

POLICY = """
[[expiry]]
table = "job"
timezone = "UTC"
[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""

HANGS_ON = {
    "payment": ("job_id", "job"),
    "payment_failure": ("payment_id", "payment"),
    "job_file": ("job_id", "job"),
    "sms_log": ("job_id", "job"),
    "phone_verification_attempt": ("job_id", "job"),
    "report": ("job_id", "job"),
    "report_knowledge": ("report_id", "report"),
}
"""Table → the column by which its rows hang on those of another."""

REFUSES = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'this one is sacred'; END $$;"
    " CREATE TRIGGER refuse AFTER DELETE ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refuse()"
)
"""A trigger by which the database refuses to delete some rows."""


def stated(table: str) -> str:
    """The part of a policy that states a reference which the database does not know of."""
    column, parent = HANGS_ON[table]
    return f'[[expiry.dependents]]\ntable = "{table}"\ncolumns = ["{column}"]\nreferences = "{parent}"\n'


@dataclass
class JobScene(RunningHouse):
    """A deployment of the document service.

    Attributes:
        kept: identifiers of the jobs that a run must leave.
    """

    kept: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.env.setdefault("EXPIRE_FILES_BUCKET", self.bucket)

    def fill(
        self,
        expired: int = 24,
        living: int = 4,
        *,
        cascades: bool = False,
        unlinked: Collection[str] = (),
        with_files: bool = True,
    ) -> None:
        """Create the service's tables and fill them; every file is in S3.

        Args:
            expired, living: numbers of jobs; a batch takes 8.
            cascades, unlinked: see `job_schema`; the policy states what the database does not know.
        """
        jobs = Jobs(expired=expired, living=living, now=NOW, bucket=self.bucket)
        create_jobs(self.url, job_schema(cascades=cascades, unlinked=unlinked), jobs)
        if with_files:
            put_files(self.s3.client(), self.bucket, all_file_keys(range(1, jobs.total + 1)))
        # They stay, however late a test comes back.
        self.sql(f"UPDATE job SET expires_at = '2026-10-15 05:00:00' WHERE NOT expires_at < '{NOW:%Y-%m-%d %H:%M:%S}'")
        self.policies(POLICY + "".join(stated(table) for table in HANGS_ON if table in unlinked))
        self.kept = {job_id(number) for number in jobs.kept}

    def run(self, context: Context | None = None, **event: Any) -> dict[str, Any]:
        """Call the handler."""
        return run_job("expire_jobs", self.env, {"scheduled_time": AS_OF, **event}, context)

    def child(
        self,
        env: Mapping[str, str] | None = None,
        *,
        kill_at: ProgressStep | None = None,
        hold_at: ProgressStep | None = None,
        occurrence: int = 1,
        hook: Callable[[ProgressEvent], None] | None = None,
    ) -> JobChild:
        """A run in a process of its own; see `JobChild`."""
        child = JobChild(
            {**self.env, **(env or {})},
            {"scheduled_time": AS_OF},
            job="expire_jobs",
            kill_at=kill_at,
            hold_at=hold_at,
            occurrence=occurrence,
            hook=hook,
        )
        self.children.append(child)
        return child

    def outbox(self) -> list[dict[str, Any]]:
        """The files that wait, each with what its entry says, oldest entry first; empty before the first run."""
        entries = self._own_table("nightshift_file_deletion", "id")
        return [{**entry, "object_key": key} for entry in entries for key in json.loads(entry["object_keys"])]

    def job_ids(self) -> set[str]:
        """The jobs that are there."""
        return {str(UUID(str(id_))) for (id_,) in self.sql("SELECT id FROM job")}

    def count(self, table: str = "job") -> int:
        return int(self.value(f"SELECT count(*) FROM {table}"))

    def stored(self) -> set[str]:
        """The keys that S3 has."""
        return set(self.s3.keys(self.bucket))

    def named(self) -> set[str]:
        """The keys that rows name."""
        return {str(key) for (key,) in self.sql("SELECT s3_key FROM job_file")}

    def torn(self) -> dict[str, int]:
        """By table: rows that hang on nothing, and rows on which too few hang."""
        found = {}
        for child, (column, parent) in HANGS_ON.items():
            orphans = f"SELECT count(*) FROM {child} WHERE {column} NOT IN (SELECT id FROM {parent})"
            each = ROWS_A_JOB[child] // ROWS_A_JOB[parent]
            joined = f"{parent} p LEFT JOIN {child} c ON c.{column} = p.id"
            robbed = f"SELECT count(*) FROM (SELECT FROM {joined} GROUP BY p.id HAVING count(c.{column}) < {each}) r"
            if self.url.startswith("sqlite"):
                robbed = robbed.replace("SELECT FROM", "SELECT 1 FROM")
            found[child] = int(self.value(orphans))
            found[f"{parent} without {child}"] = int(self.value(robbed))
        return {what: count for what, count in found.items() if count}

    def assert_sound(self) -> None:
        """The promise."""
        assert self.torn() == {}
        # What is in S3 is read first: a run that is still at work only takes away from it.
        stored, named = self.stored(), self.named()
        assert named <= stored, "a file is gone whose row is there"
        assert stored - named <= {row["object_key"] for row in self.outbox()}, "nobody knows of a file any more"
        assert self.kept <= self.job_ids()

    def assert_done(self) -> None:
        """Nothing is left of what has expired."""
        self.assert_sound()
        assert self.job_ids() == self.kept
        assert self.outbox() == []
        assert self.stored() == self.named()

    def converge(self, **event: Any) -> dict[str, Any]:
        """Run plainly, and see that all is as if nothing had happened; returns the run's answer."""
        self.await_quiet()
        self.assert_sound()
        answer = self.run(**event)
        assert answer["complete"], answer
        self.assert_done()
        return answer


@pytest.fixture
def jobs(house: House) -> Iterator[JobScene]:
    """The document service on PostgreSQL, with small batches and an impatient lock time-out; still to fill."""
    built = JobScene(dict(house.env), house.s3, house.slack, house.directory)
    built.env |= IMPATIENT | {"EXPIRE_FILES_BUCKET": house.bucket, "DATABASE_URL": f"{house.url}?sslmode=disable"}
    built.url = house.url
    yield built
    built.close()


@pytest.fixture
def sqlite_jobs(sqlite_house: House) -> Iterator[JobScene]:
    """The same on SQLite."""
    env = sqlite_house.env | IMPATIENT | {"EXPIRE_FILES_BUCKET": sqlite_house.bucket}
    built = JobScene(env, sqlite_house.s3, sqlite_house.slack, sqlite_house.directory)
    yield built
    built.close()
