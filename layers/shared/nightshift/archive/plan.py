"""Computes the result of a dry run: counts where they are cheap, and estimates elsewhere."""

from __future__ import annotations

import math

from sqlalchemy import Connection, func, select

from nightshift.archive.statistics import count_due
from nightshift.archive.target import CleanupTarget
from nightshift.database.tables import archive_object
from nightshift.results.cleanup import CleanupEstimate

COMPRESSION = 0.25
"""Parquet bytes per byte of table, where the ledger knows no better (chat logs measured 0.2 to 0.3)."""

BYTES_A_SECOND = 100 << 20
"""Table bytes archived a second by two workers; see benchmarks/."""

REQUEST_USD = (0.0045 + 0.00035) / 1000
"""A PUT and the GET that proves it, S3 Standard, Asia Pacific (Seoul): https://aws.amazon.com/s3/pricing/."""

STORAGE_USD = 0.025 / 1024**3
"""A byte and month, same source."""


def estimate_due_rows(
    connection: Connection, target: CleanupTarget, *, chunk_bytes: int, ledger_exists: bool
) -> CleanupEstimate:
    """Count the due rows and estimate the rest.

    Args:
        chunk_bytes: as a real run would aim at.
        ledger_exists: whether earlier runs can be asked how small a row of this table becomes.
    """
    due, total = count_due(connection, target)
    heap_bytes = sum(heap.bytes for heap in target.info.heaps)
    due_bytes = heap_bytes * due / total if total else 0.0
    a_row = _archived_row(connection, target) if ledger_exists else None
    size = due * a_row if a_row is not None else due_bytes * COMPRESSION
    days = _days(connection, target) if due else 0
    objects = max(days, math.ceil(due_bytes / chunk_bytes)) if due else 0
    return CleanupEstimate(
        rows=due,
        bytes=int(size),
        objects=objects,
        seconds=due_bytes / BYTES_A_SECOND,
        share=due / total if total else 0.0,
        usd=objects * REQUEST_USD + size * STORAGE_USD,
    )


def _archived_row(connection: Connection, target: CleanupTarget) -> float | None:
    """Mean size of this table's rows in the archive so far."""
    sums = select(func.sum(archive_object.c.byte_count), func.sum(archive_object.c.row_count)).where(
        archive_object.c.table_name == target.info.name.label, archive_object.c.state == "archived"
    )
    size, rows = connection.execute(sums).one()
    return float(size) / float(rows) if rows else None


def _days(connection: Connection, target: CleanupTarget) -> int:
    """Calendar days between the oldest and the youngest due row."""
    axis = target.axis
    if not target.is_postgresql:
        return 1
    ends = [axis.point_sql(f"{end}({axis.epoch_sql})") for end in ("min", "max")]
    statement = f"SELECT {', '.join(ends)} FROM {target.info.name.sql} WHERE {target.due_condition}"
    first, last = connection.exec_driver_sql(statement).one()
    return (axis.to_day(int(last)) - axis.to_day(int(first))).days + 1
