"""The protocol: rows leave the database in the very transaction that makes their objects part of the archive.

A chunk on PostgreSQL, on one data connection:

1. `BEGIN`, timeouts from what is left of the run's budget;
2. `COPY (DELETE … RETURNING …) TO STDOUT`: what is exported *is* what is deleted, in one statement;
3. the objects are intended in the ledger (committed, on the control connection), written and proven (`uploader`);
4. their ledger rows turn `archived`, in the same transaction as 2;
5. `COMMIT`. Deletion and record are one atom.

Whoever dies before 5 has deleted nothing, and the objects are orphans that a later run sweeps. A COMMIT without an answer is
settled by asking the ledger. SQLite locks the whole file against writers, so there the rows are only read in step 2; the deletion
runs after the proof, in a short transaction that goes through only if it returns exactly the rows that were archived.

Rejected: SELECT, then DELETE by the same condition (rows that come between are lost); DELETE by captured keys (an update that
comes between is lost, and a key is needed); moving rows to a staging table first (everything is written twice).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
from sqlalchemy.exc import DBAPIError

from nightshift.archive.chunks import Carver, Interval
from nightshift.archive.events import ChunkEvent, Listener, Step
from nightshift.archive.ledger import Entry, Ledger
from nightshift.archive.target import Target
from nightshift.archive.uploader import Uploader
from nightshift.database.catalog import Heap
from nightshift.errors import ArchiveMismatch, CommitUnknown, NightshiftError
from nightshift.rows import columns
from nightshift.rows.sample import CsvSample
from nightshift.rows.source import Bounds, ConnectionLost, Interrupted, RowConnection, RowsLocked, TooLarge

logger = logging.getLogger(__name__)

BRAKE = 4
"""A chunk may hold this many times the bytes it aims at before it is undone and split."""

RETRIES = 3
"""Tries of a chunk that the server undid through no fault of its own (deadlock, serialization failure)."""

LEAST_SECONDS = 1.0
"""With less time left than this no chunk is started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may use.

    Attributes:
        workers: data connections at once.
        chunk_bytes: Arrow bytes that a chunk aims at.
        lock_seconds: waiting for somebody else's lock, a chunk.
        deadline: `time.monotonic()` value by which the last chunk must be through.
    """

    workers: int
    chunk_bytes: int
    lock_seconds: float
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A stretch of one heap to be worked off: a carver, and what its intervals mean in SQL."""

    heap: Heap
    carver: Carver
    condition: Callable[[Interval], str]


@dataclass(slots=True)
class Tally:
    """What has been committed so far; shared by the workers."""

    rows: int = 0
    bytes: int = 0
    objects: int = 0
    partitions: int = 0
    locked: int = 0
    out_of_time: bool = False
    keys: list[str] = field(default_factory=list)
    deleted_by_heap: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, heap: Heap, entries: Sequence[Entry]) -> None:
        """Count a committed chunk."""
        with self.lock:
            rows = sum(entry.rows for entry in entries)
            self.rows += rows
            self.bytes += sum(entry.bytes for entry in entries)
            self.objects += len(entries)
            self.keys += [entry.key for entry in entries]
            label = heap.name.label
            self.deleted_by_heap[label] = self.deleted_by_heap.get(label, 0) + rows


