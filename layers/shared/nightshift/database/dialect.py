"""Look-ups for PostgreSQL and SQLite: a table's description, keys and indexes, and the privileges of our role."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from nightshift.database import postgres, references, sqlite
from nightshift.database.catalog import ColumnComparison, TableInfo, TableName

_PRIMARY_KEY = """
SELECT a.attname::text FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY u(num, n)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num
WHERE i.indrelid = CAST(:name AS regclass) AND i.indisprimary ORDER BY u.n
"""

_INDEXED = """
SELECT EXISTS (
  SELECT 1 FROM pg_index i WHERE i.indrelid = CAST(:name AS regclass) AND i.indisvalid AND i.indpred IS NULL
  AND CAST(:columns AS text[]) = (
    SELECT array_agg(a.attname::text COLLATE "C" ORDER BY a.attname::text COLLATE "C")
    FROM unnest(i.indkey) WITH ORDINALITY u(num, n)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num WHERE u.n <= :count))
"""

# An index may have another collation than its column, and then distinguish values that the column treats as equal.
_UNIQUE = _INDEXED.replace(
    "i.indisvalid",
    """i.indisvalid AND i.indisunique AND i.indnkeyatts = :count AND NOT EXISTS (
    SELECT 1 FROM unnest(CAST(i.indkey AS int2[]), CAST(i.indcollation AS oid[])) u(num, used)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num AND a.attcollation <> u.used
    JOIN pg_collation c ON c.oid = a.attcollation AND NOT c.collisdeterministic)""",
)


def describe_table(connection: Connection, written: str, timestamp: str = "") -> TableInfo | None:
    """Describe a table; return None if no relation has this name. See `postgres.describe_table`."""
    describe = postgres.describe_table if connection.dialect.name == "postgresql" else sqlite.describe_table
    return describe(connection, written, timestamp)


def shape_sql(table: TableName) -> str:
    """Returns a query for `HeapTable.shape`: a number that changes with a table's columns, keys, triggers and rules."""
    return postgres.schema_hash_sql(table) if table.schema else sqlite.SHAPE_SQL


def reference_comparisons(
    connection: Connection, parent: TableName, referenced: Sequence[str], child: TableName, columns: Sequence[str]
) -> tuple[ColumnComparison, ...]:
    """Returns the comparisons that a foreign key from `child` to these unique columns of `parent` would use."""
    if connection.dialect.name == "postgresql":
        return references.reference_comparisons(connection, parent, referenced, child, columns)
    return sqlite.reference_comparisons(connection, parent.name, referenced, child.name, columns)


def primary_key(connection: Connection, table: TableName) -> tuple[str, ...]:
    """Returns the primary key's columns in key order; without a key, none (PostgreSQL) or the rowid's name (SQLite)."""
    if connection.dialect.name == "sqlite":
        return sqlite.primary_key(connection, table)
    return tuple(connection.execute(text(_PRIMARY_KEY), {"name": table.sql}).scalars())


def is_indexed(connection: Connection, table: TableName, columns: Sequence[str]) -> bool:
    """Returns whether a usable index begins with exactly these columns, in any order; always True in SQLite."""
    if connection.dialect.name == "sqlite":
        return True
    return _has_index(connection, _INDEXED, table, columns)


def is_unique(connection: Connection, table: TableName, columns: Sequence[str]) -> bool:
    """Returns whether two rows can never have the same non-null values in these columns."""
    if connection.dialect.name == "sqlite":
        return sqlite.primary_key(connection, table) == tuple(columns) or sqlite.is_unique(connection, table, columns)
    return _has_index(connection, _UNIQUE, table, columns)


def _has_index(connection: Connection, query: str, table: TableName, columns: Sequence[str]) -> bool:
    facts = {"name": table.sql, "columns": sorted(columns), "count": len(columns)}
    return bool(connection.execute(text(query), facts).scalar())


def may_lock(connection: Connection, table: TableName) -> bool:
    """Returns whether our role may delete and lock the table's rows; in PostgreSQL, locking needs UPDATE."""
    if connection.dialect.name == "sqlite":
        return True
    allowed = " AND ".join(f"has_table_privilege(CAST(:name AS regclass), '{right}')" for right in ("UPDATE", "DELETE"))
    return bool(connection.execute(text(f"SELECT {allowed}"), {"name": table.sql}).scalar())


def may_make_temporary(connection: Connection) -> bool:
    """Returns whether our role may create temporary tables."""
    allowed = text("SELECT has_database_privilege(current_database(), 'TEMP')")
    return connection.dialect.name == "sqlite" or bool(connection.execute(allowed).scalar())


def counts_rows(connection: Connection) -> bool:
    """Returns whether PostgreSQL counts the rows that transactions change (`track_counts`, on by default)."""
    return connection.dialect.name == "postgresql" and connection.execute(text("SHOW track_counts")).scalar() == "on"
