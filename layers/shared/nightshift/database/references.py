"""Looks up foreign keys between PostgreSQL's tables, and the operators with which each key compares columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from nightshift.database.catalog import ColumnComparison, ForeignKey, OnDelete, TableName, quote_identifier

_ON_DELETE = dict(zip("arcnd", OnDelete, strict=True))
"""Actions by their letter in `pg_constraint.confdeltype`."""

TREE = """WITH RECURSIVE tree(oid) AS (
  SELECT CAST(:oid AS oid) UNION ALL SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
)"""
"""Beginning of a query for a table and all tables that inherit from it, including partitions."""

# ri_triggers.c: a key uses its own operator, on operands of the operator's types. The server finds a referenced row by
# the referenced column's collation. It finds referencing rows by that collation if it is non-deterministic, else by the
# referencing column's. These differ only if the latter is non-deterministic, which PostgreSQL 18 refuses. Deterministic
# collations agree on equality; with the referencing column's collation the server can use that column's index.
_COLLATES = """CASE WHEN pa.attcollation IN (0, ca.attcollation) THEN ''
    WHEN pc.collisdeterministic AND cc.collisdeterministic THEN format(' COLLATE %I.%I', ccn.nspname, cc.collname)
    ELSE format(' COLLATE %I.%I', pcn.nspname, pc.collname) END"""
"""SQL for the COLLATE clause that compares a referenced column `pa` with a referencing column `ca`."""

_COLLATIONS = """LEFT JOIN pg_collation pc ON pc.oid = pa.attcollation
  LEFT JOIN pg_namespace pcn ON pcn.oid = pc.collnamespace
  LEFT JOIN pg_collation cc ON cc.oid = ca.attcollation LEFT JOIN pg_namespace ccn ON ccn.oid = cc.collnamespace"""

_COMPARISONS = f"""(SELECT array_agg(ARRAY[
    CASE WHEN l.typtype <> 'p' AND l.oid <> pa.atttypid THEN format('::%I.%I', ln.nspname, l.typname) ELSE '' END,
    format('OPERATOR(%I.%s)', opn.nspname, o.oprname),
    CASE WHEN r.typtype <> 'p' AND r.oid <> ca.atttypid THEN format('::%I.%I', rn.nspname, r.typname) ELSE '' END,
    {_COLLATES},
    CASE WHEN pa.attcollation <> ca.attcollation AND pc.collisdeterministic AND NOT cc.collisdeterministic
         THEN format(' COLLATE %I.%I', ccn.nspname, cc.collname) END] ORDER BY u.i)
  FROM unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY u(mine, theirs, operator, i)
  JOIN pg_attribute pa ON pa.attrelid = k.confrelid AND pa.attnum = u.theirs
  JOIN pg_attribute ca ON ca.attrelid = k.conrelid AND ca.attnum = u.mine
  JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace opn ON opn.oid = o.oprnamespace
  JOIN pg_type l ON l.oid = o.oprleft JOIN pg_namespace ln ON ln.oid = l.typnamespace
  JOIN pg_type r ON r.oid = o.oprright JOIN pg_namespace rn ON rn.oid = r.typnamespace
  {_COLLATIONS})"""

# A foreign key may reference only a partition. For a key that references a partitioned table the server keeps a copy
# for each partition. A copy counts only if the described table is that partition.
_REFERENCED_BY = f"""
{TREE}
SELECT n.nspname, c.relname, k.conname, k.confdeltype::text AS action,
       (SELECT array_agg(a.attname::text ORDER BY u.i) FROM unnest(k.conkey) WITH ORDINALITY u(num, i)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num) AS columns,
       (SELECT array_agg(a.attname::text ORDER BY u.i) FROM unnest(k.confkey) WITH ORDINALITY u(num, i)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num) AS referenced,
       k.confrelid <> :oid AS in_part, pn.nspname AS part_schema, pc.relname AS part_name,
       EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgrelid = k.confrelid
         AND g.tgtype & 8 = 8 AND g.tgenabled IN ('O', 'A')) AS acts,
       coalesce(CAST(to_jsonb(k) ->> 'conperiod' AS boolean), false) AS temporal,
       {_COMPARISONS} AS comparisons
FROM pg_constraint k JOIN tree t ON t.oid = k.confrelid
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class pc ON pc.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = pc.relnamespace
WHERE k.contype = 'f'
  AND NOT EXISTS (SELECT 1 FROM pg_constraint o JOIN tree u ON u.oid = o.confrelid WHERE o.oid = k.conparentid)
