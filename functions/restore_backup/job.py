"""The `restore_backup` job: restores the backup that the event names into the database of RESTORE_DATABASE_URL."""

from __future__ import annotations

from nightshift.backup.opened_backup import BackupRepository
from nightshift.backup.requests import RestoreBackupRequest, RestoreOptions
from nightshift.backup.restore import run_restore
from nightshift.backup.targets import open_backup_store, restore_target
from nightshift.results.backup import RestoredBackup
from nightshift.run import JobRun
from nightshift.run_services import RunServices


def restore_backup(run: JobRun, services: RunServices) -> RestoredBackup:
    """Restores a backup. `run.request` is a `backup.requests.RestoreBackupRequest`.

    The run needs the database of DATABASE_URL for its lock and its record. If this database is lost, use the command
    `nightshift restore-backup`.

    Raises:
        NightshiftError: the restore failed, and the target database is incomplete.
    """
    settings = services.settings
    asked: RestoreBackupRequest = run.request
    terms = RestoreOptions(
        workers=settings.backup_workers,
        owners=asked.owners,
        client=settings.backup_pg_client,
        dry_run=run.dry_run,
        into_existing=asked.into_existing,
    )
    target = restore_target(settings)
    shelf = BackupRepository(open_backup_store(services), settings.backup_prefix)
    return run_restore(asked, shelf, target, terms, deadline=services.database.deadline)
