"""Dispatches a restore request (from an event or the CLI) to the whole-database, single-table or SQLite restore."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nightshift.backup.inventory import find_backups, newest_good
from nightshift.backup.opened_backup import BackupNotFound, OpenedBackup
from nightshift.backup.requests import NEWEST, RestoreBackupRequest
from nightshift.backup.restore import RestoreOptions, restore_backup
from nightshift.backup.sqlite_restore import restore_sqlite_file
from nightshift.backup.table_restore import restore_table
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget
from nightshift.errors import InvalidEvent
from nightshift.results.backup import RestoredBackup
from nightshift.store import ObjectStore


@dataclass(frozen=True, slots=True)
class BackupRepository:
    """Bucket and prefix of the backups; `prefix` is BACKUP_PREFIX."""

    store: ObjectStore
    prefix: str

    def open_backup(self, name: str) -> OpenedBackup:
        """A backup by its name, or the newest good one; raises as `OpenedBackup.open_named` does."""
        if name != NEWEST:
            return OpenedBackup.open_named(self.store, self.prefix, name)
        found = newest_good(find_backups(self.store, self.prefix))
        if found is None:
            raise BackupNotFound("there is no good backup", detail=f"s3://{self.store.bucket}/{self.prefix}")
        return OpenedBackup.open_named(self.store, self.prefix, found.name)


def run_restore(
    request: RestoreBackupRequest,
    shelf: BackupRepository,
    target: DatabaseTarget,
    terms: RestoreOptions,
    *,
    deadline: float,
) -> RestoredBackup:
    """Carry a request out.

    Args:
        deadline: `time.monotonic()` value after which nothing more is begun.

    Raises:
        InvalidEvent: one table cannot be had of such a backup.
        BackupNotFound, BackupDamaged, ManifestDamaged: there is no such backup, or nothing that may be made of it.
        NightshiftError: the database refused something, or was lost.
    """
    if request.into_existing and (request.table is not None or target.kind == "sqlite"):
        raise InvalidEvent(
            "into_existing is for a whole backup of PostgreSQL",
            hint="leave it out: a table alone goes into any database, and SQLite into a new file",
        )
    backup = shelf.open_backup(request.backup)
    if target.kind == "sqlite":
        if request.table is not None and backup.manifest.kind == "sqlite":
            raise InvalidEvent(
                "one table alone cannot be restored into SQLite",
                hint="restore it whole, into a new file, and copy the table from there",
            )
        return restore_sqlite_file(backup, Path(target.path), terms, deadline=deadline)
    with closing(Database(target, deadline=deadline)) as database:
        if request.table is not None:
            return restore_table(backup, database, request.table, terms)
        return restore_backup(backup, database, terms)
