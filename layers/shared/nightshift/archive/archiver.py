"""Works a table off with several connections at once, chunk by chunk, within its limits.

Each worker has a data connection of its own and takes the next chunk when it is done with one. The archiver decides
what becomes of a chunk that does not go through at once: too large, it is split; locked, it is taken again without
the locked rows; interrupted by the server, it is tried again; out of time, it is left for the next run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nightshift.archive.chunks import Interval
from nightshift.archive.mover import Mover
from nightshift.archive.work import Field, Limits, Tally
from nightshift.rows.sample import CsvSample
from nightshift.rows.source import Bounds, Interrupted, RowConnection, RowsLocked, TooLarge

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

BRAKE = 4
"""A chunk may hold this many times the bytes it aims at before it is undone and split."""

RETRIES = 3
"""Tries of a chunk that the server undid through no fault of its own (deadlock, serialization failure)."""

PIECE_ROWS = 10_000
"""Rows at a time where a chunk cannot be split by its interval."""

UNBOUNDED = 1 << 62
"""Bytes: no limit, for a single row and for a whole partition, which is written piece by piece."""

LEAST_SECONDS = 1.0
"""With less time left than this no chunk is started."""


class Archiver:
    """Archives the due rows of one table."""

    def __init__(
        self, mover: Mover, connect: Callable[[], RowConnection], limits: Limits, tally: Tally, sample: CsvSample
    ) -> None:
        """Nothing is opened yet.

        Args:
            connect: opens a data connection; each worker has its own.
            tally: counts what was committed, whatever happens next.
            sample: collects the first rows that were committed.
        """
        self.mover = mover
        self.connect = connect
        self.limits = limits
        self.tally = tally
        self._sample = sample
        self._stop = threading.Event()
        self._slowest = LEAST_SECONDS

    def run(self, fields: Sequence[Field]) -> None:
        """Work the fields off, in order.

        Raises:
            NightshiftError: the first failure; chunks committed before it stay committed.
        """
        workers = self.limits.workers if self.mover.target.postgresql else 1
        with ThreadPoolExecutor(workers, thread_name_prefix="archive") as pool:
            futures = [pool.submit(self._work, fields) for _ in range(workers)]
            try:
                for future in futures:
                    future.result()
            finally:
                # Ctrl-C and SIGTERM arrive here too: the workers roll back at their next batch.
                self._stop.set()

    def bounds(self, *, size: int | None = None) -> Bounds:
        """What a transaction that begins now may take."""
        return Bounds(
            seconds=max(LEAST_SECONDS, self.limits.deadline - time.monotonic()),
            lock_seconds=self.limits.lock_seconds,
            bytes=size or self.limits.chunk_bytes * BRAKE,
            stop=lambda: self._stop.is_set() or time.monotonic() > self.limits.deadline,
        )

    def has_time(self) -> bool:
        """Whether a chunk may still be started: it must have twice the time that the slowest needed."""
        return not self._stop.is_set() and self.limits.deadline - time.monotonic() > 2 * self._slowest

    def _work(self, fields: Sequence[Field]) -> None:
        connection = self.connect()
        try:
            for stretch in fields:
                while self.has_time():
                    chunk = stretch.carver.take()
                    if chunk is None:
                        break
                    self._chunk(connection, stretch, chunk)
                    if not connection.healthy:
                        connection.close()
                        connection = self.connect()
                else:
                    self.tally.out_of_time = self.tally.out_of_time or stretch.carver.untaken
        except BaseException:
            self._stop.set()
            raise
        finally:
            connection.close()

    def _chunk(self, connection: RowConnection, stretch: Field, chunk: Interval) -> None:
        """One chunk, through whatever comes in its way."""
        skip_locked = False
        for attempt in range(1, RETRIES + 1):
            try:
                self._move(connection, stretch, chunk, skip_locked=skip_locked)
            except TooLarge:
                if not stretch.carver.split(chunk):
                    self._piecemeal(connection, stretch, chunk)
                return
            except RowsLocked as exc:
                if skip_locked or not self.mover.target.postgresql:
                    # Not single rows but the table: every other chunk would wait as long for nothing.
                    logger.warning("the table is locked, left for the next run", extra={"detail": exc.detail})
                    self.tally.locked += 1
                    self._stop.set()
                    return
                skip_locked = True
            except Interrupted:
                if not self.has_time():
                    stretch.carver.give_back(chunk)
                    self.tally.out_of_time = True
                    return
                if attempt == RETRIES:
                    raise
            else:
                return
        stretch.carver.give_back(chunk)

    def _piecemeal(self, connection: RowConnection, stretch: Field, chunk: Interval) -> None:
        """A chunk that is too large and cannot be split, e.g. a bulk load under one timestamp: by number of rows."""
        limit = PIECE_ROWS if self.mover.target.postgresql else 1
        while self.has_time():
            try:
                if self._move(connection, stretch, chunk, limit=limit) < limit:
                    return
            except TooLarge:
                limit = max(1, limit // 10)
        stretch.carver.give_back(chunk)
        self.tally.out_of_time = True

    def _move(
        self,
        connection: RowConnection,
        stretch: Field,
        chunk: Interval,
        *,
        skip_locked: bool = False,
        limit: int | None = None,
    ) -> int:
        """Move a chunk, or `limit` rows of it, count it, and learn from it; returns the number of rows."""
        started = time.monotonic()
        # A single row must go, whatever its size.
        bounds = self.bounds(size=UNBOUNDED if limit == 1 else None)
        condition = stretch.condition(chunk)
        rows, entries = self.mover.move(
            connection, stretch.heap, condition, bounds, skip_locked=skip_locked, limit=limit
        )
        now = time.monotonic()
        with self.tally.lock:
            self.tally.add(stretch.heap, entries)
            self.tally.locked += int(skip_locked)
            self._slowest = max(self._slowest, now - started)
            self._take_sample(rows)
        if limit is None:
            left = self.limits.deadline - now
            stretch.carver.learn(chunk, rows.num_rows, rows.nbytes, seconds=now - started, seconds_left=left)
        return int(rows.num_rows)

    def _take_sample(self, rows: pa.Table) -> None:
        """The rows are archived by now: a sample that fails must not look as if they were not."""
        try:
            self._sample.add(rows)
        except Exception:
            logger.exception("no sample could be taken", extra={"table": self.mover.target.info.name.label})
