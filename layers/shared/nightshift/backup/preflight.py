"""Checks before a restore: the backup fits the server, and the database is empty.

A database is empty if it is as CREATE DATABASE makes it, with extensions or without. Any object of a user, even a type
or a schema, could prevent the restore of another, or be taken for a restored one afterwards.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from nightshift.backup.opened_backup import OpenedBackup
from nightshift.results.common import GuardRefusal

_FOUND = """
WITH users AS (
  SELECT oid, nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'
), found(kind, class, oid, name) AS (
  SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
           WHEN 'f' THEN 'foreign table' ELSE 'table' END,
         CAST('pg_class' AS regclass), c.oid, format('%I.%I', u.nspname, c.relname)
    FROM pg_class c JOIN users u ON u.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  UNION ALL
  SELECT 'type', CAST('pg_type' AS regclass), t.oid, format('%I.%I', u.nspname, t.typname)
    FROM pg_type t JOIN users u ON u.oid = t.typnamespace
  UNION ALL
  SELECT 'function', CAST('pg_proc' AS regclass), p.oid, format('%I.%I', u.nspname, p.proname)
    FROM pg_proc p JOIN users u ON u.oid = p.pronamespace
  UNION ALL
  SELECT 'operator', CAST('pg_operator' AS regclass), o.oid, format('%I.%s', u.nspname, o.oprname)
    FROM pg_operator o JOIN users u ON u.oid = o.oprnamespace
  UNION ALL
  SELECT 'collation', CAST('pg_collation' AS regclass), l.oid, format('%I.%I', u.nspname, l.collname)
    FROM pg_collation l JOIN users u ON u.oid = l.collnamespace
  UNION ALL
  SELECT 'schema', CAST('pg_namespace' AS regclass), u.oid, quote_ident(u.nspname)
    FROM users u WHERE u.nspname <> 'public'
  UNION ALL
  SELECT 'event trigger', CAST('pg_event_trigger' AS regclass), e.oid, quote_ident(e.evtname) FROM pg_event_trigger e
  UNION ALL
  SELECT 'publication', CAST('pg_publication' AS regclass), b.oid, quote_ident(b.pubname) FROM pg_publication b
)
SELECT f.kind || ' ' || f.name FROM found f
-- Row types and array types depend on what they are of ('i'); what an extension brought, on that ('e').
WHERE NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.classid = f.class AND d.objid = f.oid AND d.deptype IN ('e', 'i'))
ORDER BY f.kind = 'table' DESC, 1 LIMIT :limit
"""


def list_user_objects(connection: Connection, *, limit: int = 5) -> tuple[str, ...]:
    """Returns up to `limit` objects of users in a PostgreSQL database, by kind and name; none: it is empty.

    What belongs to an extension does not count.
    """
    return tuple(connection.execute(text(_FOUND), {"limit": limit}).scalars())


def refuse_restore(backup: OpenedBackup, version: int, found: tuple[str, ...]) -> GuardRefusal | None:
    """Returns the refusal if a backup cannot be restored into a database with this version and content; else None."""
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
    if found:
        message = f"the database is not empty: {', '.join(found)}"
        hint = "CREATE DATABASE a new one, and restore into that; or --into-existing, which refuses collisions alone"
        return GuardRefusal(guard="not_empty", message=message, hint=hint)
    return None


def server_major_version(connection: Connection) -> int:
    """Returns e.g. 18."""
    return int(str(connection.execute(text("SHOW server_version_num")).scalar())) // 10_000


def major_version_of(version: str) -> int:
    """Returns the first number of a version."""
    return int(version.split(".", maxsplit=1)[0])
