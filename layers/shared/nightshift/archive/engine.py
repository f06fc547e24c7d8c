"""Opens and closes the archive engine of one run; closing leaves no threads or connections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import Listener
from nightshift.archive.ledger import ArchiveLedger
from nightshift.archive.run_state import RunLimits
from nightshift.archive.table import ArchiveContext
from nightshift.database.connect import Database, refused_statement
from nightshift.database.lock import TableLocks
from nightshift.run import JobRun
from nightshift.settings import Settings

if TYPE_CHECKING:
    from nightshift.store import ObjectStore


def limits_of(settings: Settings, database: Database) -> RunLimits:
    """Returns the limits of a run, from the settings."""
    return RunLimits(
        workers=settings.workers,
        chunk_bytes=settings.cleanup_chunk_mb << 20,
        lock_seconds=settings.cleanup_lock_timeout,
        deadline=database.deadline,
    )


@contextmanager
def open_engine(
    run: JobRun, settings: Settings, database: Database, store: ObjectStore | None, listener: Listener, *, now: datetime
) -> Iterator[ArchiveContext]:
    """Open the engine.

    Args:
        store: None for a dry run, which writes nothing.
        now: aware; stamps the ledger's entries.
    """
    limits = limits_of(settings, database)
    ledger = uploader = None
    locks = None if store is None else TableLocks(database)
    if store is not None:
        from nightshift.archive.uploader import ArchiveUploader  # loads Arrow: not for a dry run

        ledger = ArchiveLedger(database, store.bucket, run.run_id, now, job=run.job)
        uploader = ArchiveUploader(store, ledger, settings.archive_prefix, run.run_id, listener, database.deadline)
    try:
        yield ArchiveContext(
            database=database,
            uploader=uploader,
            ledger=ledger,
            limits=limits,
            listener=listener,
            vacuum=settings.cleanup_vacuum,
            max_share=settings.cleanup_max_share,
            now=now,
            locks=locks,
        )
    finally:
        if uploader is not None:
            uploader.close()
        if ledger is not None:
            ledger.close()
        if locks is not None:
            locks.close()


def delete_orphaned_objects(engine: ArchiveContext) -> int:
    """Remove objects from S3 that crashed runs left unfinished; returns their number.

    Raises:
        NightshiftError: S3 or the ledger cannot be asked.
    """
    if engine.uploader is None:
        return 0
    try:
        return engine.uploader.delete_orphaned_objects()
    except DBAPIError as exc:
        raise refused_statement(exc) from exc
