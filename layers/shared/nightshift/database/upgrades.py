"""Creates nightshift's own tables, and upgrades the tables of an earlier version.

One transaction, under a separate lock, makes all changes. If no change is needed, nothing is written. A table belongs
to an earlier version if it lacks a column that this version defines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn, CreateTable

from nightshift.database.catalog import escape_colons
from nightshift.database.connect import INSUFFICIENT_PRIVILEGE, server_message, sqlstate
from nightshift.database.own_tables import check_faults, find_faults, own_table, schema_of
from nightshift.database.tables import feedback_run, file_deletion, metadata, restored_object, revoke_grants
from nightshift.errors import DatabaseUnavailable, NightshiftError

UPGRADING = int.from_bytes(hashlib.sha256(b"nightshift:own tables").digest()[:8], "big", signed=True)
"""Key of the advisory lock for creating and changing nightshift's tables; runs of two jobs may begin at once."""

_COLUMNS = """
SELECT CAST(c.relname AS text), CAST(a.attname AS text) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = :schema AND c.relkind = 'r' AND starts_with(c.relname, 'nightshift_')
"""
_COLUMNS_SQLITE = """
SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p
WHERE m.type = 'table' AND m.name LIKE 'nightshift_%'
"""
_READABLE = frozenset({feedback_run.name})
"""Tables of an earlier version that this version can read without an upgrade."""


def ensure_tables(connection: Connection) -> None:
    """Create missing tables of nightshift's, and upgrade the tables of an earlier version.

    Raises:
        DatabaseUnavailable: the database refused a change; nothing was changed.
        OwnTablesRefused: a created or upgraded table has a fault, see `own_tables`; nothing was changed.
    """
    try:
        there = columns_there(connection)
        if any(_lacks(table, there.get(name, ())) for name, table in metadata.tables.items()):
            _change(connection)
        connection.commit()
    except NightshiftError:
        connection.rollback()
        raise
    except DBAPIError as exc:
        connection.rollback()
        denied = "GRANT CREATE ON SCHEMA to nightshift's role, or create the tables once as the owner"
        raise DatabaseUnavailable(
            "nightshift's own tables could not be made or upgraded",
            detail=f"{server_message(exc)}\ntables: {', '.join(sorted(metadata.tables))}",
            hint=denied if sqlstate(exc) == INSUFFICIENT_PRIVILEGE else None,
        ) from exc


def check_own_tables(connection: Connection) -> None:
    """Raise `OwnTablesRefused` if one of nightshift's tables has a fault (see `own_tables`). Ends the transaction."""
    faults = find_faults(connection, metadata.tables.values())
    if any(fault.is_key for fault in faults):
        # The upgrade of an old table creates missing keys and checks the table again.
        old = old_tables(connection)
        faults = tuple(fault for fault in faults if not (fault.is_key and fault.relname in old))
    connection.rollback()
    check_faults(faults)


def columns_there(connection: Connection) -> dict[str, frozenset[str]]:
    """Returns the columns of each existing table of nightshift's."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text(_COLUMNS_SQLITE))
    else:
        rows = connection.execute(text(_COLUMNS), {"schema": schema_of(connection) or ""})
    columns: dict[str, set[str]] = {}
    for table, column in rows:
        columns.setdefault(table, set()).add(column)
    return {table: frozenset(names) for table, names in columns.items()}


def old_tables(connection: Connection) -> frozenset[str]:
    """Returns the names of existing tables of nightshift's that an earlier version created."""
    there = columns_there(connection)
    return frozenset(name for name, table in metadata.tables.items() if name in there and _lacks(table, there[name]))


def check_readable(connection: Connection) -> None:
    """Raise `DatabaseUnavailable` if this version cannot read an earlier version's table. Ends the transaction."""
    old = sorted(old_tables(connection) - _READABLE)
    connection.rollback()
    if old:
        raise DatabaseUnavailable(
            "nightshift's own tables are an earlier version's",
            detail=f"tables: {', '.join(old)}",
            hint="a run that is no dry run, of any job, upgrades them, and loses nothing of what they hold",
        )


def _lacks(table: Table, columns: Collection[str]) -> list[str]:
    return [column.name for column in table.columns if column.name not in columns]


