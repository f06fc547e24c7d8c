"""Opens connections for short statements such as look-ups: SQLAlchemy on pg8000 or sqlite3.

A pool keeps the connections during a run; the end of the run closes them, because a warm Lambda environment must not
reuse a socket that was idle for days. A statement timeout and a lock timeout keep look-ups from outliving the run.
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
"""Socket options that detect a lost server, as after a failover, within a minute; the kernel's default is two hours."""

# When the server is lost, the pool logs a long traceback; the error of the statement already reports the loss.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)

CONTROL_LOCK_TIMEOUT_S = 10.0
"""Seconds that a look-up or a write to nightshift's tables waits for a lock."""


def do_nothing() -> None:
    """Do nothing; the value of `Database.keep_lock` while the run holds no lock."""


class Database:
    """Connections for short statements to one database."""

    def __init__(
        self, target: DatabaseTarget, *, deadline: float, check: Callable[[Connection], None] | None = None
    ) -> None:
        """Prepare the engine without opening a connection.

        Args:
            deadline: `time.monotonic()` value that no statement may outlive.
            check: function that raises an error if the database is unsuitable; called with the first connection.
        """
        self.target = target
        self.deadline = deadline
        self._check = check
        self.wanted_schema: str | None = None  # NIGHTSHIFT_SCHEMA
        self.schema: str | None = None
        """Schema of nightshift's tables, which may not exist yet; None in SQLite, or if the role has no schema."""
        self.keep_lock: Callable[[], None] = do_nothing
        """Called before each step of a run; raises `LockLost` if another session has taken the run's lock."""
        self._read_only: str | None = None
        self.engine = _engine(self)

    @property
    def is_postgresql(self) -> bool:
        return self.target.kind == "postgresql"

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[Connection]:
        """Yields a connection with timeouts from the remaining time; raises `DatabaseUnavailable` if there is none."""
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
        """Raise `DatabaseUnavailable` if the connection that was opened last is read-only."""
        if self._read_only is not None:
            detail = f"{self._where()}: {self._read_only}"
            raise DatabaseUnavailable("the database is read-only", detail=detail, hint=READ_ONLY_HINT)

    def refresh_timeouts(self, connection: Connection) -> None:
        """Roll back a connection's transaction and set its timeouts to the remaining time."""
        connection.rollback()
        if self.is_postgresql:
            self._set_timeouts(connection)

    def close(self) -> None:
        """Close the idle connections in the pool."""
        self.engine.dispose()

    def _set_timeouts(self, connection: Connection) -> None:
        # The values are numbers, so they need no bind parameters; SQLAlchemy's `text()` would cost more than the call.
        budget_s = min(max(1.0, self.deadline - time.monotonic()), 2_000_000)
        connection.exec_driver_sql(
            f"SELECT set_config('statement_timeout', '{budget_s:.0f}s', false),"
            f" set_config('lock_timeout', '{CONTROL_LOCK_TIMEOUT_S:.0f}s', false)"
        )
        connection.commit()

    def _find_schema(self, connection: Connection) -> None:
        """Make the table definitions in `tables` refer to one schema."""
        if self.schema is None:
            self.schema = connection.exec_driver_sql(find_schema_sql(metadata.tables, self.wanted_schema)).scalar()
            connection.commit()
        if self.schema is not None:
            connection.execution_options(schema_translate_map={None: self.schema})

    def open_postgresql(self) -> pg8000.Connection:
        """Open a session for the engine and set its parameters, see `session_start`."""
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
        # sqlite3 begins a transaction only before the first write; BEGIN puts earlier reads into the same transaction.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    engine = create_engine(target.sqlalchemy_url(), pool_pre_ping=True, creator=database.open_postgresql)
    listen_to_paths(engine)
    return engine


def _open_postgresql(target: DatabaseTarget) -> pg8000.Connection:
    """Connect within the timeout, then remove the socket's timeout, because VACUUM may send nothing for minutes."""
    connection = pg8000.connect(**target.pg8000_arguments())
    if not target.host.startswith("/"):
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # a platform may lack some options
                connection._usock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection._usock.settimeout(None)  # pg8000 has one timeout for connecting and reading
    return connection


