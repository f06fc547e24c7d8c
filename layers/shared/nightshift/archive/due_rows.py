"""Archives the due rows of a table: whole partitions, then chunks. Vacuums the table, and looks for rows still due.

The module is separate from `table`, because it loads Arrow and the data drivers. A dry run or a refusal needs neither.

A leaf partition whose upper bound is not past the cutoff holds only due rows, now and later. The partition is locked
against writers, but not against readers. Its rows are read, written and verified, and the transaction that records its
objects drops the partition, which leaves no dead rows. If dropping is not possible (locks, too little time, no
ownership, foreign keys that reference the table), its rows are archived chunk by chunk like any other table's rows. The
next run drops the empty partition.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive import statistics
from nightshift.archive.chunk_archiver import ChunkArchiver
from nightshift.archive.chunk_workers import UNBOUNDED, ChunkWorkerPool
from nightshift.archive.context import ArchiveContext
from nightshift.archive.ledger import LedgerEntry
from nightshift.archive.run_state import LATE, LOCKED, ArchiveStats, build_table_result, hold_warnings
from nightshift.archive.target import CleanupTarget
from nightshift.archive.unarchivable import name_largest
from nightshift.database.catalog import HeapTable
from nightshift.database.connect import is_lock_timeout, server_message
from nightshift.errors import ArchiveMismatch
from nightshift.progress_events import ProgressEvent, ProgressStep
from nightshift.results.cleanup import TableResult
from nightshift.results.common import RunStatus
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import (
    RowConnection,
    RowsLocked,
    RowTooBig,
    StatementInterrupted,
    StatementRefused,
    rebatch,
)
from nightshift.rows.sample import CsvSample
from nightshift.rows.sqlite import SqliteConnection

LARGE_DELETION_ROWS = 50_000
LARGE_DELETION_SHARE = 0.1
"""A table is vacuumed if the deleted rows reach this number or this share."""

MANY_DEAD_ROWS = 50_000
"""After this many deletions without VACUUM, the oldest due row is searched only in newly appended pages."""


def process_due_rows(
    connection: Connection,
    context: ArchiveContext,
    target: CleanupTarget,
    sample: CsvSample | None,
    tally: ArchiveStats,
    started: float,
) -> TableResult:
    """Archive and delete the due rows of a table that passed its guards.

    Args:
        sample: collects the first rows; None: no sample.
        tally: counters of committed work. After a failure the counters are still correct.
        started: `time.monotonic()` value at which the work on the table began.
    """
    assert context.uploader is not None  # only a dry run has none
    assert context.ledger is not None
    chunk_archiver = ChunkArchiver(target, context.uploader, context.ledger, context.listener)
    connect: Callable[[], RowConnection]
    if target.is_postgresql:
        connect = partial(PostgresConnection, context.database.target)
    else:
        connect = partial(SqliteConnection, context.database.target.path, target.info.columns)
    try:
        _work(
            connection,
            context,
            ChunkWorkerPool(chunk_archiver, connect, context.limits, tally, sample or CsvSample(0)),
        )
    except RowTooBig as exc:
        context.database.refresh_timeouts(connection)
        row = name_largest(connection, target.info, target.due_condition)
        exc.detail = f"{target.info.name.label}: {row} is the largest row that is due; {exc.detail}"
        raise
    return _finish(connection, context, target, tally, started)


def _finish(
    connection: Connection, context: ArchiveContext, target: CleanupTarget, tally: ArchiveStats, started: float
) -> TableResult:
    """Check the counts after the last chunk, vacuum, look for rows that are still due, and return the result."""
    _check_count(context, target, tally)
    context.database.refresh_timeouts(connection)
    heaps = [heap for heap in target.info.heaps if heap.name.label in tally.deleted_by_heap]
    vacuumed, warnings = _vacuum(context, heaps, tally) if context.vacuum else (False, ())
    refused = tally.refused
    known_left = tally.locked or tally.out_of_time or refused.rows or refused.whole
    cheap = known_left or vacuumed or tally.rows < MANY_DEAD_ROWS or not target.is_postgresql
    oldest, known = None, True
    try:
        oldest = statistics.oldest_due(connection, target, None if cheap else heaps)
    except DBAPIError as exc:
        if is_lock_timeout(exc):
            raise
        known = False
        warnings = (*warnings, f"the oldest overdue row could not be looked up: {server_message(exc)}")
    warnings += refused.warnings + hold_warnings(target.held, target.axis.zone) + target.notes
    if oldest is not None and tally.locked:
        warnings = (*warnings, LOCKED)
    elif oldest is not None and not known_left:
        warnings = (*warnings, LATE)
    if known_left or oldest is not None or not known:
        status = RunStatus.PARTIAL
    else:
        status = RunStatus.OK if tally.rows or tally.partitions else RunStatus.NOTHING
    return build_table_result(
        target,
        tally,
        status,
        started,
        oldest_overdue=oldest,
        vacuumed=vacuumed,
        warnings=warnings,
    )


def _work(connection: Connection, context: ArchiveContext, archiver: ChunkWorkerPool) -> None:
    """Archive and drop whole partitions first, then archive the other heaps chunk by chunk."""
    target, limits = archiver.chunk_archiver.target, context.limits
    expected = statistics.expected_due(connection, target)
    whole = droppable_partitions(connection, target)
    connection.rollback()
    by_rows = [heap for heap in target.info.heaps if heap not in whole]
    by_rows += drop_partitions(archiver, whole)
    ranges = statistics.plan_scan_ranges(connection, target, by_rows, limits.chunk_bytes, limits.workers)
    connection.rollback()
    context.listener(ProgressEvent(step=ProgressStep.PLANNED, table=target.info.name.label, rows=expected))
    if ranges:
        archiver.archive_ranges(ranges)


def _vacuum(context: ArchiveContext, heaps: Sequence[HeapTable], tally: ArchiveStats) -> tuple[bool, tuple[str, ...]]:
    """Vacuum the heaps that lost many rows. Returns whether every VACUUM succeeded, and warnings."""
    if not context.database.is_postgresql:
        return False, ()
    large = [heap for heap in heaps if _is_large(tally.deleted_by_heap[heap.name.label], heap)]
    if not large:
        return False, ()
    with context.database.connect(autocommit=True) as connection:
        outcomes = [statistics.vacuum_table(connection, heap, context.limits.deadline) for heap in large]
    warnings = tuple(warning for warning in outcomes if warning)
    return not warnings, warnings


def _is_large(deleted: int, heap: HeapTable) -> bool:
    return deleted >= LARGE_DELETION_ROWS or (heap.rows > 0 and deleted / heap.rows >= LARGE_DELETION_SHARE)


def _check_count(context: ArchiveContext, target: CleanupTarget, tally: ArchiveStats) -> None:
    """Check the committed counts over another connection, so that the result does not depend on a driver's answers.

    Raises:
        ArchiveMismatch: the counts differ.
    """
    assert context.ledger is not None  # only a dry run has none
    objects, rows = context.ledger.count_archived(tally.keys)
    if (objects, rows) != (tally.objects, tally.rows):
        raise ArchiveMismatch(
            "the ledger does not show what this run committed",
            detail=f"{target.info.name.label}: {tally.objects} objects, {tally.rows} rows; ledger {objects}, {rows}",
            hint="something between us and the database undid a COMMIT; look at its log before the next run",
        )


logger = logging.getLogger(__name__)

BYTES_A_SECOND = 25 << 20
"""Assumed minimum rate of an export. A partition that would take more than half of the remaining time is archived
chunk by chunk."""


def droppable_partitions(connection: Connection, target: CleanupTarget) -> list[HeapTable]:
    """Returns the leaf partitions that hold only due rows and that nightshift's role may drop."""
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
        the partitions that could not be dropped. The caller archives their rows chunk by chunk.
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
        except (RowsLocked, StatementInterrupted, StatementRefused) as exc:
            logger.warning("partition goes by rows", extra={"partition": heap.name.label, "reason": exc.message})
            left.append(heap)
        finally:
            connection.close()
    return left


