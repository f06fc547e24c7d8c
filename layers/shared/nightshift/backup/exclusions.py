"""Finds content that a backup of PostgreSQL does not include, so that manifest, report and restore can name it.

docs/backup.md lists all kinds of objects that pg_dump and pg_dumpall save, and says whether nightshift saves each kind.

The chosen schemas may depend on schemas that are not saved. The module finds the dependencies when a backup is taken,
not during a restore. PostgreSQL records them in `pg_depend`: types of columns, functions in defaults, checks, indexes,
triggers and policies, parents of tables, referenced tables, sequences, collations, schemas of extensions. An extension
is saved by its name, so its own objects do not count. `pg_depend` does not record the objects that a function's text
names. The module searches the texts for schemas' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName
from nightshift.errors import join_names

_EXTENSION_ROWS = """
SELECT e.extname, n.nspname, c.relname, c.relkind = 'S' AS sequence, coalesce(e.extcondition[p.place], '') AS condition,
       has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
         ELSE has_table_privilege(c.oid, 'SELECT') END AS may_read
FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig) WITH ORDINALITY p(oid, place)
JOIN pg_class c ON c.oid = p.oid AND c.relkind IN ('r', 'p', 'S') JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2, 3
"""

# The kinds are the keys of `_SENTENCES`. Roles (except nightshift's) and tablespaces are included if the database uses
# them.
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


_NAMES_SHOWN, _DEPENDENTS_SHOWN = 20, 5
"""Maximum number of names in a sentence."""

_KINDS = {
    "pg_class": "relnamespace",
    "pg_type": "typnamespace",
    "pg_proc": "pronamespace",
    "pg_operator": "oprnamespace",
    "pg_opclass": "opcnamespace",
    "pg_opfamily": "opfnamespace",
    "pg_collation": "collnamespace",
    "pg_conversion": "connamespace",
    "pg_ts_config": "cfgnamespace",
    "pg_ts_dict": "dictnamespace",
    "pg_ts_parser": "prsnamespace",
    "pg_ts_template": "tmplnamespace",
    "pg_statistic_ext": "stxnamespace",
    "pg_constraint": "connamespace",
    "pg_namespace": "oid",
}
"""Catalogs of objects that belong to a schema → the column with the schema."""

_PARTS = {
    "pg_attrdef": "adrelid",
    "pg_trigger": "tgrelid",
    "pg_policy": "polrelid",
    "pg_rewrite": "ev_class",
    "pg_publication_rel": "prrelid",
}
"""Catalogs of parts of tables → the column with the table."""

_WITHOUT_SCHEMA = (
    *("pg_cast", "pg_language", "pg_transform", "pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server"),
    *("pg_event_trigger", "pg_publication", "pg_am", "pg_user_mapping"),
)
"""Catalogs of objects that belong to no schema. Every backup has these objects."""


def find_exclusions(connection: Connection, foreign: Sequence[TableName]) -> Iterator[str]:
    """Yields a sentence for each kind of content that is not saved."""
    if foreign:
        yield f"rows of foreign tables, which lie elsewhere: {', '.join(name.label for name in foreign)}"
    if objects := connection.execute(text("SELECT count(*) FROM pg_largeobject_metadata")).scalar():
        yield f"large objects (pg_dump --blobs saves them, as a superuser; docs/backup.md): {objects}"
    named: dict[str, list[str]] = {}
    for row in connection.execute(text(_NAMES)):
        named.setdefault(row.kind, []).append(row.name)
    yield from (
        f"{sentence}: {join_names(named[kind], _NAMES_SHOWN)}" for kind, sentence in _SENTENCES.items() if kind in named
    )
    yield from _added_to_extensions(connection)


def _added_to_extensions(connection: Connection) -> Iterator[str]:
    """Yields a sentence for each extension's table that holds users' rows, and each extension's used sequence."""
    for row in list(connection.execute(text(_EXTENSION_ROWS))):
        name = TableName(row.nspname, row.relname)
        if not row.may_read:
            yield f"what was added to {name.label} of the extension {row.extname}, which may not be read"
        elif row.sequence:
            if connection.exec_driver_sql(f"SELECT is_called FROM {name.sql}").scalar():
                yield f"the position of {name.label}, a sequence of the extension {row.extname}"
        elif count := connection.exec_driver_sql(f"SELECT count(*) FROM {name.sql} {row.condition}").scalar():
            yield f"rows that were added to {name.label}, a table of the extension {row.extname}: {count}"


def _class(name: str) -> str:
    return f"CAST('pg_catalog.{name}' AS regclass)"


