"""Looks up the full names of the operators that compare values of a user's columns.

Types may have operators of their own (citext, ltree, hstore, pgvector), in any schema; a bare `=` would find them only
by the search path, and by it those of anybody who may create objects in one of its schemas (CVE-2018-1058). So they are
taken from the catalogue: a foreign key's from its constraint, any other from the type's default operator class for
B-trees, which ORDER BY and unique indexes use, too. They are written as `OPERATOR(schema.=)`.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

KEY_OPERATORS = """(SELECT array_agg(format('OPERATOR(%I.%s)', opn.nspname, op.oprname) ORDER BY u.i)
   FROM unnest(k.conpfeqop) WITH ORDINALITY u(oid, i) JOIN pg_operator op ON op.oid = u.oid
   JOIN pg_namespace opn ON opn.oid = op.oprnamespace)"""
"""SQL for the operators of a foreign key, a row `k` of pg_constraint: text[], one a column, in the key's order. The
referenced value is on the left, the referencing one on the right."""

_OF_COLUMN = """
WITH RECURSIVE base(oid) AS (
  SELECT a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = :schema AND c.relname = :table AND a.attname = :column AND NOT a.attisdropped
  UNION ALL
  SELECT t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
)
SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
FROM base b JOIN pg_opclass c ON c.opcintype = b.oid AND c.opcdefault
JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype AND p.amoprighttype = c.opcintype
  AND p.amopstrategy = :strategy
JOIN pg_operator o ON o.oid = p.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
"""

_STRATEGIES = {"<": 1, "<=": 2, "=": 3, ">=": 4, ">": 5}
"""Of a B-tree's operator class (PostgreSQL manual, "Index Method Strategies")."""


def operator_sql(connection: Connection, table: TableName, column: str, sign: str = "=") -> str:
    """The operator by which two values of a column are compared.

    Args:
        table, column: exact names.
        sign: which comparison: `<`, `<=`, `=`, `>=` or `>`.

    Returns:
        SQL, e.g. `OPERATOR(public.=)`; one of PostgreSQL's own where the type has no operator class of its own, as
        varchar, enums and arrays have none, and the sign itself in SQLite.
    """
    if connection.dialect.name == "sqlite":
        return sign
    facts = {"schema": table.schema, "table": table.name, "column": column, "strategy": _STRATEGIES[sign]}
    found = connection.execute(text(_OF_COLUMN), facts).scalar()
    return str(found) if found else f"OPERATOR(pg_catalog.{sign})"
