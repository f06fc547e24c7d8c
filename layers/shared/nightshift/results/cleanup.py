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
    seconds: float = field(metadata=digits(1))
    share: float = field(metadata=digits(4))
    usd: float = field(metadata=digits(6))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult(JsonFacts):
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
        """Seconds from the oldest row that the run left behind to the cutoff; 0 where it left none."""
        if self.cutoff is None or self.oldest_overdue is None:
            return 0.0
        return (self.cutoff - self.oldest_overdue).total_seconds()

    def to_json(self) -> dict[str, Any]:
        refused = {"refused": list(self.refused)} if self.refused_rows else {}
        return {**JsonFacts.to_json(self), **refused, "rows_per_second": round(self.rows_per_second)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult(JobResult):
    """Result of one run of `cleanup`, table by table."""

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
