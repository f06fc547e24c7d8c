"""Archives a table chunk by chunk over several connections at once, within the run's limits.

Each worker has its own data connection, and takes the next chunk after each finished chunk. The cause of a failure
decides what happens to the chunk. A chunk that is too large is split. A chunk with locked or refused rows is archived
without these rows. A chunk that the server interrupted is tried again. Without time the chunk is left for the next run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from nightshift.archive.chunk_allocator import ChunkRange, ScanRange
from nightshift.archive.chunk_archiver import ChunkArchiver
from nightshift.archive.context import RunLimits
from nightshift.archive.refused_rows import find_refused
from nightshift.archive.run_state import (
    MOST_REFUSED,
    MOST_REFUSED_ALONE,
    MOST_WHOLE,
    NOTHING_LEFT,
    ArchiveStats,
    LeftOut,
)
from nightshift.concurrency import WorkerPool
from nightshift.rows.row_connection import (
    RowConnection,
    RowsLocked,
    StatementInterrupted,
    StatementRefused,
    TooLarge,
    TransactionLimits,
)
from nightshift.rows.sample import CsvSample

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

MAX_CHUNK_OVERSHOOT = 4
"""A chunk that holds more than this many times its target bytes is rolled back and split."""

RETRIES = 3
"""Maximum number of tries for a chunk that the server rolled back (deadlock, serialization failure)."""

FALLBACK_ROW_LIMIT = 10_000
"""Number of rows in one transaction if a chunk's interval cannot be split."""

UNBOUNDED = 1 << 62
"""A number of bytes that means no limit, for a single row and for a whole partition, which is written in parts."""


class _Whole(Exception):
    """The chunk must not be tried again as a whole."""


@dataclass(slots=True)
class _Known:
    """Findings from the failed tries of a chunk.

    Attributes:
        skip_locked: another transaction has locked some of the chunk's rows.
        refusal: the error with which the database refused to delete a row; None: the database refused no row yet.
        without: the refused rows, if they are known.
    """

    skip_locked: bool = False
    refusal: StatementRefused | None = None
    without: LeftOut = NOTHING_LEFT


