"""What a backup of PostgreSQL does not hold, looked up and said: nobody should find out on a bad day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName

_EXTENSION_ROWS = """
SELECT e.extname, n.nspname, c.relname, coalesce(e.extcondition[p.place], '') AS condition
FROM pg_extension e CROSS JOIN LATERAL unnest(e.extconfig) WITH ORDINALITY p(oid, place)
JOIN pg_class c ON c.oid = p.oid AND c.relkind = 'r' JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
"""

_SUBSCRIPTIONS = """
SELECT subname FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1
"""


def missing(connection: Connection, foreign: Sequence[TableName]) -> Iterator[str]:
    """What will not be saved, a sentence each.

    Args:
        foreign: the foreign tables that there are.
    """
    if foreign:
        yield f"rows of foreign tables, which lie elsewhere: {', '.join(name.label for name in foreign)}"
    if objects := connection.execute(text("SELECT count(*) FROM pg_largeobject_metadata")).scalar():
        yield f"large objects: {objects}"
    if subscriptions := connection.execute(text(_SUBSCRIPTIONS)).scalars().all():
        yield f"subscriptions, which hold another server's password: {', '.join(subscriptions)}"
    for row in list(connection.execute(text(_EXTENSION_ROWS))):
        name = TableName(row.nspname, row.relname)
        counted = f"SELECT count(*) FROM ONLY {name.sql} {row.condition}"
        if count := connection.exec_driver_sql(counted).scalar():
            yield f"rows that were added to {name.label}, a table of the extension {row.extname}: {count}"
