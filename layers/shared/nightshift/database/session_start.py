"""Starts a session on PostgreSQL: overrides settings of the server, the database or the role by the ones we need.

Settings that end work quietly, or change the meaning of a statement, are set for each session, in one round trip. The
same statement finds and names those that our role may not set, or no session can: a read-only database, triggers and
foreign keys that are switched off, and a pool that lends a server's session for one transaction at a time. There
settings, temporary tables and the run's lock would be somebody else's a moment later, and theirs ours; so such a pool
is detected before anything is set.

Commits must be durable against a crash of the server before anything outside the database relies on them. With
`synchronous_commit = off` PostgreSQL answers COMMIT before the record of it is on disk, and a crash takes the last
commits back: rows whose files S3 has deleted, a ledger that does not know its objects. Commits of others with that
setting, such as by a trigger, are visible before they are durable; `flush_commits` waits for these, too.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pg8000
from sqlalchemy import Connection

from nightshift.database import search_path
from nightshift.database.catalog import quote_literal
from nightshift.errors import DatabaseUnavailable

UNLIMITED: Mapping[str, str] = {
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
"""Limits of the server on whole sessions and transactions. Ours are on statements, and on what a transaction idles."""

MEANING: Mapping[str, str] = {
    # Text that the server prints and reads.
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    # Transactions that say nothing else.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}

_CONTROL = {**UNLIMITED, **MEANING, "DateStyle": "ISO, MDY", "client_encoding": "UTF8"}

_NEW = ("idle_session_timeout", "transaction_timeout")
"""Settings that PostgreSQL 13 does not know: the first came with 14, the second with 17."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Facts of a session: the role's own `search_path`, and why it is `read_only`, None where it is not."""

    search_path: str
    read_only: str | None


def settings_sql(settings: Mapping[str, str]) -> str:
    """Expressions that set parameters for the session, each name with its schema; unknown parameters are skipped."""
    calls = []
    for name, value in settings.items():
        call = f"pg_catalog.set_config('{name}', {quote_literal(value)}, false)"
        known = f"pg_catalog.current_setting('{name}', true) IS NOT NULL"
        calls.append(f"CASE WHEN {known} THEN {call} END" if name in _NEW else call)
    return ", ".join(calls)


DURABLE = (
    "pg_catalog.set_config('synchronous_commit',"
    " pg_catalog.replace(pg_catalog.current_setting('synchronous_commit'), 'off', 'local'), false)"
)
"""SQL expression, for a session's first statement: its commits are on this server's disk before they are answered.

`local`, not `on`: where a standby is named and down, `on` would wait for it for ever. What is stronger stays."""

_SET = f"pg_catalog.concat({search_path.CAPTURE}, {search_path.PIN}, {DURABLE}, {settings_sql(_CONTROL)})"

_FACTS = (
    "pg_catalog.pg_backend_pid(), pg_catalog.current_setting('search_path'),"
    " pg_catalog.current_setting('transaction_read_only'), pg_catalog.pg_is_in_recovery(),"
    " pg_catalog.current_setting('session_replication_role')"
)

# The data plane's driver looks types up as it connects, and some pools refuse to be told a path before that.
_MISTAKABLE = f"""
SELECT string_agg(format('%I.%s(%s, %s)', n.nspname, o.oprname, l.typname, r.typname), ', ')
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright
WHERE n.nspname = ANY ({search_path.SCHEMAS}) AND n.nspname <> 'pg_catalog' AND o.oprname IN ('=', '<>')
  AND l.typnamespace = CAST('pg_catalog' AS regnamespace) AND r.typnamespace = CAST('pg_catalog' AS regnamespace)
"""


def begin_session(connection: pg8000.Connection, again: Callable[[], pg8000.Connection]) -> SessionStart:
    """Set a new session's parameters; `again` opens another one, to the same place.

    Raises:
        DatabaseUnavailable: no work can be done there; nothing was set.
    """
    login_pid = int.from_bytes((connection._backend_key_data or b"")[:4], "big", signed=True)
    direct = f"CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {login_pid} THEN {_SET} END"
    pid, path, read_only, recovering, replicating = _row(connection, f"SELECT {_FACTS}, {direct}")[:5]
    if replicating == "replica":
        raise DatabaseUnavailable(
            "triggers and foreign keys are switched off in nightshift's sessions",
            detail="session_replication_role is replica: references would not be kept",
            hint="ALTER ROLE … RESET session_replication_role (also IN DATABASE, or in postgresql.conf)",
        )
    if pid != login_pid:
        _check_pool(connection, again)
        path = _row(connection, f"SELECT pg_catalog.current_setting('search_path'), {_SET}")[0]
        _check_operators(connection)
    why = "it is a replica (pg_is_in_recovery)" if recovering else "default_transaction_read_only is on"
    return SessionStart(path, why if read_only == "on" else None)


def _check_pool(connection: pg8000.Connection, again: Callable[[], pg8000.Connection]) -> None:
    """See that a session stays ours between two transactions.

    There is somebody in between: the server's process is not the one that the login has told. Where sessions are lent
    for a transaction, a second client is given the one that we have just left, or finds us in another one.
    """
    mark = uuid.uuid4().hex
    here = f"SELECT pg_catalog.current_setting('nightshift.mark', true) OPERATOR(pg_catalog.=) '{mark}'"
    _row(connection, f"SELECT pg_catalog.set_config('nightshift.mark', '{mark}', false)")
    with closing(again()) as other:
        try:
            other.execute_simple("BEGIN")
        except pg8000.Error:
            lent = True  # for a single statement: there is no transaction at all
        else:
            lent = _row(other, here)[0] or not _row(connection, here)[0]
            other.execute_simple("ROLLBACK")
    if lent:
        raise DatabaseUnavailable(
            "the connection leads to a pool in transaction mode",
            detail="a session is lent for one transaction at a time: settings, temporary tables and the lock that keeps"
            " two runs apart do not last; nothing was read or written",
            hint="connect to the server itself, or to a pool in session mode (Supabase: port 5432 instead of 6543;"
            " PgBouncer: pool_mode = session)",
        )


def _check_operators(connection: pg8000.Connection) -> None:
    """See that no operator of the role's own path could be taken for one of PostgreSQL's."""
    operators = _row(connection, _MISTAKABLE)[0]
    if operators:
        raise DatabaseUnavailable(
            "operators in the role's search_path could be taken for PostgreSQL's own",
            detail=operators,
            hint="drop them, or REVOKE CREATE on their schema from those who made them; or connect to the server"
            " itself instead of a pool",
        )


def _row(connection: pg8000.Connection, statement: str) -> list[Any]:
    """The one row of a statement, in one round trip and without a transaction of the driver's."""
    [row] = connection.execute_simple(statement).rows
    return list(row)


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
