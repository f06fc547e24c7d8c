"""Everything that PostgreSQL knows of one database: every row of every system catalogue, in words that do not depend on
OIDs.

Which columns are references, and of what, is PostgreSQL's own word (`pg_get_catalog_foreign_keys`); a catalogue that
is not known here fails the walk. Two databases that are the same to their users have the same rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from local.postgres import EmbeddedPostgres

# Catalogues that say nothing of their own: whose rows follow from others, or are the planner's or the storage's.
DERIVED = {"pg_depend", "pg_shdepend", "pg_statistic", "pg_statistic_ext_data"}
# Those of the server, which are the same in all its databases; pg_dumpall saves them, or nothing does.
SERVER = {"pg_authid", "pg_auth_members", "pg_tablespace", "pg_parameter_acl", "pg_replication_origin"}
# Shared ones, by the column that says which rows are this database's.
OF_DATABASE = {
    "pg_database": "oid",
    "pg_db_role_setting": "setdatabase",
    "pg_subscription": "subdbid",
    "pg_shdescription": "objoid",
    "pg_shseclabel": "objoid",
}
# What is about storage, age, or the place of a column, which a dropped one leaves behind.
INCIDENTAL = {
    *("oid", "relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid"),
    *("reltoastrelid", "reltype", "relnatts", "relchecks", "relhasindex", "relhasrules", "relhastriggers"),
    *("attnum", "atthasmissing", "attmissingval", "attcacheoff", "datname", "datfrozenxid"),
    *(
        "datminmxid",
        "connoinherit",
        "datcollversion",
        "dathasloginevt",
        "typarray",
        "enumsortorder",
        "inhseqno",
        "objsubid",
    ),
    *(
        "adnum",
        "conindid",
        "indcheckxmin",
        "tgconstrindid",
        "seqtypid",
        "pageno",
        "setdatabase",
        "subdbid",
        "partnatts",
    ),
    *("evtoid", "subskiplsn", "relrewrite", "indnatts", "indnkeyatts", "attndims"),
}
SCALARS = {"name", "text", "bool", '"char"', "int2", "int4", "int8", "float4", "bytea", "_text", "_char", "_name"}

FILTERS = {
    "pg_class": "t.relnamespace::regnamespace::text !~ '^pg_(toast|temp)'",
    "pg_type": "t.typnamespace::regnamespace::text !~ '^pg_(toast|temp)'",
    "pg_index": "t.indexrelid::regclass::text !~ '^pg_toast'",
    "pg_attribute": "t.attnum > 0 AND NOT t.attisdropped AND t.attrelid::regclass::text !~ '^pg_toast'",
    "pg_trigger": "NOT t.tgisinternal",
    "pg_namespace": "t.nspname !~ '^pg_(toast|temp)'",
    "pg_shdescription": "t.classoid = 'pg_database'::regclass",
    "pg_shseclabel": "t.classoid = 'pg_database'::regclass",
}
DEFINITIONS = {
    "pg_constraint": "pg_get_constraintdef(t.oid)",
    "pg_index": "pg_get_indexdef(t.indexrelid)",
    "pg_trigger": "pg_get_triggerdef(t.oid)",
    "pg_rewrite": "pg_get_ruledef(t.oid)",
    "pg_proc": "CASE WHEN t.prokind <> 'a' AND t.oid >= 16384 THEN pg_get_functiondef(t.oid) END",
    "pg_statistic_ext": "pg_get_statisticsobjdef(t.oid)",
    "pg_policy": "pg_get_expr(t.polqual, t.polrelid) || '/' || pg_get_expr(t.polwithcheck, t.polrelid)",
    "pg_attrdef": "pg_get_expr(t.adbin, t.adrelid) || (SELECT attname FROM pg_attribute"
    " WHERE attrelid = t.adrelid AND attnum = t.adnum)",
    "pg_class": "pg_get_expr(t.relpartbound, t.oid)",
    "pg_partitioned_table": "pg_get_partkeydef(t.partrelid)",
    "pg_publication_rel": "pg_get_expr(t.prqual, t.prrelid)",
    "pg_description": "t.objsubid > 0 AND t.classoid = 'pg_class'::regclass AND"
    " (SELECT attname FROM pg_attribute WHERE attrelid = t.objoid AND attnum = t.objsubid) IS NOT NULL",
}

_COLUMNS = """
SELECT c.relname, a.attname, y.typname, c.relisshared FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type y ON y.oid = a.atttypid
WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.oid < 16384 AND a.attnum > 0
  AND NOT a.attisdropped ORDER BY 1, a.attnum