class ChunkWorkerPool:
    """Archives the due rows of one table."""

    def __init__(
        self,
        chunk_archiver: ChunkArchiver,
        connect: Callable[[], RowConnection],
        limits: RunLimits,
        tally: ArchiveStats,
        sample: CsvSample,
    ) -> None:
        """Prepare the workers, without opening a connection.

        Args:
            connect: opens a data connection. Each worker has its own connection.
            tally: counters of committed work. After a failure the counters are still correct.
            sample: collects the first rows that were committed.
        """
        self.chunk_archiver = chunk_archiver
        self.connect = connect
        self.limits = limits
        self.tally = tally
        self._sample = sample
        self.pool = WorkerPool("archive", limits.deadline)

    def archive_ranges(self, ranges: Sequence[ScanRange]) -> None:
        """Archive the ranges, in order.

        Raises:
            NightshiftError: the first failure. Chunks committed before the failure stay committed.
        """
        workers = self.limits.workers if self.chunk_archiver.target.is_postgresql else 1
        self.pool.run(partial(self._work, ranges), workers)
        if (refusal := self.tally.refused.first) and self.tally.refused.whole and not self.tally.rows:
            raise refusal  # no row could be deleted, so single rows are not the cause

    def transaction_limits(self, *, size: int | None = None) -> TransactionLimits:
        """Returns the limits of a transaction that begins now. `size`: maximum of Arrow bytes; None: the default."""
        return TransactionLimits(
            seconds=self.pool.seconds_left(),
            lock_seconds=self.limits.lock_seconds,
            bytes=size or self.limits.chunk_bytes * MAX_CHUNK_OVERSHOOT,
            stop=self.pool.is_over,
        )

    def _work(self, ranges: Sequence[ScanRange]) -> None:
        connection = self.connect()
        try:
            for scan in ranges:
                while self.pool.has_time():
                    chunk = scan.allocator.next_chunk()
                    if chunk is None:
                        break
                    self._chunk(connection, scan, chunk)
                    if not connection.healthy:
                        connection.close()
                        connection = self.connect()
                else:
                    self.tally.out_of_time = self.tally.out_of_time or scan.allocator.has_remaining
        finally:
            connection.close()

    def _chunk(self, connection: RowConnection, scan: ScanRange, chunk: ChunkRange) -> None:
        """Archive one chunk, and handle its failures."""
        known = _Known()
        for attempt in range(1, RETRIES + 1):
            try:
                if known.refusal is not None:
                    known.without = self._find_refused(connection, scan, chunk, known)
                self._move(connection, scan, chunk, skip_locked=known.skip_locked, without=known.without)
            except TooLarge:
                if not scan.allocator.split_chunk(chunk):
                    self._piecemeal(connection, scan, chunk)
                return
            except (RowsLocked, StatementRefused, StatementInterrupted, _Whole) as exc:
                if self._is_over(scan, chunk, known, exc, last=attempt == RETRIES):
                    return
            else:
                return
        if known.refusal is None:
            scan.allocator.return_chunk(chunk)
        elif not scan.allocator.split_chunk(chunk):
            self._leave(known.refusal)  # the rows are refused together; no row is refused alone

    def _is_over(self, scan: ScanRange, chunk: ChunkRange, known: _Known, exc: Exception, *, last: bool) -> bool:
        """Record the cause of a failed try. Returns True if the chunk must not be tried again."""
        match exc:
            case RowsLocked():
                if known.skip_locked or not self.chunk_archiver.target.is_postgresql:
                    # The whole table is locked: every other chunk would wait as long without success.
                    logger.warning("the table is locked, left for the next run", extra={"detail": exc.detail})
                    self.tally.locked += 1
                    self.pool.stop()
                    return True
                known.skip_locked = True
            case StatementRefused():
                if not exc.about_rows:
                    raise exc
                known.refusal = exc
            case StatementInterrupted():
                if not self.pool.has_time():
                    scan.allocator.return_chunk(chunk)
                    self.tally.out_of_time = True
                    return True
                if last:
                    raise exc
            case _:
                return True
        return False

    def _find_refused(self, connection: RowConnection, scan: ScanRange, chunk: ChunkRange, known: _Known) -> LeftOut:
        """Returns the rows of a chunk that the database refuses to delete.

        Raises:
            _Whole: the chunk was split, or is left as it is.
        """
        refused, refusal = self.tally.refused, known.refusal
        assert refusal is not None  # else nothing is to be found
        refused.first = refused.first or refusal
        if not self.chunk_archiver.target.is_postgresql:
            # SQLite has no server that could try the rows. The chunk is halved until it is a single row.
            if refused.rows >= MOST_REFUSED_ALONE or not scan.allocator.split_chunk(chunk):
                self._leave(refusal, chunk if chunk.width == 1 else None)
            raise _Whole
        most, condition = MOST_REFUSED - refused.rows, scan.condition(chunk)
        try:
            if most > 0:
                return find_refused(
                    connection, scan.heap, condition, self.transaction_limits(), most, skip_locked=known.skip_locked
                )
        except StatementRefused:
            logger.warning("refused rows could not be looked for", exc_info=True)
        self._leave(refusal)
        raise _Whole

    def _leave(self, refusal: StatementRefused, row: ChunkRange | None = None) -> None:
        """Record that a chunk, or its single row `row`, stays in the table, because the database refuses it."""
        logger.warning("rows were refused, and left", extra={"detail": refusal.detail})
        with self.tally.lock:
            refused = self.tally.refused
            if row is not None:
                refused.add_rows(LeftOut(1, "", (f"row {row.lo}: {refusal.detail}",)))
                return
            refused.whole += 1
            if refused.whole >= MOST_WHOLE:
                self.pool.stop()

    def _piecemeal(self, connection: RowConnection, scan: ScanRange, chunk: ChunkRange) -> None:
        """Archive a chunk by number of rows, if it is too large and cannot be split, e.g. a bulk load at one time."""
        limit = FALLBACK_ROW_LIMIT if self.chunk_archiver.target.is_postgresql else 1
        known = _Known()
        while self.pool.has_time():
            try:
                if known.refusal is not None and not known.without.but:
                    known.without = self._find_refused(connection, scan, chunk, known)
                if self._move(connection, scan, chunk, limit=limit, without=known.without) < limit:
                    return
                known.without = replace(known.without, rows=0, named=(), cut=False)  # counted
            except TooLarge:
                limit = max(1, limit // 10)
            except StatementRefused as exc:
                if not exc.about_rows:
                    raise
                if known.refusal is not None:
                    self._leave(exc)
                    return
                known.refusal = exc
            except _Whole:
                return
        scan.allocator.return_chunk(chunk)
        self.tally.out_of_time = True

    def _move(
        self,
        connection: RowConnection,
        scan: ScanRange,
        chunk: ChunkRange,
        *,
        skip_locked: bool = False,
        limit: int | None = None,
        without: LeftOut = NOTHING_LEFT,
    ) -> int:
        """Archive a chunk, or `limit` of its rows, and update the counters. Returns the number of archived rows.

        Args:
            without: rows of the chunk that are left out.
        """
        started = time.monotonic()
        # A single row must be archived, whatever its size.
        bounds = self.transaction_limits(size=UNBOUNDED if limit == 1 else None)
        condition = scan.condition(chunk) + without.but
        rows, entries = self.chunk_archiver.archive_chunk(
            connection, scan.heap, condition, bounds, skip_locked=skip_locked, limit=limit
        )
        now = time.monotonic()
        self.pool.record_duration(now - started)
        with self.tally.lock:
            self.tally.add_chunk(scan.heap, entries)
            self.tally.refused.add_rows(without)
            self.tally.locked += int(skip_locked)
            self._take_sample(rows)
        if limit is None:
            left = self.limits.deadline - now
            scan.allocator.record_timing(chunk, rows.num_rows, rows.nbytes, seconds=now - started, seconds_left=left)
        return int(rows.num_rows)

    def _take_sample(self, rows: pa.Table) -> None:
        """Add rows to the sample. The rows are archived already, so a failure of the sample is only logged."""
        try:
            self._sample.add_rows(rows)
        except Exception:
            logger.exception("no sample could be taken", extra={"table": self.chunk_archiver.target.info.name.label})
