"""Checks before a restore: the backup fits the server, and the database is empty, or has no object of the backup.

A database is empty if it has only what CREATE DATABASE creates, with or without extensions. Any object of a user, even
a type or a schema, could prevent the restore of another object, or look like a restored object afterwards.

A hosted database has extensions, schemas (`auth`, `storage`) and a `public` of its own. A backup can be restored into a
hosted database if no object of the backup has the name of an existing object, including extensions' objects. Schemas
and extensions of the same name are not collisions: their owner, grants and comment are not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from nightshift.backup.contents import ArchiveEntry
from nightshift.backup.database_settings import settings_of
from nightshift.backup.models import DatabaseSetting
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database
from nightshift.errors import join_names
from nightshift.results.common import GuardRefusal

_FOUND = """
WITH users AS (
  SELECT oid, nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
), found(kind, class, oid, name) AS (
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
           WHEN 'f' THEN 'foreign table' ELSE 'table' END,
         CAST('pg_class' AS regclass), c.oid, format('%I.%I', u.nspname, c.relname)
    FROM pg_class c JOIN users u ON u.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  UNION ALL SELECT 'type', CAST('pg_type' AS regclass), t.oid, format('%I.%I', u.nspname, t.typname)
    FROM pg_type t JOIN users u ON u.oid = t.typnamespace
  UNION ALL SELECT 'function', CAST('pg_proc' AS regclass), p.oid, format('%I.%I', u.nspname, p.proname)
    FROM pg_proc p JOIN users u ON u.oid = p.pronamespace
  UNION ALL SELECT 'operator', CAST('pg_operator' AS regclass), o.oid, format('%I.%s', u.nspname, o.oprname)
    FROM pg_operator o JOIN users u ON u.oid = o.oprnamespace
  UNION ALL SELECT 'collation', CAST('pg_collation' AS regclass), l.oid, format('%I.%I', u.nspname, l.collname)
    FROM pg_collation l JOIN users u ON u.oid = l.collnamespace
  UNION ALL SELECT 'schema', CAST('pg_namespace' AS regclass), u.oid, quote_ident(u.nspname)
    FROM users u WHERE u.nspname <> 'public'
  UNION ALL SELECT 'event trigger', CAST('pg_event_trigger' AS regclass), e.oid, quote_ident(e.evtname)
    FROM pg_event_trigger e
  UNION ALL SELECT 'publication', CAST('pg_publication' AS regclass), b.oid, quote_ident(b.pubname)
    FROM pg_publication b
)
SELECT f.kind || ' ' || f.name FROM found f
-- Row types and array types depend on what they are of ('i'); what an extension brought, on that ('e').
WHERE NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.classid = f.class AND d.objid = f.oid AND d.deptype IN ('e', 'i'))
ORDER BY f.kind = 'table' DESC, 1 LIMIT 5
"""

_SHOWN = 50

_CLASSES = {
    **dict.fromkeys(("TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE", "INDEX"), "relation"),
    **dict.fromkeys(("TYPE", "DOMAIN", "SHELL TYPE"), "relation"),  # a table is a type, too
    **dict.fromkeys(("FUNCTION", "PROCEDURE", "AGGREGATE"), "function"),
    **{kind: kind for kind in ("COLLATION", "OPERATOR", "STATISTICS")},
    **{kind: kind for kind in ("TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY")},
    **{kind: kind for kind in ("EVENT TRIGGER", "PUBLICATION", "FOREIGN DATA WRAPPER", "SERVER")},
}
"""Kind of an archive's entry → its namespace. Two objects in the same namespace cannot have the same name."""

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


def list_user_objects(connection: Connection) -> tuple[str, ...]:
    """Returns kind and name of up to five users' objects in a PostgreSQL database. Empty: the database is empty."""
    return tuple(connection.execute(text(_FOUND)).scalars())


