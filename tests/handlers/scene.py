"""A function on its runtime, with something to do and a way to tell that all of it was done, once, and nothing else."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from local.chatlog import TABLE, connect, create_conversation_log
from local.documents import POLICY as DOCUMENT_POLICY
from local.documents import create_documents
from local.feedback_data import SETTINGS, create_votes
from local.job_data import Jobs, all_file_keys, job_id, put_files
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, TABLES, job_schema
from local.lambda_runtime import InvokeResult, LambdaRuntime
from local.s3 import EmbeddedS3
from nightshift.backup.inventory import find_backups
from nightshift.store import ObjectStore
from tests.support.handler import run_cleanup
from tests.template.cloudformation import load

ROWS = 600
COPY = f"{TABLE}_restored"
AS_OF = datetime(2025, 10, 13, tzinfo=UTC)
MOMENT = "2025-10-13T00:00:00Z"
BACKUP = "backup_2025_10_13_0900"
"""Of that moment, by the clocks of Seoul."""

EXPIRED, LIVING = 30, 10
POLICY = """\
[[expiry]]
table = "job"
archive = {archive}

[[expiry.files]]
table = "job_file"
key = "s3_key"
bucket_column = "bucket"
"""


class Scene(ABC):
    """A function with something to do.

    Attributes:
        event: gives it work.
        request: to S3, without which it does nothing; None where it goes on without an answer.
        least_mb: the least memory that the template takes for this work.
        before: the state of things at the start.
    """

    request: str | None = None

    def __init__(self, job: str, environment: Mapping[str, str], s3: EmbeddedS3) -> None:
        self.job, self.env, self.s3 = job, dict(environment), s3
        self.url, self.bucket = environment["DATABASE_URL"], environment["ARCHIVE_BUCKET"]
        self.event: dict[str, Any] = {"scheduled_time": MOMENT}
        self.least_mb = int(memory_of(job)["MinValue"])
        self.fill()
        self.before = self.state()

    @abstractmethod
    def fill(self) -> None:
        """Make something to do."""

    @abstractmethod
    def state(self) -> object:
        """All that a run may change."""

    @abstractmethod
    def done(self) -> bool:
        """Returns whether the work is done, all of it and nothing else."""

    def untouched(self) -> bool:
        return self.state() == self.before

    def runtime(self, timeout_s: int = 900, *, cap_mb: int | None = None, **variables: str) -> LambdaRuntime:
        """An environment of the function, not entered yet, with these variables on top."""
        handler, env = f"{self.job}.app.lambda_handler", {**self.env, **variables}
        return LambdaRuntime(handler, env, timeout_s, cap_mb or 1769, capped=cap_mb is not None)

    def await_quiet(self) -> None:
        """Return once the server has noticed that the clients of a run that was killed are gone."""
        ours = "application_name = 'nightshift' AND datname = current_database()"
        while self.number(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}"):
            time.sleep(0.01)

    def archived(self) -> int:
        """Rows in the archive, by its ledger."""
        if not self.exists("nightshift_archive_object"):
            return 0
        return self.number("SELECT coalesce(sum(row_count), 0) FROM nightshift_archive_object WHERE state = 'archived'")

    def sql(self, statement: str) -> list[Any]:
        with closing(connect(self.url)) as connection:
            return list(connection.run(statement) or ())

    def number(self, query: str) -> int:
        return int(self.sql(query)[0][0])

    def exists(self, table: str) -> bool:
        return bool(self.sql(f"SELECT to_regclass('{table}') IS NOT NULL")[0][0])


class Conversations(Scene):
    """Sixty days of conversations, half of them due; for a restore `cleanup` has archived that half before."""

    def fill(self) -> None:
        create_conversation_log(self.url, ROWS, days=60, end=AS_OF)
        self.request = "PUT"
        if self.job == "restore":
            run_cleanup({}, self.event)
            self.event, self.request = {**self.event, "table": TABLE}, "GET"

    def state(self) -> tuple[int, int, int]:
        """Rows in the table, in the archive, and in the restored copy."""
        copied = self.number(f"SELECT count(*) FROM {COPY}") if self.exists(COPY) else 0
        return self.number(f"SELECT count(*) FROM {TABLE}"), self.archived(), copied

    def done(self) -> bool:
        left, archived, copied = self.state()
        return left + archived == ROWS and archived > 0 and copied == (archived if self.job == "restore" else 0)


class Orders(Scene):
    """Jobs that have expired and jobs that have not, with all that hangs on them and the files of all."""

    archive = False

    def fill(self) -> None:
        self.jobs = Jobs(EXPIRED, LIVING, AS_OF, f"{self.bucket}-files")
        create_jobs(self.url, job_schema(cascades=False), self.jobs)
        self.s3.create_bucket(self.jobs.bucket)
        put_files(self.s3.client(), self.jobs.bucket, all_file_keys([*self.jobs.gone, *self.jobs.kept]))
        policy = POLICY.format(archive=str(self.archive).lower())
        self.s3.client().put_object(Bucket=self.bucket, Key="policies.toml", Body=policy.encode())
        self.env["NIGHTSHIFT_CONFIG"] = f"s3://{self.bucket}/policies.toml"
        self.env["EXPIRE_FILES_BUCKET"] = self.jobs.bucket

    def state(self) -> tuple[dict[str, int], set[str], int, int]:
        """Rows by table, files, files in the outbox, rows in the archive."""
        rows = {table: self.number(f"SELECT count(*) FROM {table}") for table in TABLES}
        return rows, set(self.s3.keys(self.jobs.bucket)), self.waiting(), self.archived()

    def done(self) -> bool:
        rows = {table: each * LIVING for table, each in ROWS_A_JOB.items()}
        archived = EXPIRED * sum(ROWS_A_JOB.values()) if self.archive else 0
        living = {str(id_) for (id_,) in self.sql("SELECT id FROM job")} == set(map(job_id, self.jobs.kept))
        return living and self.state() == (rows, set(all_file_keys(self.jobs.kept)), 0, archived)

    def waiting(self) -> int:
        """Files in the outbox."""
        outbox = "nightshift_file_deletion"
        return self.number(f"SELECT coalesce(sum(files), 0) FROM {outbox}") if self.exists(outbox) else 0


class Votes(Scene):
    """A day on which 41 of 100 dislike: a decision, an event, and a chart."""

    votes = (59, 41)

    def fill(self) -> None:
        self.env |= SETTINGS
        day = AS_OF.date() - timedelta(days=1)  # which has ended at 09:00 in Seoul
        create_votes(self.url, {day - timedelta(days=1): (80, 9), day: self.votes})

    def state(self) -> tuple[tuple[str, bool], ...]:
        """The decisions, and whether their events were taken."""
        if not self.exists("nightshift_feedback_run"):
            return ()
        found = self.sql("SELECT state, event_sent_at IS NOT NULL FROM nightshift_feedback_run ORDER BY window_start")
        return tuple((state, sent) for state, sent in found)

    def done(self) -> bool:
        return self.state() == (("retraining", True),)


class Documents(Scene):
    """Documents that have never been embedded."""

    count = 12

    def fill(self) -> None:
        create_documents(self.url, self.count, end=AS_OF)
        self.s3.client().put_object(Bucket=self.bucket, Key="policies.toml", Body=DOCUMENT_POLICY.encode())
        self.env["NIGHTSHIFT_CONFIG"] = f"s3://{self.bucket}/policies.toml"

    def state(self) -> tuple[int, int]:
        """Embeddings, and those that are on record."""
        if not self.exists("document_embedding"):
            return 0, 0
        recorded = "SELECT count(*) FROM nightshift_embedding WHERE state = 'embedded'"
        return self.number("SELECT count(DISTINCT document_id) FROM document_embedding"), self.number(recorded)

    def done(self) -> bool:
        return self.state() == (self.count, self.count)


class Precious(Scene):
    """A database that has never been backed up; `backed_up` takes the first backup, for jobs that want one."""

    request = "PUT"

    def fill(self) -> None:
        create_conversation_log(self.url, ROWS, days=60, end=AS_OF)

    def backed_up(self) -> dict[str, Any]:
        """What `backup` answers, run as deployed."""
        with LambdaRuntime("backup.app.lambda_handler", self.env) as runtime:
            return answer_of(runtime.invoke({"scheduled_time": MOMENT}))

    def state(self) -> tuple[tuple[str, bool, int], ...]:
        """The backups: whether every byte of them is good, and how many conversations they hold."""
        store = ObjectStore(self.s3.client, self.bucket)
        return tuple(
            (found.name, found.is_good, sum(t.rows for t in found.manifest.tables if t.name == TABLE))
            for found in find_backups(store, "backup", deep=True)
            if found.manifest is not None
        )

    def done(self) -> bool:
        return self.state() == ((BACKUP, True, ROWS),)


class ArchivedOrders(Orders):
    """The same under a policy that archives first."""

    archive = True
    request = "PUT"

    def __init__(self, job: str, environment: Mapping[str, str], s3: EmbeddedS3) -> None:
        super().__init__(job, environment, s3)
        self.least_mb = int(memory_of(job)["Default"])  # as the template's description wants it


JOBS: Mapping[str, Callable[[str, Mapping[str, str], EmbeddedS3], Scene]] = {
    "cleanup": Conversations,
    "restore": Conversations,
    "expire_jobs": Orders,
    "feedback": Votes,
    "reembed": Documents,
    "backup": Precious,
}
"""Job → what it finds."""


def answer_of(result: InvokeResult) -> dict[str, Any]:
    """The answer of a function that did not fail."""
    assert result.error_type is None, result.logs
    answer: dict[str, Any] = result.payload
    return answer


def encoded(event: object) -> bytes:
    return json.dumps(event).encode()


@cache
def memory_of(job: str) -> dict[str, Any]:
    """The template's parameter."""
    name = "".join(part.capitalize() for part in job.split("_"))
    parameter: dict[str, Any] = load()["Parameters"][f"{name}Memory"]
    return parameter
