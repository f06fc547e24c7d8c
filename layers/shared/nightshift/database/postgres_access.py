"""Looks up keys and indexes of a PostgreSQL table, and our role's privileges on it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

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

# An index may be of another collation than its column, and so keep apart what the column takes for equal.
_UNIQUE = _INDEXED.replace(
    "i.indisvalid",
    """i.indisvalid AND i.indisunique AND i.indnkeyatts = :count AND NOT EXISTS (
    SELECT 1 FROM unnest(CAST(i.indkey AS int2[]), CAST(i.indcollation AS oid[])) u(num, used)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.num AND a.attcollation <> u.used
    JOIN pg_collation c ON c.oid = a.attcollation AND NOT c.collisdeterministic)""",
)


def primary_key(connection: Connection, table: TableName) -> tuple[str, ...]:
    """The columns of the primary key, in its order; empty where there is none."""
    return tuple(connection.execute(text(_PRIMARY_KEY), {"name": table.sql}).scalars())


def is_indexed(connection: Connection, table: TableName, columns: Sequence[str]) -> bool:
    """Returns whether a usable index begins with just these columns, in whatever order."""
    found = connection.execute(text(_INDEXED), {"name": table.sql, "columns": sorted(columns), "count": len(columns)})
    return bool(found.scalar())


def is_unique(connection: Connection, table: TableName, columns: Sequence[str]) -> bool:
    """Returns whether no two rows can have the same values in these columns, nulls apart."""
    found = connection.execute(text(_UNIQUE), {"name": table.sql, "columns": sorted(columns), "count": len(columns)})
    return bool(found.scalar())


def may_lock(connection: Connection, table: TableName) -> bool:
    """Returns whether we may delete rows of the table and lock them; PostgreSQL lets roles lock that may update."""
    allowed = " AND ".join(f"has_table_privilege(CAST(:name AS regclass), '{right}')" for right in ("UPDATE", "DELETE"))
    return bool(connection.execute(text(f"SELECT {allowed}"), {"name": table.sql}).scalar())


def may_make_temporary(connection: Connection) -> bool:
    """Returns whether we may make temporary tables."""
    return bool(connection.execute(text("SELECT has_database_privilege(current_database(), 'TEMP')")).scalar())


def counts_rows(connection: Connection) -> bool:
    """Returns whether the server counts each transaction's changes of a table (`track_counts`, on by default)."""
    return connection.execute(text("SHOW track_counts")).scalar() == "on"
