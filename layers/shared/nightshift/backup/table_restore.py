"""Restores one table of a backup into a database in use, e.g. to get deleted rows back.

The table must be empty with the saved columns. If it does not exist, it is created from the backup's schema, without
indexes, keys and triggers, because those may need other tables. Its sequences are left alone.
"""

from __future__ import annotations

import time
from dataclasses import replace

from sqlalchemy import text

from nightshift.backup.contents import read_entries
from nightshift.backup.manifest import BackupManifest
from nightshift.backup.models import TableEntry
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.ownership import transfer_ownership
from nightshift.backup.part_loader import column_mismatches, load_target_columns
from nightshift.backup.pg_tools import PgTools, find_pg_tools, refuse_without_client
from nightshift.backup.requests import RestoreOptions
from nightshift.backup.schema import SchemaRestore, fit_restore
from nightshift.backup.table_loader import TableLoader
from nightshift.backup.target_environment import TargetEnvironment, read_environment
from nightshift.database.catalog import quote_identifier, split_name
from nightshift.database.connect import Database
from nightshift.database.insertable import InsertTarget, find_insert_target
from nightshift.results.backup import RestoredBackup
from nightshift.results.common import GuardRefusal


def restore_table(backup: OpenedBackup, database: Database, table: str, terms: RestoreOptions) -> RestoredBackup:
    """Restores one table's rows.

    Args:
        table: `schema.table`, or the name alone if only one schema has the table.

    Raises:
        BackupDamaged: an S3 object with the table's rows is missing, or differs from the manifest. None or some of
            the rows were restored.
        NightshiftError: the table could not be created, or the connection was lost. Refused rows are a difference.
    """
    started = time.monotonic()
    blank = RestoredBackup(name=backup.manifest.name, target=database.target.database, dry_run=terms.dry_run)
    entry = _entry(backup.manifest, table)
    if isinstance(entry, GuardRefusal):
        return replace(blank, refusal=entry, dry_run=False)
    with database.connect() as connection:
        existing, around = find_insert_target(connection, entry.table), read_environment(connection)
        fields = load_target_columns(connection)
    refusal = _judge(backup, entry, existing, column_mismatches(entry, fields.get(entry.table)))
    if refusal is not None:
        return replace(blank, refusal=refusal, dry_run=False)
    if terms.dry_run:
        by_table = {entry.label: entry.rows}
        return replace(blank, tables=1, rows=entry.rows, bytes=entry.bytes, by_table=by_table)
    schema: SchemaRestore | None = None
    environment: tuple[str, ...] = ()
    if existing is None:
        client = find_pg_tools(terms.client, around.version)
        if client is None:
            return replace(blank, refusal=refuse_without_client(around.version, terms.client))
        schema, environment = _create_table(backup, database, client, entry, terms, around)
        with database.connect() as connection:
            fields = load_target_columns(connection)
    filled = TableLoader(backup, database, fields, terms.listener).load_tables([entry], workers=terms.workers)
    if schema is not None and terms.owners and not schema.owners:
        environment += transfer_ownership(schema, around)
    note = "made from the backup, without indexes, keys and triggers: schema.sql in the backup has them"
    return replace(
        blank,
        tables=len(filled.rows),
        rows=sum(filled.rows.values()),
        bytes=filled.bytes,
        left_tables=filled.left,
        differences=tuple(filled.differences),
        environment=environment,
        by_table=filled.rows,
        warnings=() if existing else (f"{entry.label} was {note}",),
        seconds=time.monotonic() - started,
    )


def _entry(manifest: BackupManifest, written: str) -> TableEntry | GuardRefusal:
    """Returns the entry of the table that a written name means, or a refusal: no table, several tables, or SQLite."""
    if manifest.kind != "postgresql":
        hint = "restore it whole, into a new file, and copy the table from there"
        return GuardRefusal(guard="other_kind", message=f"{manifest.name} is a backup of SQLite", hint=hint)
    exact = manifest.find_table(written)
    parts = [part for part, _ in split_name(written) or ()]
    matches = [t for t in manifest.tables if parts in ([t.name], [t.schema, t.name])]
    if exact is not None or len(matches) == 1:
        return exact or matches[0]
    known = ", ".join(entry.label for entry in manifest.tables[:20]) or "none"
    return GuardRefusal(
        guard="unknown_table",
        message=f"{manifest.name} has {'several tables' if matches else 'no table'} {written}",
        hint=f"write it like schema.table; of a partitioned table each partition is one; it has: {known}",
    )


def _judge(
    backup: OpenedBackup, entry: TableEntry, existing: InsertTarget | None, misfits: tuple[str, ...]
) -> GuardRefusal | None:
    manifest, label = backup.manifest, entry.label
    if existing is None:
        hint = "CREATE the table first, with the columns that were saved"
        message = f"{label} does not exist, and the backup has no schema to make it from"
        return None if manifest.schema.dump else GuardRefusal(guard="no_schema", message=message, hint=hint)
    if existing.kind != "table":
        message = f"{label} is a {existing.kind}"
        return GuardRefusal(guard="unusable_table", message=message, hint="rename it, and a table will be made")
    if not existing.may_insert:
        hint = "GRANT SELECT, INSERT on it, and USAGE on its schema, to the role of the URL"
        return GuardRefusal(guard="unusable_table", message=f"{label} may not be read and filled by us", hint=hint)
    if not existing.empty:
        return GuardRefusal(guard="not_empty", message=f"{label} has rows", hint="rename it, and a table will be made")
    if existing.altering:
        message = f"{label}: {', '.join(existing.altering)} could change rows on their way in, or keep them out"
        return GuardRefusal(
            guard="altered_rows", message=message, hint="disable them until it is restored (ALTER TABLE … DISABLE)"
        )
    if misfits:
        message = f"{label} is not the table that was saved: {'; '.join(misfits[:5])}"
        return GuardRefusal(guard="unusable_table", message=message, hint="rename it, and a table will be made")
    return None


def _create_table(
    backup: OpenedBackup,
    database: Database,
    client: PgTools,
    entry: TableEntry,
    terms: RestoreOptions,
    around: TargetEnvironment,
) -> tuple[SchemaRestore, tuple[str, ...]]:
    """Creates the table from the backup's schema; returns its restore, and the differences that the server causes."""
    assert backup.manifest.schema.dump is not None  # else it was refused
    archive = backup.read_part(backup.manifest.schema.dump)
    with database.connect() as connection:
        known = text("SELECT count(*) FROM pg_namespace WHERE nspname = :name")
        if not connection.execute(known, {"name": entry.schema}).scalar():
            connection.exec_driver_sql(f"CREATE SCHEMA {quote_identifier(entry.schema)}")
        connection.commit()
    # The table itself, and what is granted on it.
    wanted = [(entry.schema, entry.name), (entry.schema, f"TABLE {entry.name}")]
    others = frozenset(other.id for other in read_entries(archive) if (other.schema, other.tag) not in wanted)
    schema, environment = fit_restore(client, database, archive, around, owners=terms.owners, without=others)
    schema.restore_pre_data(f"--schema={entry.schema}", f"--table={entry.name}")
    return schema, environment
