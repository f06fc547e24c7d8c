"""Starts a session on PostgreSQL: replaces settings of the server, the database or the role that nightshift cannot use.

One round trip sets the parameters that could end work silently or change the meaning of a statement. The same statement
detects states that a session cannot change: a read-only database, disabled triggers and foreign keys, and a connection
pool in transaction mode. Such a pool gives a server session to a client for one transaction at a time. Settings,
temporary tables and the run lock would then pass between clients, so the pool is detected before anything is set.

A commit must be durable against a crash of the server before anything outside the database relies on the commit. With
`synchronous_commit = off`, PostgreSQL answers COMMIT before the commit record is on disk, and a crash loses the last
commits. After such a crash, a deleted row would be back although its file is already deleted from S3. The ledger would
lack the entries of objects that are already in S3. Other sessions' commits with this setting are visible before they
are durable; `flush_commits` waits for these commits as well.
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
"""Server limits on whole sessions and transactions, switched off; nightshift sets limits on statements instead."""

MEANING: Mapping[str, str] = {
    # Settings for the text that the server prints and reads.
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    # Settings for transactions that do not set their own.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}

_CONTROL = {**UNLIMITED, **MEANING, "DateStyle": "ISO, MDY", "client_encoding": "UTF8"}

_NEW = ("idle_session_timeout", "transaction_timeout")
"""Settings that PostgreSQL 13 lacks: PostgreSQL 14 has the first, and PostgreSQL 17 the second."""


@dataclass(frozen=True, slots=True)
class SessionStart:
    """Facts of a session: the role's own `search_path`, and why the session is read-only (None if it is not)."""

    search_path: str
    read_only: str | None


def settings_sql(settings: Mapping[str, str]) -> str:
    """Returns SQL expressions that set parameters for the session; a parameter in `_NEW` is set only if it exists."""
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
"""SQL expression that makes COMMIT wait until the commit record is on this server's disk.

The expression replaces `off` by `local`; `on` would wait for a named standby, forever if the standby is down."""

_SET = f"pg_catalog.concat({search_path.CAPTURE}, {search_path.PIN}, {DURABLE}, {settings_sql(_CONTROL)})"

_FACTS = (
    "pg_catalog.pg_backend_pid(), pg_catalog.current_setting('search_path'),"
    " pg_catalog.current_setting('transaction_read_only'), pg_catalog.pg_is_in_recovery(),"
    " pg_catalog.current_setting('session_replication_role')"
)

# The driver for row data looks types up as it connects, and some pools refuse a search_path in the connection options.
_MISTAKABLE = f"""
SELECT string_agg(format('%I.%s(%s, %s)', n.nspname, o.oprname, l.typname, r.typname), ', ')
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
JOIN pg_type l ON l.oid = o.oprleft JOIN pg_type r ON r.oid = o.oprright
WHERE n.nspname = ANY ({search_path.SCHEMAS}) AND n.nspname <> 'pg_catalog' AND o.oprname IN ('=', '<>')
  AND l.typnamespace = CAST('pg_catalog' AS regnamespace) AND r.typnamespace = CAST('pg_catalog' AS regnamespace)
"""


def begin_session(connection: pg8000.Connection, again: Callable[[], pg8000.Connection]) -> SessionStart:
    """Set a new session's parameters; `again` opens another session to the same server.

    Raises:
        DatabaseUnavailable: nightshift cannot work in this session.
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
    """Raise `DatabaseUnavailable` if a pool may give our session to another client between two transactions.

    A pool is in use, because the server process differs from the one that the login reported. In transaction mode, a
    second connection gets the session that the first has just used, or moves the first to another session.
    """
    mark = uuid.uuid4().hex
    here = f"SELECT pg_catalog.current_setting('nightshift.mark', true) OPERATOR(pg_catalog.=) '{mark}'"
    _row(connection, f"SELECT pg_catalog.set_config('nightshift.mark', '{mark}', false)")
    with closing(again()) as other:
        try:
            other.execute_simple("BEGIN")
        except pg8000.Error:
            lent = True  # for a single statement: the pool allows no transaction
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
    """Raise `DatabaseUnavailable` if an operator in the role's own path could be used instead of PostgreSQL's own."""
    operators = _row(connection, _MISTAKABLE)[0]
    if operators:
        raise DatabaseUnavailable(
            "operators in the role's search_path could be taken for PostgreSQL's own",
            detail=operators,
            hint="drop them, or REVOKE CREATE on their schema from those who made them; or connect to the server"
            " itself instead of a pool",
        )


def _row(connection: pg8000.Connection, statement: str) -> list[Any]:
    """Returns a statement's only row, in one round trip, without a transaction that the driver begins."""
    [row] = connection.execute_simple(statement).rows
    return list(row)


def flush_commits(connection: Connection) -> None:
    """Commit, and return when all earlier commits of all sessions are on disk.

    A commit flushes the log only if its transaction has written something, so this one writes a few bytes to the log.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'nightshift', '')")
    else:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    connection.commit()
