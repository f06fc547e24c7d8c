"""Tables of ours as an earlier version left them, made into what this version works with.

Each upgrade is one transaction, keeps every row, and does nothing where there is nothing to do. The job whose tables
they are calls it, under its run lock.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from nightshift.database.own_schema import own, schema_of
from nightshift.database.tables import file_deletion, is_there


def is_outbox_old(connection: Connection) -> bool:
    """Whether each row of the outbox holds one file, in `object_key`, as it did before rows held up to a thousand."""
    if not is_there(connection, file_deletion):
        return False
    columns = text(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attname = 'object_key'"
        if connection.dialect.name == "postgresql"
        else "SELECT count(*) FROM pragma_table_info(:table) WHERE name = 'object_key'"
    )
    return bool(connection.execute(columns, {"table": _outbox(connection)}).scalar())


def upgrade_outbox(connection: Connection) -> None:
    """Make each row of an old outbox a list of one file. Ends the transaction."""
    if is_outbox_old(connection):
        outbox = _outbox(connection).replace(":", r"\:")
        postgresql = connection.dialect.name == "postgresql"
        as_list = "CAST(json_build_array(object_keys) AS text)" if postgresql else "json_array(object_keys)"
        statements = [
            f"ALTER TABLE {outbox} RENAME COLUMN object_key TO object_keys",
            f"ALTER TABLE {outbox} ADD COLUMN files integer NOT NULL DEFAULT 1",
            f"UPDATE {outbox} SET object_keys = {as_list}",
        ]
        if postgresql:
            statements += [
                f"ALTER TABLE {outbox} ALTER COLUMN files DROP DEFAULT",
                f"ALTER TABLE {outbox} ALTER COLUMN object_keys SET STORAGE EXTERNAL",
            ]
        for statement in statements:
            connection.execute(text(statement))
    connection.commit()


def _outbox(connection: Connection) -> str:
    return file_deletion.name if connection.dialect.name == "sqlite" else own(file_deletion, schema_of(connection))
