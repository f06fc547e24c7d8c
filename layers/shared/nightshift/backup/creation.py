"""Takes one backup: rows and schema from one snapshot, the day's logs, and finally the manifest.

A run that is killed before it writes the manifest leaves no backup. The next run finds its objects through the history,
and deletes them. A run that is killed after the manifest leaves a complete backup. If an event is delivered twice, the
second run finds the manifest and does nothing. The run lock prevents two runs at once. If the lock is lost, the history
(see `orphans`) and S3, which accepts only the first manifest, prevent damage.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from nightshift.backup import checkpoint
from nightshift.backup.checkpoint import BackupCheckpoint, SavedTable, cross_snapshot_warnings
from nightshift.backup.manifest import BackupManifest, to_json
from nightshift.backup.models import BackupPart, LogCheckpoint, SchemaFiles, SnapshotGroup, ViewEntry
from nightshift.backup.orphans import hold_run_alive
from nightshift.backup.pg_tools import find_pg_tools, no_client
from nightshift.backup.schema import dump_schema, schema_sql
from nightshift.backup.snapshot import ExportedSnapshot, snapshot_of
from nightshift.backup.sqlite import save_file
from nightshift.backup.table_exporter import ExportResult, TableExporter
from nightshift.backup.task import BackupContext, BackupOutcome
from nightshift.backup.uploader import SQL, BackupUploader
from nightshift.backup.views import measure_views
from nightshift.errors import InvalidSettings, NightshiftError, StoreError
from nightshift.logs.day import apply_log_retention

FINISH_SECONDS = 20.0
FINISH_SHARE = 0.1
"""Reserved time of a run for logs, Object Lock and the manifest: 20 s, or a tenth of a short run's time."""
CLOCKS_APART = timedelta(minutes=5)
"""Maximum by which the local clock may be ahead of S3's clock."""


def create_backup(task: BackupContext) -> BackupOutcome:
    """Take a backup, or the part of the backup for which the time suffices.

    Raises:
        NightshiftError: no backup was written, and no object of this run becomes part of a later backup.
    """
    left = task.database.deadline - time.monotonic()
    stop_at = task.database.deadline - min(FINISH_SECONDS, left * FINISH_SHARE)
    uploader = BackupUploader(task.store, task.place, task.run_id, task.listener)
    try:
        return (_postgresql if task.database.is_postgresql else _sqlite)(task, uploader, stop_at)
    finally:
        uploader.close()


def _postgresql(task: BackupContext, uploader: BackupUploader, stop_at: float) -> BackupOutcome:
    settings = task.settings
    with (
        snapshot_of(task.source, settings) as snapshot,
        ThreadPoolExecutor(1, thread_name_prefix="schema") as background,
    ):
        earlier = _still_good(task.unfinished, snapshot)
        known = {table.entry.label for table in earlier}
        schema = background.submit(_schema, task, snapshot, uploader, stop_at)
        saver = TableExporter(snapshot, uploader, task.run_id, task.listener, stop_at)
        todo = [source for source in snapshot.survey.sources if source.name.label not in known]
        saved = saver.export_tables(todo, max(1, min(settings.backup_workers, len(todo))))
        snapshot.check_alive()
        kept = (*earlier, *(SavedTable(snapshot.time, entry) for entry in saved.entries))
        if saved.left:
            return _continued(task, kept, saved)
        unsaved = (*snapshot.survey.aside.unsaved, *saved.unsaved)
        if unsaved and not kept:
            raise NightshiftError("not one table could be saved", detail="\n".join(unsaved[:10]))
        views = measure_views(snapshot.connect, snapshot.survey.views, stop_at)
        manifest = _manifest_of(task, snapshot, kept, saved, views, schema)
        snapshot.check_alive()  # pg_dump read tables that only the snapshot's locks protect from changes
    return _finish(task, uploader, manifest, kept, cross_snapshot_warnings(snapshot.survey, manifest.groups), stop_at)


def _still_good(unfinished: BackupCheckpoint | None, snapshot: ExportedSnapshot) -> tuple[SavedTable, ...]:
    """Returns the tables of earlier runs that fit the present schema, which the finishing run saves."""
    sources = {source.name.label: source for source in snapshot.survey.sources}
    kept = unfinished.kept if unfinished else ()
    return tuple(
        table for table in kept if table.entry.label in sources and table.is_unchanged(sources[table.entry.label])
    )


def _continued(task: BackupContext, kept: tuple[SavedTable, ...], saved: ExportResult) -> BackupOutcome:
    if not saved.entries:
        largest = max(saved.left, key=lambda source: source.bytes)
        raise NightshiftError(
            "not one table could be saved whole within the run's time",
            detail=f"{len(saved.left)} tables are left; the largest is {largest.name.label}, {largest.bytes:,} bytes",
            hint="a table is of one moment, and so has to fit into one run: give the function more memory (and with it "
            "CPU and network) and more BACKUP_WORKERS, partition the table (each partition is one of its own), or run "
            "the job on a host, which knows no end",
        )
    with task.database.connect() as connection:
        checkpoint.save_checkpoint(connection, task.place.name, task.as_of, kept)
    return BackupOutcome(None, kept, tuple(source.name.label for source in saved.left), len(kept))


