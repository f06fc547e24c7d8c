"""Result of `expire_jobs`: deleted rows of each table, and the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightshift.errors import NightshiftError
from nightshift.results.common import GuardRefusal, MessageAttachment, Metric, RunStatus, format_iso, worst_status


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredTable:
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
    archived_rows: int = 0
    objects: int = 0
    bytes: int = 0
    busy: int = 0
    failed: int = 0
    held: int = 0
    oldest_overdue: datetime | None = None
    seconds: float = 0.0
    refusal: GuardRefusal | None = None
    warnings: tuple[str, ...] = ()
    error: NightshiftError | None = None

    @property
    def dependent_rows(self) -> int:
        """Number of deleted rows that depended on expired ones."""
        return sum(self.deleted_rows.values()) - self.expired

    def to_json(self) -> dict[str, Any]:
        """The table's part of the answer; absent facts are left out."""
        out: dict[str, Any] = {
            "table": self.table,
            "status": self.status.value,
            "expired": self.expired,
            "deleted_rows": dict(self.deleted_rows),
            "seconds": round(self.seconds, 3),
            "oldest_overdue": format_iso(self.oldest_overdue),
        }
        counts = {"archived_rows": self.archived_rows, "objects": self.objects, "bytes": self.bytes}
        left = {"busy": self.busy, "failed": self.failed, "held": self.held}
        out |= {name: count for name, count in (counts | left).items() if count}
        if self.refusal:
            out["refusal"] = self.refusal.to_json()
        if self.error:
            out["error"] = self.error.message
        if self.warnings:
            out["warnings"] = list(self.warnings)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFailures:
    """Files of one bucket that S3 did not delete, for one reason.

    Attributes:
        code: S3's error code, e.g. `AccessDenied`; the kind of failure where S3 did not answer.
        example: the key of one of them.
    """

    bucket: str
    code: str
    count: int
    example: str

    def to_json(self) -> dict[str, Any]:
        return {"bucket": self.bucket, "code": self.code, "count": self.count, "example": self.example}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesResult:
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
    looked_up: int = 0
    absent: int = 0
    kept: int = 0
    failed: int = 0
    waiting: int = 0
    failures: tuple[FileFailures, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "queued": self.queued,
            "deleted": self.deleted,
            **({"looked_up": self.looked_up, "absent": self.absent} if self.looked_up else {}),
            "kept": self.kept,
            "failed": self.failed,
            "waiting": self.waiting,
            "failures": [failure.to_json() for failure in self.failures],
            **({"warnings": list(self.warnings)} if self.warnings else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryResult:
    """Result of one run of `expire_jobs`."""

    tables: tuple[ExpiredTable, ...]
    files: FilesResult = FilesResult()
    attachments: tuple[MessageAttachment, ...] = ()

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
    def complete(self) -> bool:
        return self.status in (RunStatus.OK, RunStatus.NOTHING)

    @property
    def oldest_overdue(self) -> datetime | None:
        """Returns the expiry time of the oldest overdue row that still exists."""
        return min((t.oldest_overdue for t in self.tables if t.oldest_overdue is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        return {"tables": [table.to_json() for table in self.tables], "files": self.files.to_json()}

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
