"""Opens the control plane's connections, for a few short statements: SQLAlchemy on pg8000 or sqlite3.

Connections are pooled for one run and closed with it: a warm Lambda environment must not trust a socket that slept for
a week. Every connection gets a statement and a lock timeout, so that no look-up can outlive the run.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pg8000
import sqlalchemy.dialects.postgresql.pg8000  # noqa: F401 - else the first run would load it, at the run's expense
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, ResourceClosedError
from sqlalchemy.pool import NullPool

from nightshift.database.own_tables import find_schema_sql
from nightshift.database.search_path import listen_to_paths
from nightshift.database.session_start import begin_session
from nightshift.database.sqlstates import READ_ONLY_HINT, path_hint, server_hint
from nightshift.database.tables import metadata
from nightshift.database.url import DatabaseTarget
from nightshift.errors import DatabaseUnavailable, NightshiftError

if TYPE_CHECKING:
    import sqlite3

INSUFFICIENT_PRIVILEGE, _LOCK_NOT_AVAILABLE, _READ_ONLY = "42501", "55P03", "25006"
_BUSY = ("40P01", "40001")

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
"""A server that vanished without a word, as in a failover, is noticed within a minute; the kernel takes two hours."""

# A driver that says good-bye to a server that is gone: a hundred lines about what the statement's own error tells.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

CONTROL_LOCK_TIMEOUT_S = 10.0
"""Seconds that a look-up or a ledger entry waits for a lock."""


def do_nothing() -> None:
    """Keep no lock: there is none."""


class Database:
    """The control plane's access to one database."""

    def __init__(
        self, target: DatabaseTarget, *, deadline: float, check: Callable[[Connection], None] | None = None
    ) -> None:
        """Nothing is opened yet.

        Args:
            deadline: `time.monotonic()` value that no statement may outlive.
            check: raises where this is no database to work with; called with the first connection.
        """
        self.target = target
        self.deadline = deadline
        self._check = check
        self.wanted_schema: str | None = None  # NIGHTSHIFT_SCHEMA
        self.schema: str | None = None
        """Schema of our own tables, existing or to be made; None: PostgreSQL's role has no schema, or SQLite."""
        self.keep_lock: Callable[[], None] = do_nothing
        """Called before each step of a run: raises `LockLost` where its lock is somebody else's by now."""
        self._read_only: str | None = None
        self.engine = _engine(self)

    @property
    def is_postgresql(self) -> bool:
        return self.target.kind == "postgresql"

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[Connection]:
        """A connection with timeouts from the remaining budget; raises `DatabaseUnavailable` where there is none."""
        try:
            connection = self.engine.connect()
        except (DBAPIError, OSError) as exc:
            raise DatabaseUnavailable(
                "the database could not be reached",
                detail=f"{self._where()}: {_unreached(exc)}",
                hint=_unreachable_hint(exc),
            ) from None
        try:
            if autocommit:
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            if self.is_postgresql:
                self._set_timeouts(connection)
                self._find_schema(connection)
            if self._check is not None:
                self._check(connection)
                self._check = None
            yield connection
        finally:
            _close(connection)

    def check_writable(self) -> None:
        """Raise `DatabaseUnavailable` where the last connection that was opened could write nothing."""
        if self._read_only is not None:
            detail = f"{self._where()}: {self._read_only}"
            raise DatabaseUnavailable("the database is read-only", detail=detail, hint=READ_ONLY_HINT)

    def refresh_timeouts(self, connection: Connection) -> None:
        """Fit a connection's time-outs to the remaining budget; ends its transaction."""
        connection.rollback()
        if self.is_postgresql:
            self._set_timeouts(connection)

    def close(self) -> None:
        """Close the connections that nobody uses any more."""
        self.engine.dispose()

    def _set_timeouts(self, connection: Connection) -> None:
        # Numbers of our own making, in the driver's own words: SQLAlchemy would take longer than the server.
        budget_s = min(max(1.0, self.deadline - time.monotonic()), 2_000_000)
        connection.exec_driver_sql(
            f"SELECT set_config('statement_timeout', '{budget_s:.0f}s', false),"
            f" set_config('lock_timeout', '{CONTROL_LOCK_TIMEOUT_S:.0f}s', false)"
        )
        connection.commit()

    def _find_schema(self, connection: Connection) -> None:
        """Have `tables` mean those of one schema."""
        if self.schema is None:
            self.schema = connection.exec_driver_sql(find_schema_sql(metadata.tables, self.wanted_schema)).scalar()
            connection.commit()
        if self.schema is not None:
            connection.execution_options(schema_translate_map={None: self.schema})

    def open_postgresql(self) -> pg8000.Connection:
        """A new session, for the engine: see `session_start`."""
        connection = _open_postgresql(self.target)
        try:
            begun = begin_session(connection, lambda: _open_postgresql(self.target))
        except BaseException:
            with suppress(pg8000.Error, OSError):
                connection.close()
            raise
        self._read_only = begun.read_only
        self.target = replace(self.target, search_path=begun.search_path)
        return connection

    def _where(self) -> str:
        target = self.target
        return target.path if target.kind == "sqlite" else f"{target.host}:{target.port}/{target.database}"


