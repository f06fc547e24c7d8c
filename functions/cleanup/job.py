"""The `cleanup` job: processes every policy's table in turn, and returns one result.

A table that fails, or that a guard refuses, does not stop the other tables. Otherwise, one broken table could let other
tables grow for months. The job raises the first failure after the last table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightshift.archive.context import open_archive
from nightshift.archive.table import archive_table
from nightshift.policy.file import load_policies
from nightshift.results.cleanup import CleanupResult, TableResult
from nightshift.results.common import MessageAttachment
from nightshift.run import JobRun
from nightshift.run_services import RunServices

if TYPE_CHECKING:
    from nightshift.rows.sample import CsvSample


def cleanup(run: JobRun, services: RunServices) -> CleanupResult:
    """Archives and deletes the due rows of all tables.

    Raises:
        NightshiftError: the failure of the first failed table, after all tables. `result` has the completed work.
    """
    settings = services.settings
    policies = load_policies(settings, services.fetch_text)
    store = None if run.dry_run else services.archive_store()
    csv_rows = settings.slack_csv_rows if settings.slack_attach_csv else 0
    tables: list[TableResult] = []
    attachments: list[MessageAttachment] = []
    with open_archive(run, settings, services.database, store, services.listener, now=services.now()) as archive:
        orphans = archive.delete_orphaned_objects()
        for number, policy in enumerate(policies.retention, 1):
            archive.later.clear()
            archive.later.update(later.table for later in policies.retention[number:])
            sample = None if run.dry_run else _sample(csv_rows)
            table = archive_table(archive, run, policy, sample)
            tables.append(table)
            if sample is not None and sample.rows:
                attachments.append(_attachment(table, sample))
    result = CleanupResult(tables=tuple(tables), attachments=tuple(attachments), orphans_removed=orphans)
    for table in tables:
        if table.error is not None:
            table.error.result = result
            raise table.error
    return result


def _sample(rows: int) -> CsvSample:
    from nightshift.rows.sample import CsvSample  # imported here, because a dry run does not need Arrow

    return CsvSample(rows)


def _attachment(table: TableResult, sample: CsvSample) -> MessageAttachment:
    name = table.table.removeprefix("public.").replace("/", "_")
    day = f"_{table.cutoff:%Y%m%d}" if table.cutoff else ""
    return MessageAttachment(
        table=table.table,
        filename=f"{name}_backup{day}.csv",
        content=sample.to_csv,
        rows=sample.rows,
        total_rows=table.archived_rows,
    )
