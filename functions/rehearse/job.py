"""The `rehearse` job: restores one backup into a temporary database, and records the proof if nothing differs."""

from __future__ import annotations

from contextlib import closing

from nightshift.backup.opened_backup import BackupRepository
from nightshift.backup.rehearsal import RehearsalContext, rehearse_backup
from nightshift.backup.requests import RehearseRequest, RestoreOptions
from nightshift.backup.targets import open_backup_store, rehearsal_database
from nightshift.results.backup import RestoredBackup
from nightshift.run import JobRun
from nightshift.run_services import RunServices


def rehearse(run: JobRun, services: RunServices) -> RestoredBackup:
    """Restores and compares the backup. `run.request` is a `backup.requests.RehearseRequest`.

    Raises:
        NightshiftError: the backup is damaged, or could not be restored.
    """
    settings = services.settings
    asked: RehearseRequest | None = run.request
    terms = RestoreOptions(workers=settings.backup_workers, client=settings.backup_pg_client)
    with closing(rehearsal_database(settings, services.database)) as server:
        stage = RehearsalContext(
            repository=BackupRepository(open_backup_store(services), settings.backup_prefix),
            server=server,
            production=services.database,
            own_rights=settings.rehearse_with_own_rights,
            now=services.now(),
        )
        return rehearse_backup(run, stage, terms, name=asked.backup if asked else None)