_SCOPED = " UNION ALL ".join(
    [f"SELECT {_class(name)} AS classid, oid, {column} AS schema FROM {name}" for name, column in _KINDS.items()]
    + [
        f"SELECT {_class(name)}, p.oid, c.relnamespace FROM {name} p JOIN pg_class c ON c.oid = p.{column}"
        for name, column in _PARTS.items()
    ]
    + [
        f"SELECT {_class(name)}, p.oid, f.opfnamespace FROM {name} p JOIN pg_opfamily f ON f.oid = p.{column}"
        for name, column in (("pg_amop", "amopfamily"), ("pg_amproc", "amprocfamily"))
    ]
)

_NEEDS = f"""
WITH scoped AS ({_SCOPED}),
     chosen AS (SELECT oid FROM pg_namespace WHERE nspname = ANY (CAST(:schemas AS text[]))),
     others AS (SELECT oid, nspname FROM pg_namespace WHERE nspname <> ALL (CAST(:schemas AS text[]))
                AND nspname !~ '^pg_' AND nspname <> 'information_schema')
SELECT DISTINCT o.nspname AS schema, who.type AS kind, who.identity AS name, needed.type AS needed_kind,
       needed.identity AS needed
FROM pg_depend d
JOIN scoped r ON r.classid = d.refclassid AND r.oid = d.refobjid JOIN others o ON o.oid = r.schema
LEFT JOIN scoped s ON s.classid = d.classid AND s.oid = d.objid
LEFT JOIN pg_attrdef f ON d.classid = {_class("pg_attrdef")} AND f.oid = d.objid
LEFT JOIN pg_rewrite w ON d.classid = {_class("pg_rewrite")} AND w.oid = d.objid
LEFT JOIN pg_extension e ON d.classid = {_class("pg_extension")} AND e.oid = d.objid
CROSS JOIN LATERAL pg_identify_object(CASE WHEN f.oid IS NULL AND w.oid IS NULL THEN d.classid
    ELSE {_class("pg_class")} END, coalesce(f.adrelid, w.ev_class, d.objid), coalesce(f.adnum, d.objsubid)) who
CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, 0) needed
WHERE d.deptype NOT IN ('e', 'i', 'x')
  AND (s.schema IN (SELECT oid FROM chosen)
       OR s.oid IS NULL AND d.classid IN ({", ".join(map(_class, _WITHOUT_SCHEMA))}))
  -- What an extension brings comes with it; a schema of its own it makes itself, and every database has a public one.
  AND NOT EXISTS (SELECT 1 FROM pg_depend m WHERE m.deptype = 'e' AND
                  ((m.classid, m.objid) = (d.refclassid, d.refobjid) OR (m.classid, m.objid) = (d.classid, d.objid)))
  AND NOT (d.refclassid = {_class("pg_namespace")} AND o.nspname = 'public')
  AND NOT (e.oid IS NOT NULL AND EXISTS (SELECT 1 FROM pg_available_extension_versions v
           WHERE v.name = e.extname AND v.version = e.extversion AND v.schema IS NOT NULL))
ORDER BY 1, 4, 5, 2, 3
"""

_TEXTS = """
SELECT CAST(CAST(p.oid AS regprocedure) AS text) AS name, p.prosrc AS text
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY (CAST(:schemas AS text[])) AND l.lanname NOT IN ('c', 'internal')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = CAST('pg_catalog.pg_proc' AS regclass)
                  AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1
"""


def needs_outside(connection: Connection, schemas: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Yields a sentence for each schema that the chosen schemas need, with the objects that a restore would lack."""
    chosen, needed = list(schemas), dict[str, list[str]]()
    while True:
        needs: dict[str, list[str]] = {}
        for row in connection.execute(text(_NEEDS), {"schemas": chosen}):
            needs.setdefault(row.schema, []).append(f"{row.kind} {row.name} ({row.needed_kind} {row.needed})")
        # An added schema may need further schemas.
        needed |= needs
        if not needs:
            break
        chosen += needs
    for schema, objects in needed.items():
        yield (
            f"the schema {schema}, without which these do not come back: {join_names(objects, _DEPENDENTS_SHOWN)};"
            f" add {schema} to BACKUP_SCHEMAS"
        )
    texts = [(row.name, row.text) for row in connection.execute(text(_TEXTS), {"schemas": list(schemas)})]
    for schema in others:
        word = re.compile(rf'(?<![\w."]){re.escape(schema)}\.\w|"{re.escape(schema)}"\s*\.')
        naming = [name for name, body in texts if word.search(body)]
        if naming and schema not in needed:
            names = join_names(naming, _DEPENDENTS_SHOWN)
            yield f"the schema {schema}, which the text of functions names: {names}; add it to BACKUP_SCHEMAS"
