"""Archives whole partitions and drops them, which leaves no dead rows.

A leaf partition whose upper bound is not past the cutoff holds only due rows, now and later. It is locked against
writers (readers go on), read to its end, written and proven, and dropped in the same transaction that records its
objects. Where that is not possible quickly (locks, no time for the whole of it, no ownership, foreign keys that point
at the table), its rows are archived chunk by chunk, as any other table's, and the next run drops the empty
partition.
"""

from __future__ import annotations

import logging
import time

from sqlalchemy import Connection

from nightshift.archive.chunk_workers import UNBOUNDED, ChunkWorkerPool
from nightshift.archive.ledger import LedgerEntry
from nightshift.archive.target import CleanupTarget
from nightshift.database.catalog import HeapTable
from nightshift.errors import NightshiftError
from nightshift.rows.row_connection import RowConnection, RowsLocked, StatementInterrupted, StatementRefused, rebatch

logger = logging.getLogger(__name__)

BYTES_A_SECOND = 25 << 20
"""Export rate that a run is assumed to reach at least. A partition that would take more than half of the time left is
archived by rows."""


def droppable_partitions(connection: Connection, target: CleanupTarget) -> list[HeapTable]:
    """Leaf partitions that hold nothing but due rows and that we may drop."""
    if target.info.kind != "partitioned":
        return []
    cutoff = target.axis.literal_sql(target.axis.to_epoch(target.cutoff))
    column = target.info.column(target.axis.column)
    assert column is not None  # the guards found it
    old = []
    for heap in target.info.heaps:
        bound = heap.upper_bound
        if bound is None or not heap.may_drop or bound in ("MAXVALUE", "MINVALUE"):
            continue
        if connection.exec_driver_sql(f"SELECT ({bound})::{column.base_type} <= {cutoff}").scalar():
            old.append(heap)
    return old


def drop_partitions(archiver: ChunkWorkerPool, heaps: list[HeapTable]) -> list[HeapTable]:
    """Archive and drop partitions, one after the other.

    Returns:
        those that could not be dropped whole; their rows are to go chunk by chunk.
    """
    left = []
    for heap in heaps:
        seconds = archiver.limits.deadline - time.monotonic()
        if not archiver.pool.has_time() or heap.bytes / BYTES_A_SECOND > seconds / 2:
            left.append(heap)
            continue
        connection = archiver.connect()
        try:
            _drop(archiver, connection, heap)
        except (RowsLocked, StatementInterrupted, StatementRefused, _NotWhole) as exc:
            logger.warning("partition goes by rows", extra={"partition": heap.name.label, "reason": exc.message})
            left.append(heap)
        finally:
            connection.close()
    return left


class _NotWhole(NightshiftError):
    """A partition holds rows that are not due after all."""


def _drop(archiver: ChunkWorkerPool, connection: RowConnection, heap: HeapTable) -> None:
    assert heap.parent is not None  # a droppable heap is a partition
    mover, bounds = archiver.mover, archiver.transaction_limits(size=UNBOUNDED)
    target = mover.target
    entries: list[LedgerEntry] = []
    try:
        with connection.transaction(bounds):
            # SHARE keeps writers out and lets readers in: from here on the partition cannot change.
            connection.run_statement(f"LOCK TABLE {heap.name.sql} IN SHARE MODE")
            mover.check_schema_unchanged(connection, heap)
            if connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {heap.name.sql} WHERE {target.not_due_condition} LIMIT 1) s"
            ):
                raise _NotWhole("it holds rows without a time, or with a mark in its place")
            batches = connection.stream_rows(target.select_sql(heap), bounds)
            for rows in rebatch(batches, archiver.limits.chunk_bytes):
                entries += mover.uploader.upload_rows(target, mover.apply_column_types(rows))
            connection.run_statement(f"ALTER TABLE {heap.parent.sql} DETACH PARTITION {heap.name.sql}")
            connection.run_statement(f"DROP TABLE {heap.name.sql}")
            mover.commit_chunk(connection, entries)
    except BaseException:
        mover.uploader.abort_upload([entry.key for entry in entries])
        raise
    with archiver.tally.lock:
        archiver.tally.add_chunk(None, entries)
        archiver.tally.partitions += 1
