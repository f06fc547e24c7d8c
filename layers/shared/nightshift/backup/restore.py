"""Restores a PostgreSQL backup into an empty database (job `restore_backup`).

The restore creates the schema first, without constraints, indexes and triggers, in one transaction. It then loads the
rows over several connections, sets sequences, creates indexes, keys, triggers and policies, and restores the database's
settings. Finally the result is compared with the backup: every table's digest, every sequence, and the schema as
pg_dump prints it. Every difference is reported.

A partial restore is better than no restore. If the server refuses an object, a table's rows or an index, the restore
continues without the refused object or rows. A damaged object in S3 or a lost connection ends a restore.

An interrupted restore leaves a database that is not empty. The operator must drop the database, create it again, and
start the restore again. Resuming was rejected, because correctness is more important than time.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from nightshift.backup.contents import read_entries
from nightshift.backup.database_settings import restore_database_settings, restore_properties
from nightshift.backup.opened_backup import BackupRepository, OpenedBackup
from nightshift.backup.ownership import transfer_ownership
from nightshift.backup.part_loader import column_mismatches, hash_partition_routes, load_target_columns
from nightshift.backup.pg_tools import PgToolError, PgTools, find_pg_tools, refuse_without_client
from nightshift.backup.preflight import (
    find_collision,
    find_existing,
    list_user_objects,
    made_beforehand,
    major_version_of,
    refuse_restore,
)
from nightshift.backup.requests import RestoreBackupRequest, RestoreFindings, RestoreOptions
from nightshift.backup.schema import SchemaRestore, fit_restore
from nightshift.backup.schema_diff import compare_schema
from nightshift.backup.sequences import sequence_differences, set_sequences
from nightshift.backup.sqlite import restore_sqlite_file
from nightshift.backup.table_loader import LoadResult, TableLoader
from nightshift.backup.table_restore import restore_table
from nightshift.backup.target_environment import TargetEnvironment, encoding_of, read_environment
from nightshift.backup.views import compare_views
from nightshift.database.connect import Database
from nightshift.database.session_start import flush_commits
from nightshift.database.url import DatabaseTarget
from nightshift.errors import InvalidEvent
from nightshift.results.backup import RestoredBackup


def run_restore(
    request: RestoreBackupRequest,
    shelf: BackupRepository,
    target: DatabaseTarget,
    terms: RestoreOptions,
    *,
    deadline: float,
) -> RestoredBackup:
    """Run a restore that an event or the command line requests. No new step begins after the deadline.

    Raises:
        InvalidEvent: the request does not fit the backup or the target, e.g. one table of a SQLite backup.
        BackupNotFound, BackupDamaged, ManifestDamaged: the backup does not exist or is damaged.
        NightshiftError: the database refused a statement, or the connection was lost.
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


def restore_backup(backup: OpenedBackup, database: Database, terms: RestoreOptions) -> RestoredBackup:
    """Restore a whole PostgreSQL backup into a database. The deadline is `database.deadline`.

    Raises:
        BackupDamaged: objects are missing or altered. Missing objects are detected before the database is changed.
        PgToolError: no object of the schema could be created.
        NightshiftError: the connection to the database was lost, or the database did not answer in time.
    """
    started, manifest = time.monotonic(), backup.manifest
    blank = backup.blank_result(database.target.database, dry_run=terms.dry_run)
    backup.check_objects()
    with database.connect() as connection:
        around = read_environment(connection)
        # A scratch database holds what was made beforehand for the rehearsal, and nothing else.
        existing = () if terms.another or terms.into_existing else list_user_objects(connection)
    refusal = refuse_restore(backup, around.version, existing)
    saved_by = major_version_of(manifest.client_version or manifest.server_version)
    client = find_pg_tools(terms.client, max(around.version, saved_by))
    if refusal is None and client is None:
        refusal = refuse_without_client(around.version, terms.client)
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
    findings = RestoreFindings(warnings=list(blank.warnings), but_for=list(blank.but_for))
    schema = _fitted_schema(database, client, saved, terms, around, findings)
    restore = _Restore(backup, schema, terms, around, encoding_of(read_entries(saved)), findings)
    filled = restore.carry_out()
    return replace(
        blank,
        warnings=tuple(findings.warnings),
        tables=len(filled.rows),
        rows=sum(filled.rows.values()),
        bytes=filled.bytes + len(saved),
        left_tables=filled.left,
        differences=tuple(findings.differences),
        but_for=tuple(findings.but_for),
        reworded=restore.reworded,
        environment=tuple(findings.environment),
        by_table=dict(sorted(filled.rows.items())),
        seconds=time.monotonic() - started,
    )


