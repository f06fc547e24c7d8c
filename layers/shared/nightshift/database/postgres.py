"""Reads PostgreSQL's catalogue (13 and newer) into `catalog.TableInfo`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from nightshift.database.catalog import HeapTable, TableColumn, TableInfo, TableName, quote_literal, split_name
from nightshift.database.references import TREE, referenced_by
from nightshift.database.search_path import SCHEMAS
from nightshift.errors import NightshiftError

KINDS = {"r": "table", "p": "partitioned", "v": "view", "m": "materialized view", "f": "foreign table", "t": "table"}

_FIND = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS relkind,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS may_read,
       pg_get_userbyid(c.relowner) AS owner, c.relowner = me.oid OR pg_has_role(c.relowner, me.dba, 'USAGE')
         OR NOT me.rolsuper AND pg_has_role(c.relowner, 'USAGE') AS trusted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, (
  SELECT r.oid, r.rolsuper, d.datdba AS dba FROM pg_roles r, pg_database d
  WHERE r.rolname = current_user AND d.datname = current_database()) me
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = :name
  AND CASE WHEN CAST(:schema AS text) IS NULL THEN n.nspname = ANY ({schemas}) ELSE n.nspname = :schema END
ORDER BY array_position({schemas}, n.nspname)
""".replace("{schemas}", SCHEMAS)

BASE_TYPES = """WITH RECURSIVE base(attnum, typid, typmod) AS (
  SELECT attnum, atttypid, atttypmod FROM pg_attribute WHERE attrelid = :oid AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.typid WHERE t.typtype = 'd'
)"""
"""Beginning of a query for a table's columns: their types, and the base types of domains."""

_COLUMNS = f"""
{BASE_TYPES}
SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS declared, n.nspname, t.typname, b.typmod
FROM pg_attribute a
JOIN base b USING (attnum)
JOIN pg_type t ON t.oid = b.typid AND t.typtype <> 'd'
JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE a.attrelid = :oid ORDER BY a.attnum
"""

# `may_drop` in _HEAPS: our role owns the partition and its parent; no foreign key or view needs the partition, and no
# trigger runs on its DELETEs. _SHAPE: a hash of the facts of a physical table `c` that guards and the type map rely on.
# A foreign key that references a partitioned table has one row for each of the table's partitions.
_SHAPE = """hashtextextended(concat_ws(';', c.oid,
  (SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation), ','
     ORDER BY a.attnum)
     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT string_agg(concat_ws(' ', k.oid, k.confdeltype), ',' ORDER BY k.oid)
     FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid),
  (SELECT string_agg(concat_ws(' ', g.oid, g.tgtype, g.tgenabled), ',' ORDER BY g.oid)
     FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal),
  (SELECT string_agg(concat_ws(' ', r.oid, r.ev_enabled), ',' ORDER BY r.oid)
     FROM pg_rewrite r WHERE r.ev_class = c.oid),
  (SELECT string_agg(i.inhrelid::text, ',' ORDER BY i.inhrelid) FROM pg_inherits i WHERE i.inhparent = c.oid),
  c.relrowsecurity, c.relforcerowsecurity), 0)"""