def refuse_restore(backup: OpenedBackup, version: int, objects: tuple[str, ...]) -> GuardRefusal | None:
    """Returns a refusal if the backup cannot be restored into a server of `version` with these `objects`; else None."""
    manifest = backup.manifest
    if manifest.kind != "postgresql":
        hint = "restore it into a file: sqlite:///…"
        return GuardRefusal(guard="other_kind", message=f"{manifest.name} is a backup of SQLite", hint=hint)
    if manifest.schema.dump is None:
        message = f"{manifest.name} holds rows without a schema: no pg_dump was at hand when it was made"
        hint = "make the tables, and restore them one by one with --table"
        return GuardRefusal(guard="no_schema", message=message, hint=hint)
    if version < major_version_of(manifest.server_version):
        message = f"the backup is of PostgreSQL {manifest.server_version}, the server is of {version}"
        return GuardRefusal(
            guard="older_server", message=message, hint="restore it to a server of that version or a later one"
        )
    if objects:
        message = f"the database is not empty: {', '.join(objects)}"
        hint = "CREATE DATABASE a new one, and restore into that; or --into-existing, which refuses collisions alone"
        return GuardRefusal(guard="not_empty", message=message, hint=hint)
    return None


def major_version_of(version: str) -> int:
    return int(version.split(".", maxsplit=1)[0])


@dataclass(frozen=True, slots=True)
class ExistingObjects:
    """The objects that a database had before a restore.

    Attributes:
        without: numbers of entries that are not restored: existing schemas and extensions, with grants and comments.
        schemas: existing schemas without objects of the backup.
        tables: existing tables, views and sequences in schemas with objects of the backup.
        environment: sentences about objects that a restore does not change.
    """

    without: frozenset[int] = frozenset()
    schemas: tuple[str, ...] = ()
    tables: tuple[TableName, ...] = ()
    environment: tuple[str, ...] = ()


def find_collision(
    database: Database, entries: Sequence[ArchiveEntry], settings: Sequence[DatabaseSetting]
) -> GuardRefusal | None:
    """Returns a refusal that names the colliding objects and settings of backup and database; None: no collision."""
    with database.connect() as connection:
        connection.execute(text("SELECT set_config('search_path', '', true)"))  # types are printed with their schemas
        existing = {(row[0], row[1], row[2]) for row in connection.execute(text(_NAMES))}
        existing_settings = settings_of(connection)
    collisions = [entry.name for entry in entries if (_CLASSES.get(entry.kind), entry.schema, entry.tag) in existing]
    ours = {(setting.role, setting.name): setting.value for setting in settings}
    collisions += [
        setting.label
        for setting in existing_settings
        if ours.get((setting.role, setting.name), setting.value) != setting.value
    ]
    if not collisions:
        return None
    return GuardRefusal(
        guard="collision",
        message=f"the database has these already: {join_names(collisions, _SHOWN)}",
        hint="rename, drop or (settings) RESET them, or CREATE DATABASE a new one, and restore into that",
    )


def find_existing(connection: Connection, entries: Sequence[ArchiveEntry]) -> ExistingObjects:
    """Returns the existing objects of a database, in relation to the entries of an archive."""
    existing = _schemas_and_extensions(connection)
    left = [entry for entry in entries if _owner_of(entry) in existing]
    used = {entry.schema for entry in entries if entry.schema}
    tables = [TableName(row.nspname, row.relname) for row in connection.execute(text(_TABLES))]
    stays = [f"{kind.lower()} {name}" for kind, name in dict.fromkeys(filter(None, map(_owner_of, left)))]
    sentence = f"there before, and left as they were, with owner, grants and comment: {', '.join(stays)}"
    return ExistingObjects(
        without=frozenset(entry.id for entry in left),
        schemas=tuple(sorted(name for kind, name in existing if kind == "SCHEMA" and name not in used)),
        tables=tuple(table for table in tables if table.schema in used),
        environment=(sentence,) if stays else (),
    )


def made_beforehand(database: Database, entries: Sequence[ArchiveEntry]) -> frozenset[int]:
    """Returns the numbers of the entries for extensions and schemas that an otherwise empty database has already."""
    with database.connect() as connection:
        existing = _schemas_and_extensions(connection)
    return frozenset(entry.id for entry in entries if (entry.kind, entry.tag) in existing and entry.tag != "public")


def _schemas_and_extensions(connection: Connection) -> set[tuple[str, str]]:
    return {(row.kind, row.name) for row in connection.execute(text(_THERE))}


def _owner_of(entry: ArchiveEntry) -> tuple[str, str] | None:
    """Returns the schema or extension that an entry creates, grants on, labels or comments on; else None."""
    if entry.kind in ("SCHEMA", "EXTENSION"):
        return entry.kind, entry.tag
    kind, _, name = entry.tag.partition(" ")
    says = entry.kind in ("ACL", "COMMENT", "SECURITY LABEL") and kind in ("SCHEMA", "EXTENSION")
    return (kind, name) if says and name else None
