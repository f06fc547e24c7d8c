"""The `restore` job: restores the rows that the event names into a table, and returns one result."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from nightshift.archive.context import limits_of
from nightshift.restore.restorer import RestoreContext
from nightshift.restore.table import restore_table
from nightshift.results.restore import RestoreResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices


def restore(run: JobRun, services: RunServices) -> RestoreResult:
    """Restores archived rows. `run.request` is a `restore.request.RestoreRequest`.

    Raises:
        NightshiftError: the restore failed. `result` has the rows that were restored before the failure.
    """
    settings = services.settings
    context = RestoreContext(
        database=services.database,
        store=services.archive_store(),
        limits=limits_of(settings, services.database),
        listener=services.listener,
        zone=ZoneInfo(settings.timezone),
        now=services.now(),
    )
    return restore_table(context, run)
