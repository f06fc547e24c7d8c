"""SQL that converts and compares values of PostgreSQL's types without calling another role's functions.

A cast to or from text may call a user's function (CREATE CAST) that changes the value; PostgreSQL's own cast of `inet`
prints the value differently from the type's output function. Therefore the types' output and input functions convert
values.

A type from an extension (citext, ltree, hstore, pgvector) has its own operators, in any schema. A bare `=` finds an
operator by the search path, and could find one that another role has created there (CVE-2018-1058). Therefore the
operators come from the type's default B-tree operator class, which ORDER BY and unique indexes use as well. The SQL
names them as `OPERATOR(schema.=)`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

RECAST = """EXISTS (
  SELECT 1 FROM pg_cast k WHERE k.castsource = CAST('text' AS regtype) AND k.casttarget = {type} AND k.castmethod <> 'i'
  AND (k.oid >= 16384 OR k.casttarget = CAST('regclass' AS regtype))
  AND k.casttarget <> ALL (CAST(ARRAY['json', 'jsonb'] AS regtype[])))"""
"""SQL condition: a cast from text to the type `{type}` (an OID, not of a domain) does not call the input function.

Of PostgreSQL's own types, only `regclass` meets the condition: its cast accepts neither numbers nor `-`."""


def format_timestamp(moment: datetime, *, offset: bool = False) -> str:
    """Returns a time in UTC in the format in which SQLAlchemy's `DateTime` stores it in SQLite.

    Args:
        offset: append `+00`, so that PostgreSQL reads the same time even if a trigger has changed the session's zone.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") + ("+00" if offset else "")


def aware_utc(moment: datetime) -> datetime:
    """Returns an aware time in UTC; SQLite returns stored times without their zone, which is UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def output_of(value: str) -> str:
    """Returns SQL for the text of a value of any type; the SQL yields NULL only for NULL.

    concat() calls only the type's output function. concat() returns an empty text for NULL, so the SQL tests for NULL
    with num_nonnulls(); IS NULL would also be true for a composite value whose fields are all null.
    """
    return f"CASE WHEN CAST(pg_catalog.num_nonnulls({value}) AS boolean) THEN pg_catalog.concat({value}) END"


def input_of(text: str, declared: str, *, recast: bool) -> str:
    """Returns SQL that converts a text to a value of the type `declared`.

    Args:
        recast: whether `RECAST` is true for the type; the SQL then converts through JSON, which calls the type's input
            function and takes four times as long as a cast.
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
"""Strategy numbers of B-tree operator classes (PostgreSQL manual, "Index Method Strategies")."""


def operator_sql(connection: Connection, table: TableName, column: str, sign: str = "=") -> str:
    """Returns the operator that compares two values of a column.

    Args:
        sign: the comparison: `<`, `<=`, `=`, `>=` or `>`.

    Returns:
        SQL, e.g. `OPERATOR(public.=)`; PostgreSQL's own operator if the type has no default operator class (varchar,
        enums and arrays have none); the sign itself in SQLite.
    """
    if connection.dialect.name == "sqlite":
        return sign
    facts = {"schema": table.schema, "table": table.name, "column": column, "strategy": _STRATEGIES[sign]}
    operator = connection.execute(text(_OF_COLUMN), facts).scalar()
    return str(operator) if operator else f"OPERATOR(pg_catalog.{sign})"
