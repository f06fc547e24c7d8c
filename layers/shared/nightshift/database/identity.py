"""Identifies a table independently of its name: its own identity, and those of its family of partitions."""

from __future__ import annotations

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

# By the catalogue, not by `regclass`: that wants to use the schema, and it is for the guards to say that we may not.
_FAMILY = """
WITH own AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = :schema AND c.relname = :name
)
SELECT CAST(oid AS text) FROM own
UNION SELECT CAST(CAST(relid AS oid) AS text) FROM own, pg_partition_tree(own.oid)
UNION SELECT CAST(CAST(relid AS oid) AS text) FROM own, pg_partition_ancestors(own.oid)
"""


def partition_family(connection: Connection, table: TableName) -> tuple[str, ...]:
    """Identities (`InsertTarget.id`) of a table, its partitions and its ancestors; none where it does not exist.

    PostgreSQL's OIDs. SQLite's tables have no identity but their name.
    """
    if connection.dialect.name == "sqlite":
        return (table.name,)
    found = connection.execute(text(_FAMILY), {"schema": table.schema, "name": table.name})
    return tuple(found.scalars())