def _change(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADING})
    there = columns_there(connection)
    missing = [table for table in metadata.sorted_tables if table.name not in there]
    metadata.create_all(connection, tables=missing, checkfirst=False)
    old = [table for table in metadata.sorted_tables if table.name in there and _lacks(table, there[table.name])]
    for table in old:
        if table is file_deletion:
            _upgrade_outbox(connection)
        elif table is restored_object:
            _upgrade_restored(connection)
        else:
            _add_columns(connection, table, _lacks(table, there[table.name]))
    if missing:
        revoke_grants(connection, [table.name for table in missing])
    if missing or old:
        check_faults(find_faults(connection, [*missing, *old]))


def _add_columns(connection: Connection, table: Table, names: Collection[str]) -> None:
    """Add columns to a table; each column allows nulls or has a server default."""
    for name in names:
        column = str(CreateColumn(table.columns[name]).compile(dialect=connection.dialect))
        connection.execute(text(f"ALTER TABLE {_name(connection, table)} ADD COLUMN {column}"))


def _upgrade_outbox(connection: Connection) -> None:
    """Convert an old outbox, whose rows have one file in `object_key`, to rows with a list of files."""
    outbox = _name(connection, file_deletion)
    postgresql = connection.dialect.name == "postgresql"
    as_list = "CAST(json_build_array(object_keys) AS text)" if postgresql else "json_array(object_keys)"
    statements = [
        f"ALTER TABLE {outbox} RENAME COLUMN object_key TO object_keys",
        f"ALTER TABLE {outbox} ADD COLUMN files integer NOT NULL DEFAULT 1",
        f"UPDATE {outbox} SET object_keys = {as_list}",
    ]
    if postgresql:
        statements += [
            f"ALTER TABLE {outbox} ALTER COLUMN files DROP DEFAULT",
            f"ALTER TABLE {outbox} ALTER COLUMN object_keys SET STORAGE EXTERNAL",
        ]
    for statement in statements:
        connection.execute(text(statement))


def _upgrade_restored(connection: Connection) -> None:
    """Convert `target_id` to text, add `timestamp_column` as null, and make `object_key` with `target_id` unique.

    If an object has several rows for one table, as after a renaming, the last row stays, with the longest hold."""
    table, old = _name(connection, restored_object), "nightshift_restored_object_old"
    same = "o.object_key = r.object_key AND o.target_id = r.target_id"
    if connection.dialect.name == "sqlite":
        # SQLite has no OIDs: `target_id` was 0 in earlier versions, and is now the table's name.
        same = "o.object_key = r.object_key AND o.target_table = r.target_table"
    later = f"SELECT 1 FROM {table} o WHERE {same} AND o.id > r.id"
    hold = f"UPDATE {table} AS r SET hold_until = (SELECT max(o.hold_until) FROM {table} o WHERE {same})"
    statements = [hold, f"DELETE FROM {table} AS r WHERE EXISTS ({later})"]
    if connection.dialect.name == "sqlite":
        made = str(CreateTable(restored_object).compile(dialect=connection.dialect))
        names = [column.name for column in restored_object.columns if column.name != "timestamp_column"]
        values = ", ".join("target_table" if name == "target_id" else name for name in names)
        statements += [
            f"ALTER TABLE {table} RENAME TO {old}",
            made,
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {old}",
            f"DROP TABLE {old}",
        ]
    else:
        unique = "SELECT quote_ident(conname) FROM pg_constraint WHERE contype = 'u' AND conrelid ="
        keys = list(connection.execute(text(f"{unique} CAST(:table AS regclass)"), {"table": table}).scalars())
        statements += [
            *(f"ALTER TABLE {table} DROP CONSTRAINT {key}" for key in keys),
            f"ALTER TABLE {table} ADD COLUMN timestamp_column text, ALTER COLUMN target_id TYPE text",
            f"ALTER TABLE {table} ADD UNIQUE (object_key, target_id)",
        ]
    for statement in statements:
        connection.exec_driver_sql(statement)


def _name(connection: Connection, table: Table) -> str:
    """Returns a table's quoted name for `text()`, with colons escaped."""
    if connection.dialect.name == "sqlite":
        return table.name
    return escape_colons(own_table(table, schema_of(connection)))
