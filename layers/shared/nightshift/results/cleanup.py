"""Result of `cleanup`, table by table."""

from __future__ import annotations

from collections.abc import Iterator
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
    digits,
    worst_status,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupEstimate(JsonFacts):
    """Estimate by a dry run of the effects of a real run.

    Attributes:
        rows: number of due rows, which is counted, not estimated.
        bytes: expected size of the compressed Parquet objects.
        share: due rows divided by all rows of the table, 0 to 1.
        usd: expected cost of S3 requests and of the first month of storage, in US dollars.
    """

    rows: int
    bytes: int
    objects: int
    seconds: float = field(metadata=digits(1))
    share: float = field(metadata=digits(4))
    usd: float = field(metadata=digits(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult(JsonFacts):
    """Result of `cleanup` for one table.

    Attributes:
        table: `schema.table`, as in the policy.
        cutoff: aware time; older rows are due. None: a guard refused the table before the cutoff was known.
        archived_rows: rows in the objects that this run committed.
        deleted_rows: rows that this run deleted. Unless the run has failed, the number equals `archived_rows`.
        objects: number of objects that this run committed.
        bytes: size in S3 of the objects that this run committed.
        oldest_overdue: timestamp of the oldest due row that is still in the table; None: no due row is left.
        partitions_dropped: native partitions that were archived as a whole and dropped.
        vacuumed: whether VACUUM (ANALYZE) ran afterwards.
        refused_rows: due rows that the database refused to delete. The run may have left more rows without a try.
        refused: keys of up to twenty refused rows, each with the database's error.
        keys: keys of up to ten objects, oldest first.
        error: the error of a `failed` table. The counts cover the work committed before the error.
    """

    table: str
    status: RunStatus
    cutoff: datetime | None = None
    archived_rows: int = 0
    deleted_rows: int = 0
    objects: int = 0
    bytes: int = 0
    seconds: float = field(default=0.0, metadata=MILLISECONDS)
    oldest_overdue: datetime | None = None
    partitions_dropped: int = field(default=0, metadata=OPTIONAL)
    vacuumed: bool = field(default=False, metadata=OPTIONAL)
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
    estimate: CleanupEstimate | None = field(default=None, metadata=OPTIONAL)
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    refused_rows: int = field(default=0, metadata=OPTIONAL)
    refused: tuple[str, ...] = field(default=(), metadata=HIDDEN)
    keys: tuple[str, ...] = field(default=(), metadata=HIDDEN)
    error: NightshiftError | None = field(default=None, metadata=OPTIONAL)

    @property
    def rows_per_second(self) -> float:
        return self.archived_rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def overdue_seconds(self) -> float:
        """Returns the time from the oldest due row that is left to the cutoff, in seconds; 0 if no due row is left."""
        if self.cutoff is None or self.oldest_overdue is None:
            return 0.0
        return (self.cutoff - self.oldest_overdue).total_seconds()

    def to_json(self) -> dict[str, Any]:
        refused = {"refused": list(self.refused)} if self.refused_rows else {}
        return {**JsonFacts.to_json(self), **refused, "rows_per_second": round(self.rows_per_second)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult(JobResult):
    """Result of one run of `cleanup`, table by table.

    Attributes:
        orphans_removed: number of deleted objects that failed runs had left.
    """

    tables: tuple[TableResult, ...]
    orphans_removed: int = 0

    @property
    def status(self) -> RunStatus:
        return worst_status(table.status for table in self.tables)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        yield Metric("ArchivedRows", sum(table.archived_rows for table in self.tables))
        yield Metric("ArchivedBytes", sum(table.bytes for table in self.tables), "Bytes")
        overdue = max((table.overdue_seconds for table in self.tables), default=0.0)
        yield Metric("OldestOverdueSeconds", overdue, "Seconds")
