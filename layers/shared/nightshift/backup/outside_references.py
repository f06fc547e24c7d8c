"""Finds dependencies of the chosen schemas on schemas that are not saved, when a backup is taken, not during a restore.

PostgreSQL records dependencies in `pg_depend`: types of columns, functions in defaults, checks,
indexes, triggers and policies, parents of tables, referenced tables, sequences, collations, schemas of extensions.
An extension's own objects do not count: it is saved by its name. The text of functions is not recorded; a schema that
it names is reported as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

_SHOWN = 5
"""Objects that a sentence names."""

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
"""Catalogues of objects that lie in a schema, by the column that names it."""

_PARTS = {
    "pg_attrdef": "adrelid",
    "pg_trigger": "tgrelid",
    "pg_policy": "polrelid",
    "pg_rewrite": "ev_class",
    "pg_publication_rel": "prrelid",
}
"""Catalogues of parts of tables, by the column that names the table."""

_WITHOUT_SCHEMA = (
    *("pg_cast", "pg_language", "pg_transform", "pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server"),
    *("pg_event_trigger", "pg_publication", "pg_am", "pg_user_mapping"),
)
"""Catalogues of objects that lie in no schema; they are in every backup."""


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
    """Yields a sentence for each schema to add, with the objects that the backup would lack without it.

    Args:
        schemas: the chosen ones.
        others: those that are not saved.
    """
    chosen, found = list(schemas), dict[str, list[str]]()
    while True:
        needs: dict[str, list[str]] = {}
        for row in connection.execute(text(_NEEDS), {"schemas": chosen}):
            needs.setdefault(row.schema, []).append(f"{row.kind} {row.name} ({row.needed_kind} {row.needed})")
        # Whoever adds a schema needs what that one needs.
        found |= needs
        if not needs:
            break
        chosen += needs
    for schema, objects in found.items():
        yield (
            f"the schema {schema}, without which these do not come back: {_some(objects)};"
            f" add {schema} to BACKUP_SCHEMAS"
        )
    texts = [(row.name, row.text) for row in connection.execute(text(_TEXTS), {"schemas": list(schemas)})]
    for schema in [one for one in others if one not in found]:
        word = re.compile(rf'(?<![\w."]){re.escape(schema)}\.\w|"{re.escape(schema)}"\s*\.')
        if naming := [name for name, body in texts if word.search(body)]:
            yield f"the schema {schema}, which the text of functions names: {_some(naming)}; add it to BACKUP_SCHEMAS"


def _some(objects: Sequence[str]) -> str:
    more = len(objects) - _SHOWN
    return ", ".join(objects[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
