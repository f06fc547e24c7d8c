"""Creates extensions that only a superuser may create, with our own role, while the scratch database is empty.

Their scripts are files of the server. Only extensions that the saved database has are created: a name in a dump is not
enough. Extensions that cannot be created are reported by the code that needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.contents import ArchiveEntry
from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import Database

_INSTALLED = "SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"

_FOR_SUPERUSERS = """
SELECT v.name FROM pg_available_extension_versions v
JOIN pg_available_extensions a ON a.name = v.name AND a.default_version = v.version
WHERE v.superuser AND NOT v.trusted
"""

_THERE = """
SELECT 'EXTENSION' AS kind, CAST(extname AS text) AS name FROM pg_extension
UNION ALL SELECT 'SCHEMA', CAST(nspname AS text) FROM pg_namespace
"""


def make_extensions(production: Database, entries: Sequence[ArchiveEntry], owner: str, empty: Database) -> None:
    """Make the extensions of a dump that its owner-to-be may not make, with their schemas.

    Args:
        production: the saved database.
        entries: of the dump.
        owner: of the database, and of the schemas.
        empty: the database, as our own role.
    """
    listed = [entry.tag for entry in entries if entry.kind == "EXTENSION"]
    if not listed:
        return
    with production.connect() as connection:
        schema_of = {row.extname: row.nspname for row in connection.execute(text(_INSTALLED))}
    with empty.connect(autocommit=True) as connection:
        wanted = set(connection.execute(text(_FOR_SUPERUSERS)).scalars()) & set(schema_of)
        for name in listed:
            if name in wanted:
                schema = quote_identifier(schema_of[name])
                with suppress(DBAPIError):
                    made = f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {quote_identifier(owner)}"
                    connection.exec_driver_sql(made)
                    connection.exec_driver_sql(f"CREATE EXTENSION {quote_identifier(name)} WITH SCHEMA {schema}")


def made_beforehand(database: Database, entries: Sequence[ArchiveEntry]) -> frozenset[int]:
    """Numbers of the entries for extensions and schemas that a database has already; of one that is empty else."""
    with database.connect() as connection:
        there = {(row.kind, row.name) for row in connection.execute(text(_THERE))}
    return frozenset(entry.id for entry in entries if (entry.kind, entry.tag) in there and entry.tag != "public")