"""
_KEYS = """
SELECT fktable::text, fkcols[1], pktable::text, is_array FROM pg_get_catalog_foreign_keys()
WHERE cardinality(fkcols) = 1
"""
_NAME = "(SELECT i.type || ' ' || i.identity FROM pg_identify_object('{of}'::regclass, {oid}, 0) i)"
NO_OBJECTS = {"pg_database", "pg_enum", "pg_largeobject_metadata"}
"""Catalogues whose rows have no identity that PostgreSQL tells."""
_ADDRESSES = {"pg_description", "pg_shdescription", "pg_seclabel", "pg_shseclabel", "pg_init_privs"}


def walk(postgres: EmbeddedPostgres, database: str) -> dict[str, Counter[str]]:
    """Every row by its catalogue."""
    keys = {(str(table), str(column)): (str(of), many) for table, column, of, many in postgres.execute(_KEYS, database)}
    columns: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for table, column, kind, shared in postgres.execute(_COLUMNS, database):
        assert not shared or table in SERVER | DERIVED | set(OF_DATABASE), f"{table} is not known here"
        columns[str(table)].append((str(column), str(kind)))
    found = {}
    for table in sorted(columns.keys() - DERIVED - SERVER):
        parts = [part for column in columns[table] if (part := _part(table, *column, keys))]
        parts += [f"'definition', {DEFINITIONS[table]}"] if table in DEFINITIONS else []
        conditions = [FILTERS[table]] if table in FILTERS else []
        if table in OF_DATABASE:
            own = "(SELECT oid FROM pg_database WHERE datname = current_database())"
            conditions.append(f"t.{OF_DATABASE[table]} = {own}")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        if ("oid", "oid") in columns[table] and table not in NO_OBJECTS:
            parts.insert(0, f"'', {_NAME.format(of=table, oid='t.oid')}")
        rows = postgres.execute(f"SELECT jsonb_build_object({', '.join(parts)})::text FROM {table} t{where}", database)
        found[table] = Counter(str(row) for (row,) in rows)
    return found


def _part(table: str, column: str, kind: str, keys: dict[tuple[str, str], Any]) -> str | None:
    """A column in words; None: it has none that could be compared."""
    if column in INCIDENTAL:
        return None
    if table in _ADDRESSES and column == "objoid":
        named = "(SELECT i.type || ' ' || i.identity FROM pg_identify_object(t.classoid, t.objoid, 0) i)"
        return f"'object', {named}" if not table.startswith("pg_sh") else None
    if (table, column) in keys:
        of, many = keys[table, column]
        if of == "pg_authid":
            name = "pg_get_userbyid({oid})"
        else:
            name = "{oid}" if of in NO_OBJECTS else _NAME.replace("{of}", of)
        if many:
            return f"'{column}', (SELECT jsonb_agg({name.format(oid='u.o')} ORDER BY u.n)" + (
                f" FROM unnest(t.{column}::oid[]) WITH ORDINALITY u(o, n))"
            )
        return f"'{column}', CASE WHEN t.{column}::oid <> 0 THEN {name.format(oid=f't.{column}::oid')} END"
    if kind == "_aclitem":
        return f"'{column}', (SELECT jsonb_agg(a::text ORDER BY a::text) FROM unnest(t.{column}) a)"
    return f"'{column}', t.{column}" if kind in SCALARS else None
