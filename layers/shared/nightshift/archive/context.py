"""The context of one run that archives: its limits, connections and locks. Closing the context ends all its threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from nightshift.archive.ledger import ArchiveLedger
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database, refused_statement
from nightshift.database.lock import TableLocks
from nightshift.progress_events import Listener
from nightshift.run import JobRun
from nightshift.settings import Settings

if TYPE_CHECKING:
    from nightshift.archive.uploader import ArchiveUploader
    from nightshift.store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Limits of a run.

    Attributes:
        workers: number of data connections at once.
        chunk_bytes: Arrow bytes that a chunk should hold.
        lock_seconds: maximum time for which a chunk waits for another transaction's lock.
        deadline: `time.monotonic()` value by which the last chunk must be committed.
    """

    workers: int
    chunk_bytes: int
    lock_seconds: float
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveContext:
    """Dependencies and state for archiving tables, shared by all tables of a run.

    Attributes:
        uploader, ledger: None in a dry run, which writes nothing.
        max_share: the deployment's limit on the share of a table that a run may delete; None: the default limit.
        now: time at which the run began, aware.
        locks: None in a dry run.
        seen: tables that have been processed, independent of their spelling in the policies.
        later: tables of the policies that follow, see `guards.GuardContext`.
        leaving: in a dry run, label of a table → condition of the rows that a real run would have deleted by now.
    """

    database: Database
    uploader: ArchiveUploader | None
    ledger: ArchiveLedger | None
    limits: RunLimits
    listener: Listener
    vacuum: bool
    max_share: float | None
    now: datetime
    locks: TableLocks | None
    seen: set[TableName] = field(default_factory=set)
    leaving: dict[str, str] = field(default_factory=dict)
    later: set[str] = field(default_factory=set)

    @contextmanager
    def lock_table(self) -> Iterator[None]:
        """Release at the end all locks that were taken within the `with` block."""
        try:
            yield
        finally:
            if self.locks is not None:
                self.locks.release()

    def delete_orphaned_objects(self) -> int:
        """Delete the objects of crashed runs from S3. Returns the number of deleted objects.

        Raises:
            NightshiftError: S3 or the ledger did not answer.
        """
        if self.uploader is None:
            return 0
        try:
            return self.uploader.delete_orphaned_objects()
        except DBAPIError as exc:
            raise refused_statement(exc) from exc


def limits_of(settings: Settings, database: Database) -> RunLimits:
    """Returns the limits of a run, from the settings."""
    return RunLimits(
        workers=settings.workers,
        chunk_bytes=settings.cleanup_chunk_mb << 20,
        lock_seconds=settings.cleanup_lock_timeout,
        deadline=database.deadline,
    )


@contextmanager
def open_archive(
    run: JobRun, settings: Settings, database: Database, store: ObjectStore | None, listener: Listener, *, now: datetime
) -> Iterator[ArchiveContext]:
    """Open the context of a run, and close it at the end of the `with` block.

    Args:
        store: None for a dry run, which writes nothing.
        now: time of the ledger's entries, aware.
    """
    with ExitStack() as stack:
        ledger = uploader = locks = None
        if store is not None:
            from nightshift.archive.uploader import ArchiveUploader  # loads Arrow: not for a dry run

            locks = stack.enter_context(closing(TableLocks(database)))
            ledger = stack.enter_context(closing(ArchiveLedger(database, store.bucket, run.run_id, now, job=run.job)))
            uploader = ArchiveUploader(store, ledger, settings.archive_prefix, run.run_id, listener, database.deadline)
            stack.enter_context(closing(uploader))
        yield ArchiveContext(
            database=database,
            uploader=uploader,
            ledger=ledger,
            limits=limits_of(settings, database),
            listener=listener,
            vacuum=settings.cleanup_vacuum,
            max_share=settings.cleanup_max_share,
            now=now,
            locks=locks,
        )
