"""Restores a list of objects over several connections at once. Each connection restores one object at a time.

A damaged object is reported and skipped; the other objects are restored. Any other failure stops the run. The work
committed before the failure stays, and the next run restores the remaining objects.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from nightshift.archive.context import RunLimits
from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.object_verification import ObjectDamaged, verify_object
from nightshift.concurrency import WorkerPool
from nightshift.database.connect import Database
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep
from nightshift.restore.destination import RestoreDestination
from nightshift.restore.object_loader import LoadedObject, ObjectLoader
from nightshift.restore.records import RestoreRecords
from nightshift.restore.row_loaders import RowLoader
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.row_connection import ConnectionLost, RowsLocked, StatementInterrupted, TransactionLimits
from nightshift.store import ObjectStore

logger = logging.getLogger(__name__)

RETRIES = 3
"""Maximum number of tries for an object whose restore failed because of S3, a lock or the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreContext:
    """Dependencies of a restore, the same for every table.

    Attributes:
        zone: time zone in which the day of a hold begins.
        now: time at which the run began, aware.
    """

    database: Database
    store: ObjectStore
    limits: RunLimits
    listener: Listener
    zone: ZoneInfo
    now: datetime


@dataclass(slots=True)
class RestoreStats:
    """Counters of committed work, shared by the workers."""

    rows: int = 0
    existing: int = 0
    differing: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    keys: list[str] = field(default_factory=list)
    already: int = 0
    damaged: list[ObjectDamaged] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_object(self, archived: ArchivedObject, landed: LoadedObject | None) -> None:
        """Count a finished object. `landed` is None: the object needed no restore."""
        with self.lock:
            if landed is None:
                self.already += 1
                return
            self.rows += landed.rows
            self.existing += landed.existing
            if landed.differing:
                self.differing[archived.key] = landed.differing
            self.bytes += archived.bytes or 0
            self.keys.append(archived.key)


class ObjectRestorer:
    """Restores objects into one table."""

    def __init__(
        self,
        context: RestoreContext,
        connect: Callable[[], RowLoader],
        destination: RestoreDestination,
        records: RestoreRecords,
    ) -> None:
        """Prepare a restore, without opening a connection.

        Args:
            connect: opens a data connection. Each worker has its own connection.
        """
        self.tally = RestoreStats()
        self._context = context
        self._connect = connect
        self._destination = destination
        self._records = records
        self._pool = WorkerPool("restore", context.limits.deadline)
        self._queue: deque[ArchivedObject] = deque()

    def restore_objects(self, objects: Sequence[ArchivedObject]) -> int:
        """Restore the objects, oldest first.

        Returns:
            the number of objects that were not restored for lack of time.

        Raises:
            NightshiftError: the first failure that is not a damaged object.
        """
        self._queue.extend(objects)
        self._tell(ProgressStep.PLANNED, sum(archived.rows or 0 for archived in objects), "")
        workers = min(self._context.limits.workers, len(objects)) if self._records.postgresql else 1
        self._pool.run(self._work, workers)
        return len(self._queue)

    def _work(self) -> None:
        loader = self._connect()
        try:
            while self._pool.has_time():
                try:
                    archived = self._queue.popleft()
                except IndexError:
                    return
                loader = self._object(loader, archived)
        finally:
            loader.connection.close()

    def _object(self, loader: RowLoader, archived: ArchivedObject) -> RowLoader:
        """Restore one object, and handle its failures. Returns the loader for the next object."""
        started = time.monotonic()
        try:
            file = verify_object(self._context.store, archived, tries=RETRIES)
        except ObjectDamaged as damaged:
            logger.warning("an object is damaged", extra={"key": archived.key, "damage": damaged.damage})
            with self.tally.lock:
                self.tally.damaged.append(damaged)
            return loader
        self._tell(ProgressStep.PROVEN, file.rows, archived.key)
        for attempt in range(1, RETRIES + 1):
            try:
                self.tally.add_object(archived, self._land(loader, archived, file))
            except (RowsLocked, StatementInterrupted, ConnectionLost):
                self._tell(ProgressStep.ROLLED_BACK, 0, archived.key)
                if self._pool.is_over():
                    self._queue.appendleft(archived)
                    return loader
                if attempt == RETRIES:
                    raise
                if not loader.connection.healthy:
                    loader.connection.close()
                    loader = self._connect()
            else:
                break
        self._pool.record_duration(time.monotonic() - started)
        return loader

    def _land(self, loader: RowLoader, archived: ArchivedObject, file: ArchiveFile) -> LoadedObject | None:
        self._context.database.keep_lock()
        fit = self._destination.fits[archived.fingerprint]
        limits = TransactionLimits(
            seconds=self._pool.seconds_left(),
            lock_seconds=self._context.limits.lock_seconds,
            bytes=self._context.limits.chunk_bytes,
            stop=self._pool.is_over,
        )
        load = ObjectLoader(loader, self._records, archived, file, fit, limits)
        landed = load.load_object(before_commit=lambda: self._tell(ProgressStep.COMMITTING, file.rows, archived.key))
        if landed is not None:
            self._tell(ProgressStep.COMMITTED, file.rows, archived.key)
        return landed

    def _tell(self, step: ProgressStep, rows: int, key: str) -> None:
        label = self._destination.table.name.label
        self._context.listener(ProgressEvent(step=step, table=label, rows=rows, keys=(key,) if key else ()))
