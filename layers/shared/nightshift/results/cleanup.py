"""Result of `cleanup`, table by table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nightshift.errors import NightshiftError
from nightshift.results.common import GuardRefusal, MessageAttachment, Metric, RunStatus, format_iso, worst_status


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupEstimate:
    """Estimate that a dry run makes of a real one.

    Attributes:
        rows: overdue rows, counted.
        bytes: compressed bytes of Parquet to expect.
        objects: objects to expect.
        seconds: duration to expect.
        share: overdue rows / rows of the table, 0 to 1.
        usd: S3 request and first month's storage cost to expect, US dollars.
    """

    rows: int
    bytes: int
    objects: int
    seconds: float
    share: float
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """Result of `cleanup` for one table.

    Attributes:
        table: `schema.table`, as the policy names it.
        cutoff: aware; rows older than this were due. None where a guard refused before it was known.
        archived_rows: rows in objects that this run committed.
        deleted_rows: rows that this run deleted; equal to `archived_rows` or the run has failed.
        objects: objects that this run committed.
        bytes: their size in S3.
        seconds: time spent on this table.
        oldest_overdue: timestamp of the oldest row still in the table although it is due; None: no row is.
        partitions_dropped: native partitions archived whole and dropped.
        vacuumed: whether VACUUM (ANALYZE) ran afterwards.
        refused_rows: due rows that the database refused to delete, and that were left; more may have been left untried.
        refused: some of them, by key, each with the database's words; at most twenty.
        keys: some of the objects' keys, oldest first, at most ten.
        error: what a `failed` table failed with; the counts say what was committed before.
    """

    table: str
    status: RunStatus
    cutoff: datetime | None = None
    archived_rows: int = 0
    deleted_rows: int = 0
    objects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    oldest_overdue: datetime | None = None
    partitions_dropped: int = 0
    vacuumed: bool = False
    refusal: GuardRefusal | None = None
    estimate: CleanupEstimate | None = None
    warnings: tuple[str, ...] = ()
    refused_rows: int = 0
    refused: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    error: NightshiftError | None = None

    @property
    def rows_per_second(self) -> float:
        return self.archived_rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def overdue_seconds(self) -> float:
        """Seconds from the oldest row that the run left behind to the cutoff; 0 where it left none."""
        if self.cutoff is None or self.oldest_overdue is None:
            return 0.0
        return (self.cutoff - self.oldest_overdue).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """The table's part of the answer; times as ISO 8601, absent facts left out."""
        out: dict[str, Any] = {
            "table": self.table,
            "status": self.status.value,
            "cutoff": format_iso(self.cutoff),
            "archived_rows": self.archived_rows,
            "deleted_rows": self.deleted_rows,
            "objects": self.objects,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second),
            "oldest_overdue": format_iso(self.oldest_overdue),
        }
        if self.partitions_dropped:
            out["partitions_dropped"] = self.partitions_dropped
        if self.vacuumed:
            out["vacuumed"] = True
        if self.refused_rows:
            out |= {"refused_rows": self.refused_rows, "refused": list(self.refused)}
        if self.refusal:
            out["refusal"] = self.refusal.to_json()
        if self.estimate:
            e = self.estimate
            out["estimate"] = {
                "rows": e.rows,
                "bytes": e.bytes,
                "objects": e.objects,
                "seconds": round(e.seconds, 1),
                "share": round(e.share, 4),
                "usd": round(e.usd, 6),
            }
        if self.error:
            out["error"] = self.error.message
        if self.warnings:
            out["warnings"] = list(self.warnings)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult:
    """Result of one run of `cleanup`, table by table."""

    tables: tuple[TableResult, ...]
    attachments: tuple[MessageAttachment, ...] = ()
    orphans_removed: int = 0

    @property
    def status(self) -> RunStatus:
        return worst_status(table.status for table in self.tables)

    @property
    def complete(self) -> bool:
        return self.status in (RunStatus.OK, RunStatus.NOTHING)

    def to_json(self) -> dict[str, Any]:
        return {"tables": [table.to_json() for table in self.tables], "orphans_removed": self.orphans_removed}

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        yield Metric("ArchivedRows", sum(table.archived_rows for table in self.tables))
        yield Metric("ArchivedBytes", sum(table.bytes for table in self.tables), "Bytes")
        overdue = max((table.overdue_seconds for table in self.tables), default=0.0)
        yield Metric("OldestOverdueSeconds", overdue, "Seconds")
