"""Compares a non-empty target database with a backup: name collisions, and objects that stay as they are.

A hosted database comes with extensions, schemas (`auth`, `storage`) and a `public` of its own. A backup is restored
into it if none of its objects has the name of an existing one, an extension's own among them. Schemas and extensions
of the same name are not collisions: they are left as they are, with their owner, grants and comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from nightshift.backup.contents import ArchiveEntry
from nightshift.backup.database_settings import settings_of
from nightshift.backup.manifest import DatabaseSetting
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database
from nightshift.results.common import GuardRefusal

_SHOWN = 50

_CLASSES = {
    **dict.fromkeys(("TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE", "INDEX"), "relation"),
    **dict.fromkeys(("TYPE", "DOMAIN", "SHELL TYPE"), "relation"),  # a table is a type, too
    **dict.fromkeys(("FUNCTION", "PROCEDURE", "AGGREGATE"), "function"),
    **{kind: kind for kind in ("COLLATION", "OPERATOR", "STATISTICS")},
    **{kind: kind for kind in ("TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY")},
    **{kind: kind for kind in ("EVENT TRIGGER", "PUBLICATION", "FOREIGN DATA WRAPPER", "SERVER")},
}
"""Namespaces of the kinds of an archive's entries: kinds with the same one cannot have the same names."""

_NAMES = """
SELECT 'relation' AS class, CAST(n.nspname AS text) AS schema, CAST(c.relname AS text) AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind <> 't'
UNION SELECT 'relation', n.nspname, t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typcategory <> 'A'
UNION SELECT 'function', n.nspname, format('%s(%s)', p.proname, array_to_string(ARRAY(
  SELECT format_type(a.type, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY a(type, place) ORDER BY a.place), ', '))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
UNION SELECT 'COLLATION', n.nspname, l.collname FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
UNION SELECT 'OPERATOR', n.nspname, o.oprname FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
UNION SELECT 'STATISTICS', n.nspname, s.stxname FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
UNION SELECT 'TEXT SEARCH CONFIGURATION', n.nspname, f.cfgname
FROM pg_ts_config f JOIN pg_namespace n ON n.oid = f.cfgnamespace
UNION SELECT 'TEXT SEARCH DICTIONARY', n.nspname, d.dictname
FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace
UNION SELECT 'EVENT TRIGGER', NULL, evtname FROM pg_event_trigger
UNION SELECT 'PUBLICATION', NULL, pubname FROM pg_publication
UNION SELECT 'FOREIGN DATA WRAPPER', NULL, fdwname FROM pg_foreign_data_wrapper
UNION SELECT 'SERVER', NULL, srvname FROM pg_foreign_server
"""

_THERE = """
SELECT 'EXTENSION' AS kind, CAST(extname AS text) AS name FROM pg_extension
UNION ALL SELECT 'SCHEMA', CAST(nspname AS text) FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


@dataclass(frozen=True, slots=True)
class ExistingObjects:
    """The objects that a database had before a restore.

    Attributes:
        without: numbers of entries that are not made: schemas and extensions that are there, and what is set for them.
        schemas: that hold nothing of the backup.
        tables: and views and sequences in those that do.
        environment: sentences on unchanged objects, for the report.
    """

    without: frozenset[int] = frozenset()
    schemas: tuple[str, ...] = ()
    tables: tuple[TableName, ...] = ()
    environment: tuple[str, ...] = ()


def find_collision(
    database: Database, entries: Sequence[ArchiveEntry], settings: Sequence[DatabaseSetting]
) -> GuardRefusal | None:
    """Returns a refusal that names colliding objects of backup and database, by kind and name; None without any.

    Args:
        settings: of the saved database.
    """
    with database.connect() as connection:
        connection.execute(text("SELECT set_config('search_path', '', true)"))  # types are printed with their schemas
        there = {(row[0], row[1], row[2]) for row in connection.execute(text(_NAMES))}
        set_there = settings_of(connection)
    found = [entry.name for entry in entries if (_CLASSES.get(entry.kind), entry.schema, entry.tag) in there]
    ours = {(one.role, one.name): one.value for one in settings}
    found += [
        f"setting {one.name}" + (f" of role {one.role}" if one.role else "")
        for one in set_there
        if ours.get((one.role, one.name), one.value) != one.value
    ]
    if not found:
        return None
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return GuardRefusal(
        guard="collision",
        message=f"the database has these already: {', '.join(found[:_SHOWN])}{more}",
        hint="rename, drop or (settings) RESET them, or CREATE DATABASE a new one, and restore into that",
    )


def find_existing(connection: Connection, entries: Sequence[ArchiveEntry]) -> ExistingObjects:
    """Return the objects of entries that a database has already. Ends the transaction."""
    there = {(row.kind, row.name) for row in connection.execute(text(_THERE))}
    left = [entry for entry in entries if _owner_of(entry) in there]
    used = {entry.schema for entry in entries if entry.schema}
    tables = [TableName(row.nspname, row.relname) for row in connection.execute(text(_TABLES))]
    connection.rollback()
    stays = [f"{kind.lower()} {name}" for kind, name in dict.fromkeys(filter(None, map(_owner_of, left)))]
    said = f"there before, and left as they were, with owner, grants and comment: {', '.join(stays)}"
    return ExistingObjects(
        without=frozenset(entry.id for entry in left),
        schemas=tuple(sorted(name for kind, name in there if kind == "SCHEMA" and name not in used)),
        tables=tuple(table for table in tables if table.schema in used),
        environment=(said,) if stays else (),
    )


def _owner_of(entry: ArchiveEntry) -> tuple[str, str] | None:
    """The schema or extension that an entry makes, or says something of."""
    if entry.kind in ("SCHEMA", "EXTENSION"):
        return entry.kind, entry.tag
    return next(_about(entry), None) if entry.kind in ("ACL", "COMMENT", "SECURITY LABEL") else None


def _about(entry: ArchiveEntry) -> Iterator[tuple[str, str]]:
    for kind in ("SCHEMA", "EXTENSION"):
        if entry.tag.startswith(f"{kind} "):
            yield kind, entry.tag.removeprefix(f"{kind} ")