_HEAPS = """
WITH RECURSIVE tree(oid, path_bounds) AS (
  SELECT CAST(:oid AS oid), CAST(ARRAY[] AS text[]) COLLATE "C"
  UNION ALL
  SELECT c.oid,
         t.path_bounds || CASE
           WHEN p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = :column
           THEN pg_get_expr(c.relpartbound, c.oid) COLLATE "C" ELSE '' END
  FROM tree t
  JOIN pg_inherits i ON i.inhparent = t.oid
  JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
  JOIN pg_partitioned_table p ON p.partrelid = t.oid
  LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = p.partattrs[0] AND a.attnum > 0
)
SELECT n.nspname, c.relname, pg_table_size(c.oid) AS bytes,
       pg_relation_size(c.oid) / current_setting('block_size')::int AS blocks, c.reltuples, t.path_bounds,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
         AND has_table_privilege(c.oid, 'DELETE') AS may_delete,
       pg_has_role(c.relowner, 'USAGE') AND pg_has_role(pc.relowner, 'USAGE')
         AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid)
         AND NOT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> c.oid
                         WHERE d.classid = CAST('pg_rewrite' AS regclass)
                           AND d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = c.oid)
         AND NOT EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 8 = 8
                         AND g.tgenabled IN ('O', 'A')) AS may_drop,
       pn.nspname AS parent_schema, pc.relname AS parent_name, {shape} AS shape,
       (SELECT s.correlation FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname
          AND s.attname = :column AND NOT s.inherited) AS correlation,
       EXISTS (SELECT 1 FROM pg_index x JOIN pg_class ix ON ix.oid = x.indexrelid JOIN pg_am am ON am.oid = ix.relam
               JOIN pg_attribute xa ON xa.attrelid = c.oid AND xa.attnum = x.indkey[0] AND xa.attname = :column
               WHERE x.indrelid = c.oid AND x.indisvalid AND x.indpred IS NULL AND am.amname = 'btree') AS indexed
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits pi ON pi.inhrelid = c.oid AND c.relispartition
LEFT JOIN pg_class pc ON pc.oid = pi.inhparent LEFT JOIN pg_namespace pn ON pn.oid = pc.relnamespace
WHERE c.relkind = 'r'
ORDER BY c.oid
""".replace("{shape}", _SHAPE)

# A BEFORE DELETE trigger can keep rows: a row-level trigger returns NULL, a statement-level trigger raises an
# exception. tgtype: 2 = before, 8 = delete.
ROW_SECURITY = "row-level security"
"""The entry of `TableInfo.hiding` that hides rows from a SELECT as well."""

_HIDING = f"""
{TREE}
SELECT true AS hides, 'rule ' || r.rulename AS what FROM pg_rewrite r JOIN tree t ON t.oid = r.ev_class
  WHERE r.ev_type = '4' AND r.ev_enabled <> 'D'
UNION
SELECT g.tgtype & 2 = 2, 'trigger ' || g.tgname FROM pg_trigger g JOIN tree t ON t.oid = g.tgrelid
  WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype & 8 = 8
UNION
SELECT true, 'foreign partition ' || c.relname FROM tree t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind = 'f'
UNION
SELECT true, '{ROW_SECURITY}' FROM tree t WHERE row_security_active(t.oid)
ORDER BY 2
"""


def schema_hash_sql(heap: TableName) -> str:
    """Returns a query for a heap's current shape, which equals `HeapTable.shape` while the description is valid."""
    return f"SELECT {_SHAPE} FROM pg_class c WHERE c.oid = {quote_literal(heap.sql)}::regclass"


def describe_table(connection: Connection, written: str, timestamp: str) -> TableInfo | None:
    """Describe a table; return None if no relation has this name.

    Args:
        connection: a connection in a transaction that sees one snapshot (REPEATABLE READ).
        written, timestamp: names of the table and of its timestamp column, as the policy writes them.
    """
    relation = _find(connection, written)
    if relation is None:
        return None
    oid, kind = relation.oid, KINDS[relation.relkind]
    columns = tuple(table_column(row) for row in connection.execute(text(_COLUMNS), {"oid": oid}))
    exact = {column.name for column in columns}
    axis = timestamp if timestamp in exact else timestamp.lower()
    heaps = connection.execute(text(_HEAPS), {"oid": oid, "column": axis})
    children = "SELECT EXISTS (SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    children += " WHERE i.inhparent = :oid AND NOT c.relispartition)"
    between = connection.execute(text(_HIDING), {"oid": oid}).all()
    return TableInfo(
        name=TableName(relation.nspname, relation.relname),
        kind=kind,
        columns=columns,
        heaps=tuple(_heap(row) for row in heaps),
        referenced_by=referenced_by(connection, oid),
        hiding=tuple(row.what for row in between if row.hides),
        triggers=tuple(row.what for row in between if not row.hides),
        has_children=bool(connection.execute(text(children), {"oid": oid}).scalar()),
        text_encoding_ok=connection.execute(text("SHOW server_encoding")).scalar() != "SQL_ASCII",
        may_read=relation.may_read,
    )


