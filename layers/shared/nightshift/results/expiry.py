"""Result of `expire_jobs`: deleted rows of each table, and the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightshift.errors import NightshiftError
from nightshift.results.common import (
    HIDDEN,
    MILLISECONDS,
    OPTIONAL,
    GuardRefusal,
    JobResult,
    JsonFacts,
    Metric,
    RunStatus,
    worst_status,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredTable(JsonFacts):
    """Result for one policy's table and all its dependent rows.

    Attributes:
        table: `schema.table`, as in the database. If a guard refused the table early: the name in the policy.
        expired: rows deleted from the policy's own table; in a dry run, rows that a real run would delete.
        deleted_rows: deleted rows by table, in the order of deletion, including the policy's own table. Rows that the
            database changes by itself, e.g. by ON DELETE SET NULL, do not count.
        archived_rows, objects, bytes: rows archived before their deletion, and the archive's objects for these rows;
            0 unless the policy sets `archive`.
        busy: due rows left for the next run, because another session had locked the rows or their dependent rows.
        failed: due rows that the database refused to delete. `warnings` has the reasons.
        held: expired rows that stay because a restore protects the rows, or their dependent rows, for some time.
        oldest_overdue: expiry time of the oldest expired row that is still there and not held; None: no row is.
        error: the error of a `failed` table. The counts cover the work committed before the error.
    """

    table: str
    status: RunStatus
    expired: int = 0
    deleted_rows: Mapping[str, int] = field(default_factory=dict)
    archived_rows: int = field(default=0, metadata=OPTIONAL)
    objects: int = field(default=0, metadata=OPTIONAL)
    bytes: int = field(default=0, metadata=OPTIONAL)
    busy: int = field(default=0, metadata=OPTIONAL)
    failed: int = field(default=0, metadata=OPTIONAL)
    held: int = field(default=0, metadata=OPTIONAL)
    oldest_overdue: datetime | None = None
    seconds: float = field(default=0.0, metadata=MILLISECONDS)
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    error: NightshiftError | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailures(JsonFacts):
    """Files of one bucket that S3 did not delete, for the same reason.

    Attributes:
        code: S3's error code, e.g. `AccessDenied`. If S3 did not answer: the kind of failure.
    """

    bucket: str
    code: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesResult(JsonFacts):
    """Result for the files of deleted rows, of this run and of earlier runs.

    A file's key waits in the outbox, a table of nightshift, until S3 has deleted the file.

    Attributes:
        queued: keys that this run put into the outbox; in a dry run, keys that a real run would put there.
        deleted: files whose deletion S3 confirmed. S3 also confirms the deletion of a key that never existed.
        looked_up: size of the sample of due rows' keys that the run looked up in S3 before deleting rows.
        absent: keys of this sample for which S3 has no file.
        kept: keys removed from the outbox because a row that still exists names the file.
        failed: deletions of this run that S3 refused or did not answer. The keys stay in the outbox.
        waiting: keys in the outbox at the end of the run, including failed keys and keys of unreachable buckets.
        failures: the failed deletions by reason, most frequent first.
    """

    queued: int = 0
    deleted: int = 0
    looked_up: int = field(default=0, metadata=OPTIONAL)
    absent: int = field(default=0, metadata=HIDDEN)
    kept: int = 0
    failed: int = 0
    waiting: int = 0
    failures: tuple[FileFailures, ...] = ()
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)

    def to_json(self) -> dict[str, Any]:
        return {**JsonFacts.to_json(self), **({"absent": self.absent} if self.looked_up else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryResult(JobResult):
    """Result of one run of `expire_jobs`."""

    tables: tuple[ExpiredTable, ...]
    files: FilesResult = FilesResult()

    @property
    def status(self) -> RunStatus:
        """Returns the run's status. Waiting files make the run `partial`: their rows are deleted, the files are not."""
        statuses = [table.status for table in self.tables]
        if self.files.waiting or self.files.failed:
            statuses.append(RunStatus.PARTIAL)
        elif self.files.deleted or self.files.kept:
            statuses.append(RunStatus.OK)
        return worst_status(statuses)

    @property
    def oldest_overdue(self) -> datetime | None:
        """Returns the expiry time of the oldest overdue row that still exists."""
        return min((t.oldest_overdue for t in self.tables if t.oldest_overdue is not None), default=None)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:
        """Yields the job's metrics. Tables of a dry run count no deletions, even if the dry run fails later."""
        deleted = [table for table in self.tables if table.status is not RunStatus.DRY_RUN]
        yield Metric("ExpiredRows", sum(table.expired for table in deleted))
        yield Metric("DeletedRows", sum(sum(table.deleted_rows.values()) for table in deleted))
        yield Metric("FilesDeleted", self.files.deleted)
        yield Metric("FilesFailed", self.files.failed)
        yield Metric("FilesWaiting", self.files.waiting)
        overdue = (as_of - self.oldest_overdue).total_seconds() if self.oldest_overdue else 0.0
        yield Metric("OldestOverdueSeconds", overdue, "Seconds")
