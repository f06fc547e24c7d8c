"""Restores a PostgreSQL backup into an empty database (job `restore_backup`).

The schema is created first, without constraints, indexes and triggers, in one transaction. Then come the rows, on
several connections; sequences; indexes, keys, triggers, policies; the database's own settings. Finally the result is
compared with the backup: every table's digest, every sequence, and the schema as pg_dump prints it. Every difference is
reported.

A partial restore is better than none. If the server refuses an object, a table's rows or an index, the restore goes on
without it. Damaged objects and a lost server end a restore.

A restore that ends half-way leaves a database that is no longer empty: drop it, create it again, and start over.
Resuming was rejected: correctness is worth more than half the time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial

from nightshift.backup import target_columns
from nightshift.backup.contents import read_entries
from nightshift.backup.database_settings import restore_database_settings
from nightshift.backup.existing_objects import ExistingObjects, find_collision, find_existing
from nightshift.backup.extensions import made_beforehand
from nightshift.backup.missing_prerequisites import MissingPrerequisites
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.ownership import transfer_ownership
from nightshift.backup.pg_tools import PgToolError, PgTools, find_pg_tools, refuse_without_client
from nightshift.backup.preflight import list_user_objects, major_version_of, refuse_restore, server_major_version
from nightshift.backup.properties import bring_properties
from nightshift.backup.schema import SchemaRestore, schema_sql
from nightshift.backup.schema_comparison import ScratchDatabaseFactory, diff_restored_schema, tell_apart
from nightshift.backup.sequences import sequence_differences, set_sequences
from nightshift.backup.table_loader import LoadResult, TableLoader, Told
from nightshift.backup.target_environment import TargetEnvironment, encoding_of, fit_schema, read_environment
from nightshift.backup.views import compare_views
from nightshift.database.connect import Database
from nightshift.database.session_start import flush_commits
from nightshift.results.backup import RestoredBackup
from nightshift.rows.postgres import PostgresConnection


def ignore_progress(_label: str, _rows: int) -> None:
    """Listener that ignores all progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """Options of a restore.

    Attributes:
        workers: connections that move rows, or build indexes, at once.
        owners: owners and grants too; their roles must exist.
        client: directory with pg_dump and pg_restore; None: wherever they are found.
        into_existing: the database need not be empty, if it has nothing of what the backup makes.
        told: listener, called for loaded rows.
        another: a rehearsal's, which asks with it what is PostgreSQL's own doing (`schema_comparison`).
    """

    workers: int = 2
    owners: bool = True
    client: str | None = None
    dry_run: bool = False
    into_existing: bool = False
    told: Told = ignore_progress
    another: ScratchDatabaseFactory | None = None


@dataclass(frozen=True, slots=True)
class _Outcome:
    filled: LoadResult
    differences: list[str]
    environment: list[str]
    warnings: list[str] = field(default_factory=list)
    but_for: tuple[str, ...] = ()
    reworded: dict[str, str] = field(default_factory=dict)


def restore_backup(backup: OpenedBackup, database: Database, terms: RestoreOptions) -> RestoredBackup:
    """Restores a whole PostgreSQL backup.

    Args:
        database: an empty one; its deadline is the restore's.

    Returns:
        the result, with every difference; a refusal if nothing was changed.

    Raises:
        BackupDamaged: objects are missing or altered; those that could be missed were missed before anything was made.
        PgToolError: nothing of the schema could be made.
        NightshiftError: the database was lost, or did not answer in time.
    """
    started, manifest = time.monotonic(), backup.manifest
    blank = RestoredBackup(
        name=manifest.name,
        target=database.target.database,
        but_for=backup.unsaved_warnings(),
        warnings=backup.exclusion_warnings(),
        dry_run=terms.dry_run,
    )
    backup.check_objects()
    with database.connect() as connection:
        version, around = server_major_version(connection), read_environment(connection)
        # A scratch database holds what was made beforehand for the rehearsal, and nothing else.
        found = () if terms.another or terms.into_existing else list_user_objects(connection)
    refusal = refuse_restore(backup, version, found)
    saved_by = major_version_of(manifest.client_version or manifest.server_version)
    client = find_pg_tools(terms.client, max(version, saved_by))
    if refusal is None and client is None:
        refusal = refuse_without_client(version, terms.client)
    if refusal is not None:
        return replace(blank, refusal=refusal, dry_run=False)
    assert client is not None  # else it was refused
    assert manifest.schema.dump is not None
    saved = backup.read_part(manifest.schema.dump)
    if terms.into_existing and (refusal := find_collision(database, read_entries(saved), manifest.settings)):
        return replace(blank, refusal=refusal, dry_run=False)
    if terms.dry_run:
        rows = {entry.label: entry.rows for entry in manifest.tables}
        return replace(blank, tables=len(rows), rows=manifest.rows, bytes=manifest.bytes, by_table=rows)
    schema, environment = _fitted(database, client, saved, terms, around)
    task = _Task(backup, database, schema, terms, around, encoding_of(read_entries(saved)))
    outcome = _carry_out(task)
    filled = outcome.filled
    return replace(
        blank,
        warnings=(*blank.warnings, *outcome.warnings),
        tables=len(filled.rows),
        rows=sum(filled.rows.values()),
        bytes=filled.bytes + len(saved),
        left_tables=filled.left,
        differences=tuple(outcome.differences),
        but_for=(*blank.but_for, *outcome.but_for),
        reworded=outcome.reworded,
        environment=(*environment, *outcome.environment),
        by_table=dict(sorted(filled.rows.items())),
        seconds=time.monotonic() - started,
    )