def describe_for_reading(connection: Connection, written: str) -> TableInfo | None:
    """Describe a table for jobs that only read: name, kind, columns, and whether rows are hidden from a SELECT.

    This look-up takes a fifth of the time of `describe_table`. It also describes views and foreign tables.
    """
    relation = _find(connection, written)
    if relation is None:
        return None
    columns = tuple(table_column(row) for row in connection.execute(text(_COLUMNS), {"oid": relation.oid}))
    hidden = connection.execute(text("SELECT row_security_active(CAST(:oid AS oid))"), {"oid": relation.oid}).scalar()
    return TableInfo(
        name=TableName(relation.nspname, relation.relname),
        kind=KINDS[relation.relkind],
        columns=columns,
        heaps=(),
        hiding=(ROW_SECURITY,) if hidden else (),
        may_read=relation.may_read,
    )


def _find(connection: Connection, written: str) -> Any | None:
    """Returns the first relation with exactly the written name, else with unquoted parts in lower case, else None."""
    parts = split_name(written)
    if parts is None:
        return None
    folded = tuple((part if quoted else part.lower(), quoted) for part, quoted in parts)
    for candidate in dict.fromkeys((parts, folded)):
        schema = candidate[0][0] if len(candidate) == 2 else None
        relations = connection.execute(text(_FIND), {"schema": schema, "name": candidate[-1][0]}).all()
        if relations:
            _check_first(relations, written)
            return relations[0]
    return None


def _check_first(relations: Sequence[Any], written: str) -> None:
    """Raise `NightshiftError` if another role's table hides a table of the same name later in search_path.

    A role that may create a schema with our role's name creates a schema that precedes `public`. A table in this schema
    would determine which rows and files nightshift deletes.
    """
    first = relations[0]
    hidden = next((relation for relation in relations[1:] if relation.owner != first.owner), None)
    if hidden is not None and not first.trusted:
        raise NightshiftError(
            "a table's name leads to a table of another role",
            detail=f"{written}: {first.nspname}.{first.relname} belongs to {first.owner}, and stands in the search_path"
            f" before {hidden.nspname}.{hidden.relname} of {hidden.owner}",
            hint="write the schema in the policy, as in schema.table; find out who made the other one",
        )


def base_type_name(row: Any) -> str:
    """Returns the type's name, with the schema unless the schema is pg_catalog."""
    return row.typname if row.nspname == "pg_catalog" else f"{row.nspname}.{row.typname}"


def table_column(row: Any) -> TableColumn:
    """Returns the column that a row with `attname`, `declared`, `nspname`, `typname` and `typmod` describes."""
    base = base_type_name(row)
    precision, scale = decimal_digits(base, row.typmod) or (None, None)
    return TableColumn(row.attname, row.declared, base, precision, scale)


def decimal_digits(base_type: str, typmod: int) -> tuple[int, int] | None:
    """Returns precision and scale of a `numeric(p, s)`; None for a plain `numeric` or another type."""
    if base_type != "numeric" or typmod < 4:
        return None
    # numeric.c: typmod is (precision << 16 | scale) + 4; the scale is 11 bits, signed since PostgreSQL 15.
    packed = typmod - 4
    return packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 0x400) - 0x400


def _heap(row: Any) -> HeapTable:
    bounds = [match.group(1) for bound in row.path_bounds or () if (match := _UPPER.search(bound))]
    return HeapTable(
        name=TableName(row.nspname, row.relname),
        bytes=row.bytes,
        blocks=row.blocks,
        rows=row.reltuples,
        indexed=row.indexed,
        correlation=row.correlation,
        may_delete=row.may_delete,
        may_drop=bool(row.may_drop and row.path_bounds),
        upper_bound=bounds[-1] if bounds else None,
        parent=TableName(row.parent_schema, row.parent_name) if row.parent_name else None,
        shape=row.shape,
    )


_UPPER = re.compile(r"TO \((.+)\)$")
