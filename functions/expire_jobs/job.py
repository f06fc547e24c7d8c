"""The `expire_jobs` job: processes every policy's table in turn (see `expiry.ordering`), and deletes the rows' files.

A table that fails, or that a guard refuses, does not stop the other tables, or the deletion of files of earlier runs.
The job raises the first failure after the last table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from nightshift.archive.context import ArchiveContext, open_archive
from nightshift.database.catalog import TableName
from nightshift.database.connect import to_user_error
from nightshift.database.lock import TableLocks
from nightshift.database.tables import file_deletion, table_exists
from nightshift.errors import InvalidSettings
from nightshift.expiry.file_columns import FileReference, archived_place, named_places
from nightshift.expiry.file_names import reach_of
from nightshift.expiry.file_samples import FileTally
from nightshift.expiry.ordering import order_policies
from nightshift.expiry.outbox import FileOutbox, count_pending
from nightshift.expiry.outbox_worker import BackgroundOutboxWorker, OutboxWorker
from nightshift.expiry.table import ExpiryContext, expire_table
from nightshift.policy.expiry import ExpiryPolicy
from nightshift.policy.file import load_policies
from nightshift.results.expiry import ExpiredTable, ExpiryResult, FilesResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices


def expire_jobs(run: JobRun, services: RunServices) -> ExpiryResult:
    """Deletes expired rows with their dependent rows, and the files that the deleted rows name.

    Raises:
        InvalidSettings: there is no policy of expiry.
        NightshiftError: the failure of the first failed table, after all tables. `result` has the completed work.
    """
    policies = load_policies(services.settings, services.fetch_text).expiry
    if not policies:
        raise InvalidSettings(
            "no policy says what expires",
            detail=f"NIGHTSHIFT_CONFIG: {services.settings.nightshift_config or 'is not set'}: no [[expiry]] entry",
            hint='write [[expiry]] with table = "job", and [[expiry.files]] for the files that its rows name',
        )
    result = _dry_run(run, services, policies) if run.dry_run else _expired(run, services, policies)
    for table in result.tables:
        if table.error is not None:
            table.error.result = result
            raise table.error
    return result


def _expired(run: JobRun, services: RunServices, policies: tuple[ExpiryPolicy, ...]) -> ExpiryResult:
    settings, database = services.settings, services.database
    with database.connect() as connection:
        named, hidden = named_places(connection, policies, settings)
        outbox = FileOutbox(run.as_of, [*named, *archived_place(connection)])
    reach = reach_of(
        settings, [bucket for policy in policies for files in policy.files for bucket in files.named_buckets]
    )
    versions, listener = settings.expire_file_versions, services.listener
    worker = OutboxWorker(database, outbox, services.s3_client, reach, versions=versions, listener=listener)
    warnings = tuple(f"no file was deleted: {why}, and may name it" for why in hidden)
    if hidden:
        worker.stop_worker()
    tables: list[ExpiredTable] = []
    tallies: list[FileTally] = []
    # The locks last until the last file is deleted, because a restored row might name a file again.
    locks = TableLocks(database)
    try:
        if taken := locks.take([place.table for place in named]):
            worker.stop_worker()
            warnings += (f"no file was deleted: a restore into {taken.label} is in progress, and may bring rows",)
        # SQLite permits only one writer at a time, so the run deletes the files after the rows.
        background = BackgroundOutboxWorker(worker) if database.is_postgresql else nullcontext(worker)
        with _archive(run, services, policies) as archive, background as files:
            for turn in _turns(run, services, policies, named):
                table, tally = expire_table(replace(turn, archive=archive, committed=files.wake_worker, locks=locks))
                tables.append(table)
                tallies.append(tally)
        worker.rewind()
        worker.work_off_batches()
        return ExpiryResult(tables=tuple(tables), files=_tallied(worker.result(warnings), tallies))
    except Exception as exc:
        error = to_user_error(exc)
        done = ExpiryResult(tables=tuple(tables), files=_tallied(FilesResult(warnings=warnings), tallies))
        error.result = done  # type: ignore[attr-defined]  # `runtime` reports the completed work for every exception
        raise error from exc
    finally:
        locks.close()


def _tallied(files: FilesResult, tallies: Sequence[FileTally]) -> FilesResult:
    """Returns the result of the files, with the counts and warnings of the tables added."""
    return replace(
        files,
        queued=sum(tally.queued for tally in tallies),
        looked_up=sum(tally.looked_up for tally in tallies),
        absent=sum(tally.absent for tally in tallies),
        warnings=(*files.warnings, *(warning for tally in tallies for warning in tally.warnings)),
    )


def _turns(
    run: JobRun, services: RunServices, policies: Sequence[ExpiryPolicy], named: Sequence[FileReference]
) -> Iterator[ExpiryContext]:
    """Yields a context for each policy. In this order, no policy changes rows that a later policy archives."""
    with services.database.connect() as connection:
        ordered = order_policies(connection, policies, services.settings)
    seen: set[TableName] = set()
    # The scheduler's clock may be ahead of this machine's clock. A row must have expired by both clocks.
    moment = min(run.as_of, services.now())
    for entry in ordered:
        yield ExpiryContext(
            run=run,
            moment=moment,
            settings=services.settings,
            database=services.database,
            policy=entry.policy,
            warnings=entry.warnings,
            listener=services.listener,
            s3_client=services.s3_client,
            named=named,
            seen=seen,
        )


@contextmanager
def _archive(run: JobRun, services: RunServices, policies: Sequence[ExpiryPolicy]) -> Iterator[ArchiveContext | None]:
    """Provides the archive's context, after deleting objects of crashed runs; None if no policy archives rows."""
    if not any(policy.archive for policy in policies):
        yield None
        return
    settings, store = services.settings, services.archive_store()
    with open_archive(run, settings, services.database, store, services.listener, now=services.now()) as archive:
        archive.delete_orphaned_objects()
        yield archive


def _dry_run(run: JobRun, services: RunServices, policies: tuple[ExpiryPolicy, ...]) -> ExpiryResult:
    database = services.database
    with database.connect() as connection:
        named, _ = named_places(connection, policies, services.settings)
    turns = [expire_table(turn) for turn in _turns(run, services, policies, named)]
    with database.connect() as connection:
        left = count_pending(connection) if table_exists(connection, file_deletion) else 0
    files = _tallied(FilesResult(waiting=left), [tally for _, tally in turns])
    return ExpiryResult(tables=tuple(table for table, _ in turns), files=files)
