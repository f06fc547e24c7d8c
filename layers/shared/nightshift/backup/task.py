"""Data classes of a backup: its task and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nightshift.archive.events import Listener
from nightshift.backup.checkpoint import BackupCheckpoint, SavedTable
from nightshift.backup.manifest import BackupManifest, BackupPath
from nightshift.database.connect import Database
from nightshift.settings import Settings
from nightshift.store import ObjectStore


@dataclass(frozen=True, slots=True)
class BackupTask:
    """Source and destination of one backup.

    Attributes:
        as_of: scheduled time of the backup; of one that is continued, its own.
        database: with nightshift's own tables.
        source: where rows are read: the same, or a standby of it.
        unfinished: checkpoint of earlier runs.
        previous: the backup before, whose logs end where these begin.
        now: the clock.
    """

    place: BackupPath
    as_of: datetime
    run_id: str
    settings: Settings
    database: Database
    source: Database
    store: ObjectStore
    listener: Listener
    now: Callable[[], datetime]
    unfinished: BackupCheckpoint | None = None
    previous: BackupManifest | None = None


@dataclass(frozen=True, slots=True)
class BackupOutcome:
    """Outcome of one backup run.

    Attributes:
        manifest: of the finished backup; None where tables are left.
        kept: tables that are in S3 all the same.
        left: labels of the tables that the next run has to save.
        tables: in the backup, or in what there is of it.
    """

    manifest: BackupManifest | None
    kept: tuple[SavedTable, ...]
    left: tuple[str, ...]
    tables: int
    warnings: tuple[str, ...] = ()
