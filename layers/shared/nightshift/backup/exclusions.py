"""Finds database content that a backup of PostgreSQL cannot include, so that manifest, report and restore can name it.

docs/backup.md lists all kinds of objects that pg_dump and pg_dumpall know, and for each whether it is saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

_EXTENSION_ROWS = """
SELECT e.extname, n.nspname, c.relname, c.relkind = 'S' AS sequence, coalesce(e.extcondition[p.place], '') AS condition,
       has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
         ELSE has_table_privilege(c.oid, 'SELECT') END AS may_read
FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig) WITH ORDINALITY p(oid, place)
JOIN pg_class c ON c.oid = p.oid AND c.relkind IN ('r', 'p', 'S') JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2, 3
"""

# By kind, as `_SENTENCES` has them. The roles (but our own) and tablespaces are those that the database refers to.
_NAMES = """
WITH ours AS (SELECT oid FROM pg_database WHERE datname = current_database()), found(kind, name) AS (
  SELECT 'role', r.rolname FROM pg_roles r, ours o WHERE r.oid >= 16384 AND r.rolname <> current_user AND (
    EXISTS (SELECT 1 FROM pg_shdepend d WHERE d.refclassid = CAST('pg_authid' AS regclass) AND d.refobjid = r.oid
            AND (d.dbid = o.oid OR d.classid = CAST('pg_database' AS regclass) AND d.objid = o.oid))
    OR EXISTS (SELECT 1 FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = o.oid))
  UNION ALL
  SELECT 'tablespace', t.spcname FROM pg_tablespace t, ours o WHERE t.oid >= 16384 AND (
    EXISTS (SELECT 1 FROM pg_class c WHERE c.reltablespace = t.oid)
    OR EXISTS (SELECT 1 FROM pg_database b WHERE b.oid = o.oid AND b.dattablespace = t.oid))
  UNION ALL
  SELECT 'label', l.provider FROM pg_shseclabel l, ours o
  WHERE l.classoid = CAST('pg_database' AS regclass) AND l.objoid = o.oid
  UNION ALL
  SELECT 'subscription', s.subname FROM pg_subscription s, ours o WHERE s.subdbid = o.oid
  UNION ALL
  SELECT 'hidden', i.type || ' ' || i.identity FROM (
    SELECT CAST('pg_class' AS regclass) AS class, oid, relnamespace AS schema FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    UNION ALL SELECT CAST('pg_proc' AS regclass), oid, pronamespace FROM pg_proc
    UNION ALL SELECT CAST('pg_type' AS regclass), oid, typnamespace FROM pg_type WHERE typtype <> 'c' AND typelem = 0
    UNION ALL SELECT CAST('pg_operator' AS regclass), oid, oprnamespace FROM pg_operator
    UNION ALL SELECT CAST('pg_collation' AS regclass), oid, collnamespace FROM pg_collation
    UNION ALL SELECT CAST('pg_ts_config' AS regclass), oid, cfgnamespace FROM pg_ts_config
    UNION ALL SELECT CAST('pg_ts_dict' AS regclass), oid, dictnamespace FROM pg_ts_dict
  ) h CROSS JOIN LATERAL pg_identify_object(h.class, h.oid, 0) i
  WHERE h.oid >= 16384
    AND h.schema IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema'))
    AND NOT EXISTS (SELECT 1 FROM pg_depend d
                    WHERE d.classid = h.class AND d.objid = h.oid AND d.deptype IN ('e', 'i'))
)
SELECT DISTINCT kind, CAST(name AS text) AS name FROM found ORDER BY 1, 2
"""

_SENTENCES = {
    "subscription": "subscriptions, which hold another server's password",
    "role": "roles, which are the server's (pg_dumpall --roles-only saves them)",
    "tablespace": "tablespaces, which are the server's",
    "label": "security labels of the database itself",
    "hidden": "objects in PostgreSQL's own schemas, which pg_dump leaves out",
}

_SHOWN = 20


def find_exclusions(connection: Connection, foreign: Sequence[TableName]) -> Iterator[str]:
    """Yields a sentence for each kind of content that will not be saved.

    Args:
        foreign: the foreign tables that there are.
    """
    if foreign:
        yield f"rows of foreign tables, which lie elsewhere: {', '.join(name.label for name in foreign)}"
    if objects := connection.execute(text("SELECT count(*) FROM pg_largeobject_metadata")).scalar():
        yield f"large objects (pg_dump --blobs saves them, as a superuser; docs/backup.md): {objects}"
    named: dict[str, list[str]] = {}
    for row in connection.execute(text(_NAMES)):
        named.setdefault(row.kind, []).append(row.name)
    yield from (f"{sentence}: {_some(named[kind])}" for kind, sentence in _SENTENCES.items() if kind in named)
    yield from _added_to_extensions(connection)


def _added_to_extensions(connection: Connection) -> Iterator[str]:
    """Name the tables of extensions that hold rows of users."""
    for row in list(connection.execute(text(_EXTENSION_ROWS))):
        name = TableName(row.nspname, row.relname)
        if not row.may_read:
            yield f"what was added to {name.label} of the extension {row.extname}, which may not be read"
        elif row.sequence:
            if connection.exec_driver_sql(f"SELECT is_called FROM {name.sql}").scalar():
                yield f"the position of {name.label}, a sequence of the extension {row.extname}"
        elif count := connection.exec_driver_sql(f"SELECT count(*) FROM {name.sql} {row.condition}").scalar():
            yield f"rows that were added to {name.label}, a table of the extension {row.extname}: {count}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