ORDER BY 1, 2, 3
"""

# The equality operator of the B-tree index that keeps the columns unique, in whichever schema the operator is.
_COMPARISONS_OF = f"""
SELECT coalesce(o.operator, '=') AS operator, {_COLLATES} AS collate
FROM unnest(CAST(:referenced AS text[]), CAST(:columns AS text[])) WITH ORDINALITY u(theirs, mine, i)
JOIN pg_attribute pa ON pa.attrelid = CAST(:parent AS regclass) AND pa.attname = u.theirs
JOIN pg_attribute ca ON ca.attrelid = CAST(:child AS regclass) AND ca.attname = u.mine
LEFT JOIN LATERAL (
  SELECT format('OPERATOR(%I.%s)', n.nspname, op.oprname) AS operator
  FROM pg_index x CROSS JOIN unnest(CAST(x.indkey AS int2[]), CAST(x.indclass AS oid[])) c(attnum, opclass)
  JOIN pg_opclass oc ON oc.oid = c.opclass
  JOIN pg_am am ON am.oid = oc.opcmethod AND am.amname = 'btree'
  JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
    AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
  JOIN pg_operator op ON op.oid = ao.amopopr JOIN pg_namespace n ON n.oid = op.oprnamespace
  WHERE x.indrelid = pa.attrelid AND x.indisunique AND c.attnum = pa.attnum LIMIT 1
) o ON true
{_COLLATIONS}
ORDER BY u.i
"""


_FOLLOWERS = """
SELECT n.nspname, c.relname
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.confrelid = CAST(:table AS regclass) AND k.confupdtype IN ('c', 'n', 'd')
  AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)
              AND a.attname = ANY (CAST(:columns AS text[])))
ORDER BY 1, 2
"""


def referenced_by(connection: Connection, oid: int) -> tuple[ForeignKey, ...]:
    """Returns the foreign keys that reference a table or partitions of the table."""
    return tuple(_foreign_key(row) for row in connection.execute(text(_REFERENCED_BY), {"oid": oid}))


def reference_comparisons(
    connection: Connection, parent: TableName, referenced: Sequence[str], child: TableName, columns: Sequence[str]
) -> tuple[ColumnComparison, ...]:
    """Returns the comparisons that a foreign key from `child` to these unique columns of `parent` would use."""
    names = {"parent": parent.sql, "referenced": list(referenced), "child": child.sql, "columns": list(columns)}
    return tuple(
        ColumnComparison(row.collate, row.operator) for row in connection.execute(text(_COMPARISONS_OF), names)
    )


def referencing_tables(connection: Connection, table: TableName, columns: Sequence[str]) -> list[TableName]:
    """Returns the tables whose rows a foreign key's ON UPDATE changes when these columns of `table` change."""
    names = {"table": table.sql, "columns": list(columns)}
    return [TableName(row.nspname, row.relname) for row in connection.execute(text(_FOLLOWERS), names)]


def join_condition(
    comparisons: Sequence[ColumnComparison], parent: str, referenced: Sequence[str], child: str, columns: Sequence[str]
) -> str:
    """Returns the SQL condition under which a row `child` references a row `parent`."""
    return " AND ".join(
        comparison.sql(f"{parent}.{quote_identifier(theirs)}", f"{child}.{quote_identifier(mine)}")
        for comparison, theirs, mine in zip(comparisons, referenced, columns, strict=True)
    )


def _foreign_key(row: Any) -> ForeignKey:
    name = TableName(row.nspname, row.relname)
    comparisons = tuple(
        ColumnComparison(cast + collate, operator, other_cast)
        for cast, operator, other_cast, collate, _ in row.comparisons
    )
    actions = tuple(
        ColumnComparison(cast + (acts_by or collate), operator, other_cast)
        for cast, operator, other_cast, collate, acts_by in row.comparisons
    )
    return ForeignKey(
        name.label,
        row.conname,
        _ON_DELETE[row.action],
        tuple(row.columns),
        tuple(row.referenced),
        name.sql,
        TableName(row.part_schema, row.part_name) if row.in_part else None,
        row.acts,
        comparisons,
        () if actions == comparisons else actions,
        row.temporal,
    )


def overdue_references(
    connection: Connection, table: TableName, key: ForeignKey, overdue: str, *, leaving: str | None, most: int
) -> int:
    """Returns the number of references to due rows through `key`.

    Args:
        overdue: SQL condition for due rows, on the referenced table's column names.
        leaving: SQL condition for referencing rows that will be deleted before the due rows; None if there are none.
        most: largest number of references that are counted.
    """
    # `actions` is how the server finds references to a deleted row; it may find more rows than `comparisons`.
    join = join_condition(key.actions or key.comparisons, "parent", key.referenced, "child", key.columns)
    staying = f"(SELECT * FROM {key.table_sql} WHERE ({leaving}) IS NOT TRUE)" if leaving else key.table_sql
    statement = (
        f"SELECT count(*) FROM (SELECT 1 FROM {staying} child JOIN"
        f" (SELECT * FROM {table.sql} WHERE {overdue}) parent ON {join} LIMIT {most}) found"
    )
    return int(connection.exec_driver_sql(statement).scalar_one())
