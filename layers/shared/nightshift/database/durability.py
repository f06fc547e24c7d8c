"""Makes commits durable against a crash of the server before anything outside the database relies on them.

With `synchronous_commit = off` PostgreSQL answers COMMIT before the record of it is on disk, and a crash takes the last
commits back: rows whose files S3 has deleted, a ledger that does not know its objects. The setting may come from the
server, the database, the role or the role in a database; every connection of ours undoes it for its session.

Commits of others with that setting, such as by a trigger with `SET LOCAL synchronous_commit = off`, are visible before
they are durable. `flush_commits` waits for these, too: the log is written in order.
"""

from __future__ import annotations

from sqlalchemy import Connection

DURABLE = (
    "pg_catalog.set_config('synchronous_commit',"
    " pg_catalog.replace(pg_catalog.current_setting('synchronous_commit'), 'off', 'local'), false)"
)
"""SQL expression, for a session's first statement: its commits are on this server's disk before they are answered.

`local`, not `on`: where a standby is named and down, `on` would wait for it for ever. What is stronger stays."""


def flush_commits(connection: Connection) -> None:
    """Commit, and return when all commits of all sessions up to then are on disk.

    A commit flushes the log only where its transaction has written something: this writes a few bytes, and no table.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'nightshift', '')")
    else:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    connection.commit()
