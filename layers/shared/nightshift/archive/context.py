"""The context of one run that archives: its limits, connections and locks; closing it leaves no threads behind."""

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
class ArchiveContext:
    """Dependencies and state for archiving tables, shared by all tables of a run.

    Attributes:
        uploader, ledger: None in a dry run, which writes nothing.
        max_share: the deployment's limit on a run's share of a table; None: the usual one.
        now: when the run began; aware.
        locks: None in a dry run.
        seen: tables that have been processed, under whatever spelling.
        later: tables of the policies that are still to come, as `guards.GuardContext` has them.
        leaving: in a dry run, condition of the rows that would be gone by now, by the table's label.
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
        """Let go in the end of the locks that were taken meanwhile."""
        try:
            yield
        finally:
            if self.locks is not None:
                self.locks.release()

    def delete_orphaned_objects(self) -> int:
        """Remove objects from S3 that crashed runs left unfinished; returns their number.

        Raises:
            NightshiftError: S3 or the ledger cannot be asked.
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
    """Open the context of a run, and close it in the end.

    Args:
        store: None for a dry run, which writes nothing.
        now: aware; stamps the ledger's entries.
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