def _drop(archiver: ChunkWorkerPool, connection: RowConnection, heap: HeapTable) -> None:
    assert heap.parent is not None  # a droppable heap is a partition
    chunk_archiver, bounds = archiver.chunk_archiver, archiver.transaction_limits(size=UNBOUNDED)
    target = chunk_archiver.target
    entries: list[LedgerEntry] = []
    try:
        with connection.transaction(bounds):
            # A SHARE lock excludes writers and admits readers: from here on the partition cannot change.
            connection.run_statement(f"LOCK TABLE {heap.name.sql} IN SHARE MODE")
            chunk_archiver.check_schema_unchanged(connection, heap)
            if connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM {heap.name.sql} WHERE {target.not_due_condition} LIMIT 1) s"
            ):
                raise StatementRefused("it holds rows without a time, or with a mark in its place")
            batches = connection.stream_rows(target.select_sql(heap), bounds)
            for rows in rebatch(batches, archiver.limits.chunk_bytes):
                entries += chunk_archiver.uploader.upload_rows(target, chunk_archiver.apply_column_types(rows))
            connection.run_statement(f"ALTER TABLE {heap.parent.sql} DETACH PARTITION {heap.name.sql}")
            connection.run_statement(f"DROP TABLE {heap.name.sql}")
            chunk_archiver.commit_chunk(connection, entries)
    except BaseException:
        chunk_archiver.uploader.abort_upload([entry.key for entry in entries])
        raise
    with archiver.tally.lock:
        archiver.tally.add_chunk(None, entries)
        archiver.tally.partitions += 1
