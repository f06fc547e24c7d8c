"""Locks a job, so that one run works at a time, and the tables that a run works on.

The lock keeps two runs from doing the same work and from deleting each other's unfinished objects. It does not make the
archive exactly-once: the transaction does (see `archive.chunk_archiver`), which holds even if the lock is lost
half-way. It vanishes with its holder, so that no crash can leave it behind: a session-level advisory lock on a
connection that does nothing else (PostgreSQL), or a lock on a file beside the database (SQLite).

It may also vanish from under its holder, whose connection the server or the network has ended. So a run asks for it
again before each of its steps (`Database.keep_lock`), which costs one round trip: its holder is given it once more, and
so is a run that has lost it while no other run took it.

`TableLocks` make runs that delete rows and runs that restore rows exclude each other. Deleting runs share a table; a
restore into it needs it alone. No run waits, so there is no deadlock: the second is refused. These locks are not needed
for safety either: the holds that protect restored rows are checked within each deleting transaction, see
`archive.holds.HoldWatch`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from nightshift.database.catalog import TableName
from nightshift.database.connect import Database, do_nothing, require_file
from nightshift.errors import DatabaseUnavailable, LockLost


@contextmanager
def run_lock(database: Database, job: str) -> Iterator[bool]:
    """Hold the lock of `job`; yields False where somebody else has it."""
    if not database.is_postgresql:
        require_file(database.target.path)
        path = Path(database.target.path)
        with _file_lock(path, Path(f"{path}.nightshift-{job}.lock")) as held:
            yield held
        return
    with closing(_AdvisoryLock(database, lock_key(job))) as lock:
        held = lock.take()
        if held:
            database.keep_lock = lock.keep_alive
        try:
            yield held
        finally:
            database.keep_lock = do_nothing


def lock_key(job: str) -> int:
    """The number of a job's advisory lock."""
    return int.from_bytes(hashlib.sha256(f"nightshift:{job}".encode()).digest()[:8], "big", signed=True)


class _AdvisoryLock:
    """A session-level lock on a connection of its own. Thread-safe."""

    def __init__(self, database: Database, key: int) -> None:
        self._database = database
        self._key = key
        self._mutex = threading.Lock()
        self._stack = ExitStack()
        self._connection = self._open()

    def take(self) -> bool:
        """Returns whether it is ours: it was, or nobody had it."""
        return bool(self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar())

    def keep_alive(self) -> None:
        """Make sure that it is ours still; see `Database.keep_lock`."""
        with self._mutex:
            try:
                held = self.take()
            except SQLAlchemyError:
                self._drop()
                self._connection = self._open()
                held = self.take()
        if not held:
            raise LockLost(
                "the run has lost its lock",
                detail="the connection that held it was ended, and another session has the lock by now",
                hint="what was committed stands; see that the server, or a pool before it, does not end idle sessions",
            )

    def close(self) -> None:
        """Release it: it ends with the connection, but the server takes its time to notice, and the next run may begin
        at once."""
        with suppress(SQLAlchemyError):
            self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        self._drop()

    def _drop(self) -> None:
        with suppress(SQLAlchemyError):
            self._stack.close()

    def _open(self) -> Connection:
        connection = self._stack.enter_context(self._database.connect(autocommit=True))
        connection.detach()  # from the pool: the lock must go with its connection
        return connection


@contextmanager
def _file_lock(database: Path, path: Path) -> Iterator[bool]:
    handle = open_lock(database, path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def open_lock(database: Path, path: Path) -> int:
    """Open the lock's file, or make it, and write nothing to it.

    Others may be able to write to the directory: what they have put there, a link to somebody's file or a pipe that
    nobody reads, is not followed and not waited for, but raises `DatabaseUnavailable`.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        problem = "it is a symbolic link" if exc.errno == errno.ELOOP else exc.strerror or type(exc).__name__
        raise _unusable(path, problem) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        problem = "it is no regular file"
    elif status.st_nlink != 1:
        problem = "it has another name as well (hard link)"
    elif status.st_uid not in (os.geteuid(), database.stat().st_uid):
        problem = "it belongs to another user"
    else:
        return handle
    os.close(handle)
    raise _unusable(path, problem)


def _unusable(path: Path, problem: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        "the lock file beside the SQLite database cannot be used",
        detail=f"{path}: {problem}",
        hint="remove it, and let nobody else write to the directory",
    )


_SPACE = 0x6E_73_74_6C << 32
"""Keeps the keys apart from other people's: the upper half of each; the lower is the table's OID."""

# Partitions share the lock of the whole that they are parts of.
_LOCK = """
SELECT {function}(:space + CAST(CAST(coalesce(pg_partition_root(c.oid), c.oid) AS oid) AS bigint))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name
"""


class TableLocks:
    """The locks of one run. Nothing is opened before the first is taken."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._file: int | None = None

    def take(self, tables: Sequence[TableName], *, alone: bool = False) -> TableName | None:
        """Lock tables until `release`; returns one that another run has, None where all are locked now.

        Args:
            alone: nobody else may have them; else others may that do not want them alone.
        """
        taken = self._in_postgresql if self._database.is_postgresql else self._in_sqlite
        return next((table for table in tables if not taken(table, alone=alone)), None)

    def release(self) -> None:
        """Let go of all of them."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            except SQLAlchemyError:  # it is gone, and the locks with it; the next ones are taken on another
                self._connection = None
                self._stack.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Let go of the locks, and of their connection."""
        self.release()
        self._connection = None
        self._stack.close()

    def _in_postgresql(self, table: TableName, *, alone: bool) -> bool:
        if self._connection is None:
            self._connection = self._stack.enter_context(self._database.connect(autocommit=True))
            self._connection.detach()  # from the pool: the locks must go with their connection
        function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
        names = {"space": _SPACE, "schema": table.schema, "name": table.name}
        taken = self._connection.execute(text(_LOCK.format(function=function)), names).scalar()
        return taken is not False  # no row: the table is gone, and nobody can restore into it

    def _in_sqlite(self, _table: TableName, *, alone: bool) -> bool:
        if self._file is None:
            path = Path(self._database.target.path)
            self._file = open_lock(path, Path(f"{path}.nightshift-rows.lock"))
        try:
            fcntl.flock(self._file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