def open_sqlite(path: str) -> sqlite3.Connection:
    """Open an existing SQLite file; raises `DatabaseUnavailable` instead of creating a missing file."""
    import sqlite3

    class Connection(sqlite3.Connection):
        """A connection that rolls back when SQLite refuses a COMMIT; SQLite itself leaves the transaction open."""

        def commit(self) -> None:
            try:
                super().commit()
            except sqlite3.Error:
                self.rollback()
                raise

    require_file(path)
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False, factory=Connection)
    # A build may have another default. EXTRA also makes the deletion of a rollback journal survive a power failure.
    connection.execute("PRAGMA synchronous = EXTRA")
    return connection


def require_file(path: str) -> None:
    """Raise `DatabaseUnavailable` if the SQLite file does not exist."""
    if not Path(path).is_file():
        raise DatabaseUnavailable(
            "the SQLite database does not exist", detail=f"file: {path}", hint="set DATABASE_URL to the right file"
        )


def refused_statement(exc: DBAPIError) -> NightshiftError:
    """Returns an error with a message and a hint for a statement that the database refused."""
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
    """Returns `refused_statement` for an error of the database, and any other exception unchanged."""
    return refused_statement(exc) if isinstance(exc, DBAPIError) else exc


def _unreachable_hint(exc: Exception) -> str:
    known = server_hint(sqlstate(exc), _unreached(exc)) if isinstance(exc, DBAPIError) else None
    return known or "check DATABASE_URL, the security group, and that the server is up"


def _unreached(exc: Exception) -> str:
    """Returns the driver's message and the system error that caused it, e.g. a host name that cannot be resolved."""
    cause = (getattr(exc, "orig", None) or exc).__cause__
    return f"{server_message(exc)} {cause}" if isinstance(cause, OSError) else server_message(exc)


def is_lock_timeout(exc: DBAPIError) -> bool:
    """Returns whether a statement's wait for a lock timed out (SQLSTATE 55P03, or SQLITE_BUSY)."""
    import sqlite3

    if isinstance(exc.orig, sqlite3.OperationalError):
        return "locked" in str(exc.orig)
    return sqlstate(exc) == _LOCK_NOT_AVAILABLE


def is_busy(exc: DBAPIError) -> bool:
    """Returns whether another session caused the error: a lock timeout, a deadlock or a serialization failure."""
    return is_lock_timeout(exc) or sqlstate(exc) in _BUSY


def is_timeout(exc: DBAPIError) -> bool:
    """Returns whether the statement exceeded its timeout or was cancelled (SQLSTATE 57014)."""
    return sqlstate(exc) == "57014"


def _error_fields(exc: BaseException) -> dict[str, str]:
    """Returns the server's error fields by their letters in PostgreSQL's protocol; {} if no server sent the error."""
    cause: Any = getattr(exc, "orig", None) or exc
    return cause.args[0] if cause.args and isinstance(cause.args[0], dict) else {}


def sqlstate(exc: DBAPIError) -> str | None:
    """Returns the server's error code, or None if no server sent the error."""
    return _error_fields(exc).get("C")


def is_in_function(exc: DBAPIError) -> bool:
    """Returns whether an error arose in a function that the statement called, e.g. a trigger function."""
    return bool(_error_fields(exc).get("W"))


def server_message(exc: BaseException) -> str:
    """Returns the message of the server or the driver, without the statement and the connection's arguments."""
    if fields := _error_fields(exc):
        return fields.get("M", "refused")
    cause = getattr(exc, "orig", None) or exc
    return str(cause).splitlines()[0][:200] if str(cause) else type(cause).__name__


def server_refusal(exc: DBAPIError) -> str:
    """Returns the server's message; raises the error again if no server sent it, as after a lost connection."""
    if sqlstate(exc) is None:
        raise exc
    return server_message(exc)


def _close(connection: Connection) -> None:
    """Close a connection and ignore errors, because the server may have closed it already.

    SQLAlchemy wraps the driver's errors, except for errors from ending AUTOCOMMIT.
    """
    try:
        connection.close()
    except (DBAPIError, pg8000.Error, OSError):
        with suppress(ResourceClosedError):
            connection.invalidate()
