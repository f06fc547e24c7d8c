"""The cleanup job with chunks below the setting's floor of a megabyte: down to one row, in one page or microsecond."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nightshift.archive.context import open_archive
from nightshift.archive.table import archive_table
from nightshift.policy.file import load_policies
from nightshift.results.cleanup import CleanupResult
from nightshift.rows.sample import CsvSample
from nightshift.run import JobRun
from nightshift.run_services import RunServices


@dataclass(frozen=True, slots=True)
class SmallChunks:
    """A job's function; it pickles, so that a child can run it.

    Attributes:
        chunk_bytes: Arrow bytes that a chunk aims at.
    """

    chunk_bytes: int

    def __call__(self, run: JobRun, services: RunServices) -> CleanupResult:
        """As `cleanup.job.cleanup`, for one policy and without a CSV."""
        settings = services.settings
        (policy,) = load_policies(settings, services.fetch_text).retention
        store, now = services.archive_store(), services.now()
        with open_archive(run, settings, services.database, store, services.listener, now=now) as archive:
            small = replace(archive, limits=replace(archive.limits, chunk_bytes=self.chunk_bytes))
            orphans = small.delete_orphaned_objects()
            table = archive_table(small, run, policy, CsvSample(0))
        if table.error is not None:
            raise table.error
        return CleanupResult(tables=(table,), orphans_removed=orphans)