def _fitted_schema(
    database: Database,
    client: PgTools,
    saved: bytes,
    terms: RestoreOptions,
    around: TargetEnvironment,
    findings: RestoreFindings,
) -> SchemaRestore:
    """Returns the restore of the schema, edited to fit the target."""
    existing = None
    if terms.into_existing:
        with database.connect() as connection:
            existing = find_existing(connection, read_entries(saved))
        findings.environment += existing.environment
    without = existing.without if existing else frozenset()
    schema, environment = fit_restore(client, database, saved, around, owners=terms.owners, without=without)
    findings.environment += environment
    made = made_beforehand(database, read_entries(schema.archive)) if terms.another else frozenset()
    return replace(schema, made=made, there=existing)


@dataclass(slots=True)
class _Restore:
    """A running restore. `encoding` is the saved database's encoding; None: unknown."""

    backup: OpenedBackup
    schema: SchemaRestore
    terms: RestoreOptions
    around: TargetEnvironment
    encoding: str | None
    findings: RestoreFindings
    reworded: dict[str, str] = field(default_factory=dict)

    @property
    def is_recoded(self) -> bool:
        """Returns whether the target's encoding differs from the saved encoding, so that digests are not comparable."""
        return self.encoding is not None and self.encoding != self.around.encoding

    def carry_out(self) -> LoadResult:
        """Restore everything. If the time does not suffice for all rows, the steps after the rows are left out."""
        manifest, schema, findings = self.backup.manifest, self.schema, self.findings
        database = schema.database
        self._restore_pre_data()
        filled = self._load_rows()
        if filled.left:
            findings.environment += schema.lacking.environment_sentences()
            return filled
        with database.connect() as connection:
            set_sequences(connection, manifest.sequences)
        findings.differences += schema.restore_post_data(jobs=self.terms.workers)
        with database.connect() as connection:
            findings.differences += sequence_differences(connection, manifest.sequences)
            flush_commits(connection)  # pg_restore's own, which no session of ours has made durable
        views = () if self.is_recoded else manifest.views
        compare_views(database.target, views, findings, seconds=schema.seconds_left)
        restore_database_settings(database, manifest.settings, findings, owners=self.terms.owners)
        self.reworded = compare_schema(schema, self.backup, self.terms.another, findings)
        findings.environment += schema.lacking.environment_sentences()
        if self.is_recoded:
            findings.environment.append(
                f"the database's encoding is {self.around.encoding}, and was {self.encoding}: rows were counted, and"
                " their contents not compared"
            )
        if self.terms.owners and not schema.owners:
            findings.environment += transfer_ownership(schema, self.around)
        if manifest.properties is not None:
            untouched = self.terms.another is not None or self.terms.into_existing
            restore_properties(database, manifest.properties, findings, owners=self.terms.owners, untouched=untouched)
        return filled

    def _restore_pre_data(self) -> None:
        """Restore pre-data: all of it, or else all objects that the server does not refuse.

        Raises:
            PgToolError: no object could be created.
        """
        try:
            self.schema.restore_pre_data()
        except PgToolError as exc:
            if not exc.refused:
                raise
            self.findings.differences += self.schema.restore_pre_data_lenient()
            with self.schema.database.connect() as connection:
                if not list_user_objects(connection):
                    raise

    def _load_rows(self) -> LoadResult:
        """Load the rows of the tables that have the saved columns. Other tables are reported as differences."""
        database, tables = self.schema.database, self.backup.manifest.tables
        with database.connect() as connection:
            fields = load_target_columns(connection)
            routed = hash_partition_routes(connection)
        fitting = []
        for entry in tables:
            misfits = column_mismatches(entry, fields.get(entry.table))
            cause = self.schema.lacking.find_cause(entry.schema, entry.name) if misfits else None
            because = f" ({cause})" if cause else ""
            self.findings.differences += [f"{entry.label}: {misfit}{because}" for misfit in misfits]
            fitting += [] if misfits else [entry]
        loader = TableLoader(self.backup, database, fields, self.terms.listener, routed, digests=not self.is_recoded)
        filled = loader.load_tables(fitting, workers=self.terms.workers)
        self.findings.differences += sorted(filled.differences)
        return filled