def _fitted(
    database: Database, client: PgTools, saved: bytes, terms: RestoreOptions, around: TargetEnvironment
) -> tuple[SchemaRestore, tuple[str, ...]]:
    """Returns the schema as it can be created there, and the differences."""
    there = ExistingObjects()
    if terms.into_existing:
        with database.connect() as connection:
            there = find_existing(connection, read_entries(saved))
    fitted = fit_schema(saved, around, owners=terms.owners, without=there.without)
    entries = read_entries(fitted.archive)
    # A superuser gives each object away where it is made; everybody else at the end, see `ownership`.
    owners = terms.owners and around.superuser
    schema = SchemaRestore(
        client,
        database.target,
        fitted.archive,
        MissingPrerequisites(entries, owners=owners, without=fitted.without),
        owners=owners,
        made=made_beforehand(database, entries) if terms.another else frozenset(),
        there=there if terms.into_existing else None,
    )
    return schema, (*there.environment, *fitted.environment)


@dataclass(frozen=True, slots=True)
class _Task:
    """A restore on its way; `encoding` is the saved database's, where that is known."""

    backup: OpenedBackup
    database: Database
    schema: SchemaRestore
    terms: RestoreOptions
    around: TargetEnvironment
    encoding: str | None

    @property
    def other_encoding(self) -> bool:
        return self.encoding is not None and self.encoding != self.around.encoding

    def seconds(self) -> float:
        return self.database.deadline - time.monotonic()


def _carry_out(task: _Task) -> _Outcome:
    manifest, database, schema, terms = task.backup.manifest, task.database, task.schema, task.terms
    differences = list(_before_rows(database, schema))
    with database.connect() as connection:
        fields, routed = (
            target_columns.load_target_columns(connection),
            target_columns.hash_partition_routes(connection),
        )
    misfits = {
        entry.label: target_columns.column_mismatches(entry, fields.get(entry.table)) for entry in manifest.tables
    }
    for entry in manifest.tables:
        cause = schema.lacking.find_cause(entry.schema, entry.name) if misfits[entry.label] else None
        because = f" ({cause})" if cause else ""
        differences += [f"{entry.label}: {said}{because}" for said in misfits[entry.label]]
    fitting = [entry for entry in manifest.tables if not misfits[entry.label]]
    filler = TableLoader(
        task.backup,
        partial(PostgresConnection, database.target),
        fields,
        deadline=database.deadline,
        told=terms.told,
        routed=routed,
        digests=not task.other_encoding,
    )
    filled = filler.load_tables(fitting, workers=terms.workers)
    differences += sorted(filled.differences)
    if filled.left:
        return _Outcome(filled, differences, list(schema.lacking.environment_sentences()))
    with database.connect() as connection:
        set_sequences(connection, manifest.sequences)
    differences += schema.restore_post_data(jobs=terms.workers, seconds=task.seconds())
    with database.connect() as connection:
        differences += sequence_differences(connection, manifest.sequences)
        flush_commits(connection)  # pg_restore's own, which no session of ours has made durable
    return _behind_rows(task, filled, differences)


def _behind_rows(task: _Task, filled: LoadResult, differences: list[str]) -> _Outcome:
    """Materialized views, settings, the look at the schema, owners where they come last, and the database's own."""
    manifest, database, schema, terms = task.backup.manifest, task.database, task.schema, task.terms
    compared = () if task.other_encoding else manifest.views
    views = compare_views(partial(PostgresConnection, database.target), compared, task.seconds())
    differences += views.differences
    brought = restore_database_settings(database, manifest.settings, owners=terms.owners)
    warnings = list(brought.odd)
    differences += brought.refused
    found = diff_restored_schema(schema, seconds=task.seconds())
    alike = tell_apart(found, task.backup, schema, terms.another, alone=not differences)
    warnings += alike.sentences
    differences += map(str, alike.others)
    environment = [*brought.left_out, *brought.denied, *schema.lacking.environment_sentences()]
    if task.other_encoding:
        environment.append(
            f"the database's encoding is {task.around.encoding}, and was {task.encoding}: rows were counted, and their"
            " contents not compared"
        )
    if terms.owners and not schema.owners:
        sql = schema_sql(schema.client, schema.archive, seconds=task.seconds(), without=schema.left_out).decode()
        environment += transfer_ownership(database, sql, task.around)
    if manifest.properties is not None:
        untouched = terms.another is not None or terms.into_existing
        properties = bring_properties(database, manifest.properties, owners=terms.owners, untouched=untouched)
        environment += properties.environment
        warnings += properties.warnings
    return _Outcome(filled, differences, environment, warnings, tuple(views.stale), alike.reworded)


def _before_rows(database: Database, schema: SchemaRestore) -> tuple[str, ...]:
    """Restores pre-data: all of it, or all that the server does not refuse. Returns the refusals.

    Raises:
        PgToolError: not one thing could be made.
    """
    try:
        schema.restore_pre_data(seconds=_left(database))
    except PgToolError as exc:
        if not exc.refused:
            raise
        refused = schema.restore_pre_data_lenient(seconds=_left(database))
        with database.connect() as connection:
            if not list_user_objects(connection):
                raise
        return refused
    return ()


def _left(database: Database) -> float:
    return database.deadline - time.monotonic()