class Archiver:
    """Archives the due rows of one table."""

    def __init__(
        self,
        *,
        target: Target,
        connect: Callable[[], RowConnection],
        uploader: Uploader,
        ledger: Ledger,
        limits: Limits,
        listener: Listener,
        sample: CsvSample,
        tally: Tally,
    ) -> None:
        """Nothing is opened yet.

        Args:
            connect: opens a data connection; each worker has its own.
            sample: collects the first rows that were committed.
            tally: counts what was committed, whatever happens next.
        """
        self.target = target
        self.tally = tally
        self.uploader = uploader
        self.ledger = ledger
        self.limits = limits
        self._connect = connect
        self._listener = listener
        self._sample = sample
        self._stop = threading.Event()
        self._slowest = LEAST_SECONDS

    def run(self, fields: Sequence[Field]) -> None:
        """Work the fields off, in order.

        Raises:
            NightshiftError: the first failure; chunks committed before it stay committed.
        """
        workers = self.limits.workers if self.target.postgresql else 1
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
        connection = self._connect()
        try:
            for stretch in fields:
                while self.has_time():
                    chunk = stretch.carver.take()
                    if chunk is None:
                        break
                    self._chunk(connection, stretch, chunk)
                    if not connection.healthy:
                        connection.close()
                        connection = self._connect()
                else:
                    self.tally.out_of_time = self.tally.out_of_time or stretch.carver.untaken
        except BaseException:
            self._stop.set()
            raise
        finally:
            connection.close()

    def _chunk(self, connection: RowConnection, stretch: Field, chunk: Interval) -> None:
        """One chunk, through whatever comes in its way."""
        skip_locked, unbounded = False, False
        for attempt in range(1, RETRIES + 1):
            bounds = self.bounds(size=1 << 62 if unbounded else None)
            try:
                started = time.monotonic()
                rows, size = self._move(connection, stretch, chunk, bounds, skip_locked=skip_locked)
            except TooLarge:
                if stretch.carver.split(chunk):
                    return
                unbounded = True
            except RowsLocked as exc:
                if skip_locked or not self.target.postgresql:
                    logger.warning("rows are locked, left for the next run", extra={"detail": exc.detail})
                    self.tally.locked += 1
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
                self.tally.locked += int(skip_locked)
                seconds = time.monotonic() - started
                self._slowest = max(self._slowest, seconds)
                left = self.limits.deadline - time.monotonic()
                stretch.carver.learn(chunk, rows, size, seconds=seconds, seconds_left=left)
                return
        stretch.carver.give_back(chunk)

    def _move(
        self, connection: RowConnection, stretch: Field, chunk: Interval, bounds: Bounds, *, skip_locked: bool
    ) -> tuple[int, int]:
        """Archive and delete the due rows of one chunk; returns how many, and their Arrow bytes."""
        condition = stretch.condition(chunk)
        try:
            if self.target.postgresql:
                statement = self.target.delete(stretch.heap, condition, skip_locked=skip_locked)
                rows, entries = self._move_in_one(connection, statement, bounds)
            else:
                rows, entries = self._move_in_two(connection, stretch.heap, condition, bounds)
        except BaseException:
            self._tell(Step.ROLLED_BACK)
            raise
        if entries:
            self.tally.add(stretch.heap, entries)
            self._tell(Step.COMMITTED, rows.num_rows, sum(e.bytes for e in entries), [e.key for e in entries])
            with self.tally.lock:
                self._sample.add(rows)
        return rows.num_rows, rows.nbytes

    def _move_in_one(
        self, connection: RowConnection, statement: str, bounds: Bounds
    ) -> tuple[pa.Table, list[Entry]]:
        """PostgreSQL: delete, upload, record, commit."""
        with connection.transaction(bounds):
            rows = self.refine(connection.read(statement, bounds))
            self._tell(Step.STREAMED, rows.num_rows)
            if rows.num_rows == 0:
                return rows, []
            entries = self.uploader.upload(self.target, rows)
            self.seal(connection, entries)
        return rows, entries

    def _move_in_two(
        self, connection: RowConnection, heap: Heap, condition: str, bounds: Bounds
    ) -> tuple[pa.Table, list[Entry]]:
        """SQLite: read and upload without a lock; delete only what has not changed since."""
        rows = connection.read(self.target.select(heap, condition), bounds)
        self._tell(Step.STREAMED, rows.num_rows)
        if rows.num_rows == 0:
            return rows, []
        entries = self.uploader.upload(self.target, rows)
        keys = [entry.key for entry in entries]
        try:
            with connection.transaction(bounds):
                deleted = connection.read(self.target.delete(heap, condition), bounds)
                if not deleted.equals(rows):
                    raise Interrupted("rows changed while they were archived")
                self.seal(connection, entries)
        except BaseException:
            self.uploader.discard(keys)
            raise
        return rows, entries

    def seal(self, connection: RowConnection, entries: Sequence[Entry]) -> None:
        """Record the objects in the transaction that removes their rows, and commit.

        Raises:
            ArchiveMismatch: the ledger has not all of them as intended: another run swept them.
            CommitUnknown: COMMIT was not answered, and the ledger cannot be asked. Nothing is removed from S3.
            ConnectionLost: COMMIT was not answered, and the ledger says that it did not go through.
        """
        keys = [entry.key for entry in entries]
        try:
            record = self.ledger.archived_sql(entries, postgresql=self.target.postgresql)
            turned = connection.execute(record) if entries else 0
            if turned != len(entries):
                raise ArchiveMismatch(
                    "another run swept objects of this one",
                    detail=f"{len(entries) - turned} of {len(entries)} ledger rows were no longer pending",
                    hint="the rows are still in the database; make sure that one deployment only works on it",
                )
        except BaseException:
            self.uploader.discard(keys)
            raise
        self._tell(Step.COMMITTING, keys=keys)
        try:
            connection.commit()
        except ConnectionLost as exc:
            self._settle(keys, exc)

    def _settle(self, keys: Sequence[str], cause: ConnectionLost) -> None:
        """Find out what became of a COMMIT."""
        try:
            committed = self.ledger.committed(keys)
        except (DBAPIError, NightshiftError) as exc:
            raise CommitUnknown(
                "the connection was lost during COMMIT",
                detail=f"{len(keys)} objects; the ledger could not be asked ({type(exc).__name__})",
                hint="nothing is lost either way: the next run finds out, and goes on from there",
            ) from cause
        if not committed:
            self.uploader.discard(keys)
            raise cause

    def refine(self, rows: pa.Table) -> pa.Table:
        """Give fetched rows their final types."""
        if not self.target.postgresql or rows.num_columns == 0:
            return rows
        try:
            return columns.refine(rows, self.target.carried())
        except pa.ArrowException as exc:
            raise NightshiftError(
                "a column cannot be carried into Parquet", detail=f"{self.target.info.name.label}: {exc}"
            ) from exc

    def _tell(self, step: Step, rows: int = 0, size: int = 0, keys: Sequence[str] = ()) -> None:
        label = self.target.info.name.label
        self._listener(ChunkEvent(step=step, table=label, rows=rows, bytes=size, keys=tuple(keys)))

