"""Tries in a dry run whether the present table accepts archived values (PostgreSQL).

A comparison of declared types is not enough: labels of an enum, checks of a domain or a table, and shortened lengths
concern values. A dry run therefore loads the oldest and the newest object of each set of columns, in the same way as a
restore, into a temporary table like the target. The transaction is rolled back. One query per foreign key looks for
missing referenced rows.

Rejected: the target itself within a transaction (a dry run writes nothing); all objects (as slow as the restore).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.object_verification import ObjectDamaged, verify_object
from nightshift.database.catalog import TableName, quote_identifier, quote_literal
from nightshift.database.insertable import InsertTarget
from nightshift.restore.column_fit import ColumnFit
from nightshift.restore.destination import RestoreDestination
from nightshift.restore.row_loaders import PostgresRowLoader
from nightshift.results.common import GuardRefusal
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import StatementRefused, TransactionLimits
from nightshift.store import ObjectStore

WAY_OUT = (
    "restore into a table of its own (leave out --into and --into-original): everything comes back there; where a type"
    " itself no longer takes a value, into one that you make with text in its place (--into); or change the table"
)

REFERENCED_FIRST = "restore the referenced table's rows first, or restore into a table of its own"

TRIAL = TableName("pg_temp", "nightshift_trial")

_REFERENCES = """
SELECT format('%s', k.conname) AS name, format('%I.%I', n.nspname, p.relname) AS parent,
  (SELECT string_agg(format('p.%I OPERATOR(%I.%s) c.%I', b.attname, s.nspname, o.oprname, a.attname), ' AND '
     ORDER BY u.i)
     FROM unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY u(mine, theirs, operator, i)
     JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine
     JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.theirs
     JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace s ON s.oid = o.oprnamespace) AS pairs,
  (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ')
     FROM unnest(k.conkey) u(mine) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine) AS given
FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE k.conrelid = {table}::regclass AND k.contype = 'f' AND k.confrelid <> k.conrelid
  AND NOT coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false)
  AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
"""
"""Foreign keys of the table, except keys to the table itself: the restored rows may contain the referenced rows."""


def try_out(
    store: ObjectStore,
    connection: PostgresConnection,
    destination: RestoreDestination,
    objects: Sequence[ArchivedObject],
    bounds: TransactionLimits,
) -> GuardRefusal | None:
    """Load some objects into a temporary table. Returns a refusal if an object does not fit the target."""
    table = destination.table
    trial = replace(destination, table=replace(table, name=TRIAL, unique=False))
    loader = PostgresRowLoader(connection, trial, always_stage=False)
    for archived in _samples(objects, destination):
        try:
            file, fit = verify_object(store, archived), destination.fits[archived.fingerprint]
            loader.prepare_stage(file, fit, bounds)
            with connection.transaction(bounds):
                for statement in _like(table, fit):
                    connection.run_statement(statement)
                loader.load_rows(file, fit, bounds)
                missing = _missing_reference(connection, table.name, bounds)
        except ObjectDamaged:
            continue
        except StatementRefused as exc:
            if not exc.about_rows:
                return None  # no temporary tables for us: the restore itself will tell
            words = (exc.detail or exc.message).rpartition("ERROR:")[2].strip()
            return _refused(table, archived, words.replace(TRIAL.name, table.name.label), WAY_OUT)
        if missing:
            return _refused(table, archived, f"they reference rows of {missing} that are not there", REFERENCED_FIRST)
    return None


def _samples(objects: Sequence[ArchivedObject], destination: RestoreDestination) -> Iterator[ArchivedObject]:
    """Yields the oldest and the newest object of each set of archived columns."""
    for fingerprint in destination.fits:
        alike = [archived for archived in objects if archived.fingerprint == fingerprint]
        yield from alike[:1] + alike[1:][-1:]


def _like(table: InsertTarget, fit: ColumnFit) -> Iterator[str]:
    """Yields SQL that creates a temporary table like the target, without the columns that only defaults would fill."""
    yield f"CREATE TEMP TABLE {TRIAL.name} (LIKE {table.name.sql} INCLUDING CONSTRAINTS INCLUDING GENERATED)"
    filled = {column.slot.name for column in fit.filled}
    for slot in table.slots:
        if slot.name not in filled and not slot.generated:
            yield f"ALTER TABLE {TRIAL.sql} DROP COLUMN {quote_identifier(slot.name)} CASCADE"


def _missing_reference(connection: PostgresConnection, table: TableName, bounds: TransactionLimits) -> str | None:
    """Returns a table that lacks a referenced row, with the foreign key's name; None if all referenced rows exist."""
    found: Any = connection.read_table(_REFERENCES.format(table=quote_literal(table.sql)), bounds)
    for key in found.to_pylist():
        lacking = (
            f"SELECT count(*) FROM (SELECT 1 FROM {TRIAL.sql} c WHERE {key['given']}"
            f" AND NOT EXISTS (SELECT 1 FROM {key['parent']} p WHERE {key['pairs']}) LIMIT 1) f"
        )
        if connection.execute(lacking):
            return f"{key['parent']} ({key['name']})"
    return None


def _refused(table: InsertTarget, archived: ArchivedObject, why: str, hint: str) -> GuardRefusal:
    return GuardRefusal(
        guard="impossible_values",
        message=f"archived rows do not fit {table.name.label} as it is now: {why} (tried: {archived.uri})",
        hint=hint,
    )
