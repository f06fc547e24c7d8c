"""SQL that converts and compares values of PostgreSQL's types without calling anybody else's functions.

A cast to text or from it may be somebody's own function (CREATE CAST), and change a value in any way; PostgreSQL's
own prints an `inet` otherwise than the type does. So values are converted by their types' output and input functions.

Types may have operators of their own (citext, ltree, hstore, pgvector), in any schema; a bare `=` would find them only
by the search path, and by it those of anybody who may create objects in one of its schemas (CVE-2018-1058). So they are
taken from the type's default operator class for B-trees, which ORDER BY and unique indexes use, too. They are written
as `OPERATOR(schema.=)`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

RECAST = """EXISTS (
  SELECT 1 FROM pg_cast k WHERE k.castsource = CAST('text' AS regtype) AND k.casttarget = {type} AND k.castmethod <> 'i'
  AND (k.oid >= 16384 OR k.casttarget = CAST('regclass' AS regtype))
  AND k.casttarget <> ALL (CAST(ARRAY['json', 'jsonb'] AS regtype[])))"""
"""SQL condition: a cast from text to the type `{type}` (an OID, of no domain) is another function than its input.

Of PostgreSQL's own that is true of `regclass` alone: its cast knows neither numbers nor `-`."""


def format_timestamp(moment: datetime, *, offset: bool = False) -> str:
    """A moment in UTC as SQLAlchemy's `DateTime` writes it in SQLite.

    Args:
        offset: append `+00`, so that PostgreSQL reads the same moment even if a trigger has changed the session's zone.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00" if offset else "")


def output_of(value: str) -> str:
    """SQL: the text of a value of any type; NULL for NULL alone.

    concat() calls the type's output function and nothing else. It makes an empty text of NULL; and IS NULL would take a
    row of nulls for one.
    """
    return f"CASE WHEN CAST(pg_catalog.num_nonnulls({value}) AS boolean) THEN pg_catalog.concat({value}) END"


def input_of(text: str, declared: str, *, recast: bool) -> str:
    """SQL: the value of a text, read as the type `declared`.

    Args:
        recast: see `RECAST`; then the text is converted through JSON, which calls the input function, at four times
            the cost of a cast.
    """
    if not recast:
        return f"CAST({text} AS {declared})"
    return f"(SELECT v FROM pg_catalog.json_to_record(pg_catalog.json_build_object('v', {text})) came(v {declared}))"


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
        sign: which comparison: `<`, `<=`, `=`, `>=` or `>`.

    Returns:
        SQL, e.g. `OPERATOR(public.=)`; one of PostgreSQL's own where the type has no operator class of its own, as
        varchar, enums and arrays have none, and the sign itself in SQLite.
    """
    if connection.dialect.name == "sqlite":
        return sign
    facts = {"schema": table.schema, "table": table.name, "column": column, "strategy": _STRATEGIES[sign]}
    operator = connection.execute(text(_OF_COLUMN), facts).scalar()
    return str(operator) if operator else f"OPERATOR(pg_catalog.{sign})"