def _schema(
    task: BackupContext, snapshot: ExportedSnapshot, uploader: BackupUploader, stop_at: float
) -> tuple[SchemaFiles, str | None, str]:
    """Returns the schema's files in S3, the client's version, and a sentence if the schema could not be saved."""
    major = snapshot.number // 10_000
    client = find_pg_tools(task.settings.backup_pg_client, major)
    if client is None:
        return SchemaFiles(), None, f"the schema: {no_client(major, task.settings.backup_pg_client)}"
    archive, left_out = dump_schema(
        client,
        task.source.target,
        seconds=stop_at - time.monotonic(),
        snapshot=snapshot.id,
        excluded=snapshot.survey.excluded,
        without=snapshot.survey.aside.undumped,
        unreadable=snapshot.survey.aside.sequences,
    )
    statements = schema_sql(client, archive, seconds=stop_at - time.monotonic())
    dump = uploader.upload("schema", uploader.object_key("schema.dump"), archive)
    sql = uploader.upload("schema", uploader.object_key("schema.sql"), statements, kind=SQL)
    secrets = f"passwords of other servers: {'; '.join(left_out)}" if left_out else ""
    return SchemaFiles(dump=dump, sql=sql), client.version, secrets


def _manifest_of(
    task: BackupContext,
    snapshot: ExportedSnapshot,
    kept: Sequence[SavedTable],
    saved: ExportResult,
    views: tuple[tuple[ViewEntry, ...], tuple[str, ...]],
    schema: Future[tuple[SchemaFiles, str | None, str]],
) -> BackupManifest:
    files, client_version, missing = schema.result()
    entries, undigested = views
    moments = sorted({table.moment for table in kept} or {snapshot.time})
    return BackupManifest(
        name=task.place.name,
        as_of=task.as_of,
        run_id=task.run_id,
        database=snapshot.database,
        kind="postgresql",
        server_version=snapshot.version,
        client_version=client_version,
        groups=tuple(
            SnapshotGroup(snapshot_time=moment, tables=tuple(sorted(k.entry.label for k in kept if k.moment == moment)))
            for moment in moments
        ),
        tables=tuple(sorted((table.entry for table in kept), key=lambda entry: (entry.schema, entry.name))),
        sequences=snapshot.survey.sequences,
        settings=snapshot.survey.settings,
        properties=snapshot.survey.properties,
        replayed_at=snapshot.replayed,
        views=entries,
        schema=files,
        unsaved=(*snapshot.survey.aside.unsaved, *saved.unsaved),
        missing=(
            *saved.unsaved,
            *snapshot.survey.missing,
            *saved.missing,
            *undigested,
            *([missing] if missing else []),
        ),
    )


def _finish(
    task: BackupContext,
    uploader: BackupUploader,
    manifest: BackupManifest,
    kept: tuple[SavedTable, ...],
    missing: Iterable[str],
    stop_at: float,
) -> BackupOutcome:
    """Save the logs, lock the objects, write the manifest, and return the outcome.

    Logs may use the time that the rows left, and half of the reserved time. Logs for which the time does not suffice
    are listed under `missing`, and the next backup continues with them. The database's backup does not wait for logs.
    """
    logs = task.save_logs(uploader.writer, (stop_at + task.database.deadline) / 2)
    manifest = replace(
        manifest,
        logs_left=tuple(LogCheckpoint(group=log.group, from_ms=log.last_ms or 0, ids=log.ids) for log in logs.later),
        logs=tuple(BackupPart(key=log.key, rows=log.rows, bytes=log.bytes, sha256=log.sha256) for log in logs.parts),
        missing=(*manifest.missing, *missing, *logs.missing),
    )
    days = task.settings.backup_object_lock_days
    # The role may lock an object for at most `days` days, by S3's clock.
    until = None if days is None else task.now() + timedelta(days=days) - CLOCKS_APART
    if until is not None:
        uploader.lock_objects(manifest.list_objects(), until)
    with hold_run_alive(task.database, task.run_id):
        uploader.check_objects_present(manifest.list_objects())
        uploader.upload_manifest(to_json(manifest))
    # Retention of logs is set after the manifest, because a short retention deletes events at once.
    warnings = []
    if manifest.replayed_at is not None:
        warnings.append(
            "rows were read from a standby, whose last replayed transaction was committed at"
            f" {manifest.replayed_at.isoformat(timespec='seconds')}; later ones are not in the backup"
        )
    warnings += [*logs.warnings, *apply_log_retention(task.settings, logs, deadline=task.database.deadline)]
    if until is not None:
        try:
            task.store.lock_object(task.place.manifest_key, until)
        except StoreError as exc:  # the backup exists already, so the failure is only a warning
            warnings.append(f"the manifest is not under Object Lock: {exc.message}")
    if task.unfinished is not None:
        with task.database.connect() as connection:
            checkpoint.clear_checkpoint(connection)
    return BackupOutcome(manifest, kept, (), len(manifest.tables), tuple(warnings))


def _sqlite(task: BackupContext, uploader: BackupUploader, stop_at: float) -> BackupOutcome:
    import sqlite3

    if task.settings.backup_exclude_rows:
        raise InvalidSettings("BACKUP_EXCLUDE_ROWS is for PostgreSQL", hint="unset it: a SQLite file is saved whole")
    target = task.database.target
    saved = save_file(target.path, uploader, task.now, stop_at)
    manifest = BackupManifest(
        name=task.place.name,
        as_of=task.as_of,
        run_id=task.run_id,
        database=target.path.rpartition("/")[2],
        kind="sqlite",
        server_version=sqlite3.sqlite_version,
        groups=(SnapshotGroup(snapshot_time=saved.moment, tables=(saved.entry.label,)),),
        tables=(saved.entry,),
        missing=saved.missing,
    )
    kept = (SavedTable(saved.moment, saved.entry),)
    return replace(_finish(task, uploader, manifest, kept, (), stop_at), tables=saved.tables)
