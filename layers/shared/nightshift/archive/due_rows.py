"""Archives the due rows of a table: whole partitions, then chunks; vacuums it, and checks the remaining due rows.

It is separate from `table` because it loads Arrow and its drivers, which a dry run or a refusal does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive import statistics
from nightshift.archive.chunk_archiver import ChunkArchiver
from nightshift.archive.chunk_workers import ChunkWorkerPool
from nightshift.archive.events import ProgressEvent, ProgressStep
from nightshift.archive.outcome import LATE, LOCKED, build_table_result, hold_warnings
from nightshift.archive.partitions import drop_partitions, droppable_partitions
from nightshift.archive.run_state import ArchiveStats
from nightshift.archive.target import CleanupTarget
from nightshift.archive.unarchivable import name_largest
from nightshift.database.catalog import HeapTable
from nightshift.database.connect import Database, is_lock_timeout, server_message
from nightshift.errors import ArchiveMismatch
from nightshift.results.cleanup import TableResult
from nightshift.results.common import RunStatus
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import RowConnection, RowTooBig
from nightshift.rows.sample import CsvSample
from nightshift.rows.sqlite import SqliteConnection

if TYPE_CHECKING:
    from nightshift.archive.table import ArchiveContext

LARGE_DELETION_ROWS = 50_000
LARGE_DELETION_SHARE = 0.1
"""A table is vacuumed after a deletion that is large by either measure."""

MANY_DEAD_ROWS = 50_000
"""After this many deletions without VACUUM the search for the oldest due row keeps to newly appended pages."""


def process_due_rows(
    connection: Connection,
    engine: ArchiveContext,
    target: CleanupTarget,
    sample: CsvSample | None,
    tally: ArchiveStats,
    started: float,
) -> TableResult:
    """Archive and delete the due rows of a table that passed its guards.

    Args:
        sample: collects the first rows; None: no sample.
        tally: counts committed work, whatever happens next.
        started: `time.monotonic()` value.
    """
    try:
        _work(connection, engine, _archiver(engine, target, sample or CsvSample(0), tally))
    except RowTooBig as exc:
        engine.database.refresh_timeouts(connection)
        row = name_largest(connection, target.info, target.due_condition)
        exc.detail = f"{target.info.name.label}: {row} is the largest row that is due; {exc.detail}"
        raise
    return _finish(connection, engine, target, tally, started)


def _finish(
    connection: Connection, engine: ArchiveContext, target: CleanupTarget, tally: ArchiveStats, started: float
) -> TableResult:
    """After the last chunk: check the count, vacuum, and look for rows that are still due."""
    _check_count(engine, target, tally)
    engine.database.refresh_timeouts(connection)
    heaps = [heap for heap in target.info.heaps if heap.name.label in tally.deleted_by_heap]
    vacuumed, warnings = _vacuum(engine, heaps, tally) if engine.vacuum else (False, ())
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


def _archiver(engine: ArchiveContext, target: CleanupTarget, sample: CsvSample, tally: ArchiveStats) -> ChunkWorkerPool:
    assert engine.uploader is not None  # only a dry run has none
    assert engine.ledger is not None
    mover = ChunkArchiver(target, engine.uploader, engine.ledger, engine.listener)
    return ChunkWorkerPool(mover, _connector(engine.database, target), engine.limits, tally, sample)


def _connector(database: Database, target: CleanupTarget) -> Callable[[], RowConnection]:
    if database.is_postgresql:
        return partial(PostgresConnection, database.target)
    return partial(SqliteConnection, database.target.path, target.info.columns)


def _work(connection: Connection, engine: ArchiveContext, archiver: ChunkWorkerPool) -> None:
    """Whole partitions first, then everything else by chunks."""
    target, limits = archiver.mover.target, engine.limits
    expected = statistics.expected_due(connection, target)
    whole = droppable_partitions(connection, target)
    connection.rollback()
    by_rows = [heap for heap in target.info.heaps if heap not in whole]
    by_rows += drop_partitions(archiver, whole)
    fields = statistics.plan_scan_ranges(connection, target, by_rows, limits.chunk_bytes, limits.workers)
    connection.rollback()
    engine.listener(ProgressEvent(step=ProgressStep.PLANNED, table=target.info.name.label, rows=expected))
    if fields:
        archiver.archive_ranges(fields)


def _vacuum(engine: ArchiveContext, heaps: Sequence[HeapTable], tally: ArchiveStats) -> tuple[bool, tuple[str, ...]]:
    """Vacuum heaps that lost many rows; returns whether all of that went through, and warnings."""
    if not engine.database.is_postgresql:
        return False, ()
    large = [heap for heap in heaps if _is_large(tally.deleted_by_heap[heap.name.label], heap)]
    if not large:
        return False, ()
    with engine.database.connect(autocommit=True) as connection:
        said = [statistics.vacuum_table(connection, heap, engine.limits.deadline) for heap in large]
    warnings = tuple(warning for warning in said if warning)
    return not warnings, warnings


def _is_large(deleted: int, heap: HeapTable) -> bool:
    return deleted >= LARGE_DELETION_ROWS or (heap.rows > 0 and deleted / heap.rows >= LARGE_DELETION_SHARE)


def _check_count(engine: ArchiveContext, target: CleanupTarget, tally: ArchiveStats) -> None:
    """Checks the committed counts over another connection: the report must not rest on a driver's word.

    Raises:
        ArchiveMismatch: they differ.
    """
    assert engine.ledger is not None  # only a dry run has none
    objects, rows = engine.ledger.count_archived(tally.keys)
    if (objects, rows) != (tally.objects, tally.rows):
        raise ArchiveMismatch(
            "the ledger does not show what this run committed",
            detail=f"{target.info.name.label}: {tally.objects} objects, {tally.rows} rows; ledger {objects}, {rows}",
            hint="something between us and the database undid a COMMIT; look at its log before the next run",
        )
