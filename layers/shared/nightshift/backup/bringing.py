"""A restore as it is asked for, by an event or on the command line: which backup, whole or one table, into what."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nightshift.backup.files import restore_file
from nightshift.backup.inventory import find_backups, newest_good
from nightshift.backup.one_table import restore_table
from nightshift.backup.opening import Backup, BackupAbsent
from nightshift.backup.request import NEWEST, RestoreBackupRequest
from nightshift.backup.restore import Terms, restore_backup
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget
from nightshift.errors import InvalidEvent
from nightshift.results.backup import RestoredBackup
from nightshift.store import Store


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where backups lie; `prefix` is BACKUP_PREFIX."""

    store: Store
    prefix: str

    def open(self, name: str) -> Backup:
        """A backup by its name, or the newest good one; raises as `Backup.open` does."""
        if name != NEWEST:
            return Backup.open(self.store, self.prefix, name)
        found = newest_good(find_backups(self.store, self.prefix))
        if found is None:
            raise BackupAbsent("there is no good backup", detail=f"s3://{self.store.bucket}/{self.prefix}")
        return Backup.open(self.store, self.prefix, found.name)


def bring_back(
    request: RestoreBackupRequest, shelf: Shelf, target: DatabaseTarget, terms: Terms, *, deadline: float
) -> RestoredBackup:
    """Carry a request out.

    Args:
        deadline: `time.monotonic()` value after which nothing more is begun.

    Raises:
        InvalidEvent: one table cannot be had of such a backup.
        BackupAbsent, BackupDamaged, ManifestDamaged: there is no such backup, or nothing that may be made of it.
        NightshiftError: the database refused something, or was lost.
    """
    if request.into_existing and (request.table is not None or target.kind == "sqlite"):
        raise InvalidEvent(
            "into_existing is for a whole backup of PostgreSQL",
            hint="leave it out: a table alone goes into any database, and SQLite into a new file",
        )
    backup = shelf.open(request.backup)
    if target.kind == "sqlite":
        if request.table is not None and backup.manifest.kind == "sqlite":
            raise InvalidEvent(
                "one table alone cannot be restored into SQLite",
                hint="restore it whole, into a new file, and copy the table from there",
            )
        return restore_file(backup, Path(target.path), terms, deadline=deadline)
    with closing(Database(target, deadline=deadline)) as database:
        if request.table is not None:
            return restore_table(backup, database, request.table, terms)
        return restore_backup(backup, database, terms)