def _engine(database: Database) -> Engine:
    target = database.target
    if target.kind == "sqlite":
        engine = create_engine(target.sqlalchemy_url(), poolclass=NullPool, creator=lambda: open_sqlite(target.path))
        # sqlite3 would begin a transaction only before the first write; this makes reads and writes one unit.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    engine = create_engine(target.sqlalchemy_url(), pool_pre_ping=True, creator=database.open_postgresql)
    listen_to_paths(engine)
    return engine


def _open_postgresql(target: DatabaseTarget) -> pg8000.Connection:
    """Connect within the time-out; then the server's own time-outs hold, for VACUUM may be silent for minutes."""
    connection = pg8000.connect(**target.pg8000_arguments())
    if not target.host.startswith("/"):
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not every platform has all of them
                connection._usock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection._usock.settimeout(None)  # pg8000 has no other way to end its one time-out for everything
    return connection


def open_sqlite(path: str, *, busy_timeout_s: float = 10.0) -> sqlite3.Connection:
    """Open an existing SQLite file; raises `DatabaseUnavailable` for a missing one, which is no new empty database."""
    import sqlite3

    class Connection(sqlite3.Connection):
        """Clean after a COMMIT that SQLite refuses, which alone would leave the transaction open."""

        def commit(self) -> None:
            try:
                super().commit()
            except sqlite3.Error:
                self.rollback()
                raise

    require_file(path)
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, factory=Connection
    )
    # A build may have another default. EXTRA: the deletion of a rollback journal outlives a power cut as well.
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection


def require_file(path: str) -> None:
    """Raise `DatabaseUnavailable` where there is no such SQLite file."""
    if not Path(path).is_file():
        raise DatabaseUnavailable(
            "the SQLite database does not exist", detail=f"file: {path}", hint="set DATABASE_URL to the right file"
        )


def refused_statement(exc: DBAPIError) -> NightshiftError:
    """A control-plane statement that the database did not carry out, as an error for people."""
    state, words = sqlstate(exc), server_message(exc)
    if exc.connection_invalidated:
        return DatabaseUnavailable(
            "the connection to the database was lost",
            detail=words,
            hint="what was committed stands; see that the server is up, and its log; the next run goes on",
        )
    own_hint = _error_fields(exc).get("H")
    hint = path_hint(state, in_function=is_in_function(exc)) or server_hint(state, words) or own_hint
    message = "the database is read-only" if state == _READ_ONLY else "the database refused a look-up"
    return NightshiftError(message, detail=words, hint=hint or "see the database's log")


def to_user_error(exc: Exception) -> Exception:
    """A refused statement's exception as an error for people; any other as it is."""
    return refused_statement(exc) if isinstance(exc, DBAPIError) else exc


def _unreachable_hint(exc: Exception) -> str:
    known = server_hint(sqlstate(exc), _unreached(exc)) if isinstance(exc, DBAPIError) else None
    return known or "check DATABASE_URL, the security group, and that the server is up"


def _unreached(exc: Exception) -> str:
    """The driver's words, and those of the operating system, which pg8000 chains alone: a name that nobody knows."""
    cause = (getattr(exc, "orig", None) or exc).__cause__
    return f"{server_message(exc)} {cause}" if isinstance(cause, OSError) else server_message(exc)


def is_lock_timeout(exc: DBAPIError) -> bool:
    """Returns whether a statement gave up waiting for a lock (SQLSTATE 55P03, or SQLite's busy)."""
    import sqlite3

    if isinstance(exc.orig, sqlite3.OperationalError):
        return "locked" in str(exc.orig)
    return sqlstate(exc) == _LOCK_NOT_AVAILABLE


def is_busy(exc: DBAPIError) -> bool:
    """Returns whether another session caused the error: a lock, a deadlock, a serialization failure."""
    return is_lock_timeout(exc) or sqlstate(exc) in _BUSY


def is_timeout(exc: DBAPIError) -> bool:
    """Returns whether the statement took longer than is left of the run, or somebody cancelled it."""
    return sqlstate(exc) == "57014"


def _error_fields(exc: BaseException) -> dict[str, str]:
    """The fields of the server's error, by their letters in PostgreSQL's protocol; none where no server gave one."""
    cause: Any = getattr(exc, "orig", None) or exc
    return cause.args[0] if cause.args and isinstance(cause.args[0], dict) else {}


def sqlstate(exc: DBAPIError) -> str | None:
    """The server's error code, where a server gave one."""
    return _error_fields(exc).get("C")


def is_in_function(exc: DBAPIError) -> bool:
    """Returns whether an error arose in a function that the statement called, e.g. a trigger's, by its context."""
    return bool(_error_fields(exc).get("W"))


def server_message(exc: BaseException) -> str:
    """The driver's own words, without the statement or the connection's arguments."""
    if fields := _error_fields(exc):
        return fields.get("M", "refused")
    cause = getattr(exc, "orig", None) or exc
    return str(cause).splitlines()[0][:200] if str(cause) else type(cause).__name__


def server_refusal(exc: DBAPIError) -> str:
    """The server's words; raises the error itself where they are not the server's: the connection is lost."""
    if sqlstate(exc) is None:
        raise exc
    return server_message(exc)


def _close(connection: Connection) -> None:
    """Close without complaint: the server may be gone already, and the transaction with it.

    SQLAlchemy wraps the driver's errors in its own, but not those of ending AUTOCOMMIT.
    """
    try:
        connection.close()
    except (DBAPIError, pg8000.Error, OSError):
        with suppress(ResourceClosedError):
            connection.invalidate()
