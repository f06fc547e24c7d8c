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
        table: `schema.table`, as the database has it; as the policy names it where a guard refused before that.
        expired: rows of the table itself that are gone; in a dry run, that would go.
        deleted_rows: rows by table, the table itself among them, in the order of deletion; what the database changes by
            itself, e.g. by ON DELETE SET NULL, is not counted.
        archived_rows, objects, bytes: what went to the archive first, where the policy asks for it.
        busy: due rows left for the next run because another session locked them or their dependent rows.
        failed: due rows that the database refused to delete; `warnings` says why.
        held: expired rows that are kept because a restore holds them, or their dependent rows.
        oldest_overdue: when the oldest row expired that is still there and not held; None: none is.
        error: what a `failed` table failed with; the counts say what was committed before.
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
    """Files of one bucket that S3 did not delete, for one reason.

    Attributes:
        code: S3's error code, e.g. `AccessDenied`; the kind of failure where S3 did not answer.
        example: the key of one of them.
    """

    bucket: str
    code: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesResult(JsonFacts):
    """Result for the files of deleted rows, of this run and of earlier ones.

    Attributes:
        queued: keys that this run put into the outbox; in a dry run, that it would.
        deleted: files that are gone on S3's word, which it gives for a key that never was, too.
        looked_up: keys of due rows that were looked up before, a sample.
        absent: those of them that named no file.
        kept: keys dropped from the outbox because a row that is still there names them.
        failed: tries of this run that S3 refused or did not answer; they stay in the outbox.
        waiting: keys in the outbox when the run ended, the failed ones among them; of a bucket that cannot be reached,
            too.
        failures: the failed ones by reason, most frequent first.
        warnings: what the operator should know, a sentence each.
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
        """Files that wait make a run `partial`: their rows are gone, and they are not."""
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
        """A table of a preview that failed counts nothing as deleted."""
        deleted = [table for table in self.tables if table.status is not RunStatus.DRY_RUN]
        yield Metric("ExpiredRows", sum(table.expired for table in deleted))
        yield Metric("DeletedRows", sum(sum(table.deleted_rows.values()) for table in deleted))
        yield Metric("FilesDeleted", self.files.deleted)
        yield Metric("FilesFailed", self.files.failed)
        yield Metric("FilesWaiting", self.files.waiting)
        overdue = (as_of - self.oldest_overdue).total_seconds() if self.oldest_overdue else 0.0
        yield Metric("OldestOverdueSeconds", overdue, "Seconds")
