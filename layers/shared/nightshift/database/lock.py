"""Locks a job, so that only one run of the job works at a time, and locks the tables that a run works on.

The run lock keeps two runs from doing the same work and from deleting each other's unfinished objects. The archive is
correct even if the lock is lost during a run, because one transaction writes the ledger and deletes the rows (see
`archive.chunk_archiver`). The lock ends when its holder ends, even by a crash. In PostgreSQL it is a session-level
advisory lock on a separate connection. In SQLite it is a lock on a file beside the database.

A run loses its lock if the server or the network ends the lock's connection. A run therefore requests the lock again
before each of its steps (`Database.keep_lock`), which costs one round trip. The request succeeds if the run still holds
the lock, or if the lock was lost and no other run has taken it.

`TableLocks` keep a run that deletes rows and a run that restores rows from working on the same table. Deleting runs
share a table's lock; a restore needs an exclusive lock. No run waits for a table lock, so there is no deadlock. Safety
does not depend on these locks: each deleting transaction checks the holds that protect restored rows
(`archive.holds.HoldWatch`).
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
    """Hold the lock of `job`; yields whether the lock was taken, False if another run holds it."""
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
    """Returns the key of a job's advisory lock."""
    return int.from_bytes(hashlib.sha256(f"nightshift:{job}".encode()).digest()[:8], "big", signed=True)


class _AdvisoryLock:
    """A session-level advisory lock on a separate connection. Thread-safe."""

    def __init__(self, database: Database, key: int) -> None:
        self._database = database
        self._key = key
        self._mutex = threading.Lock()
        self._stack = ExitStack()
        self._connection = self._open()

    def take(self) -> bool:
        """Take the lock; returns False if another session holds it, True if this one does, before or now."""
        return bool(self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key}).scalar())

    def keep_alive(self) -> None:
        """Take the lock again; raises `LockLost` if another session holds it. See `Database.keep_lock`."""
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
        """Release the lock, then close the connection. The server may notice a closed connection late; the explicit
        release lets the next run begin at once."""
        with suppress(SQLAlchemyError):
            self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        self._drop()

    def _drop(self) -> None:
        with suppress(SQLAlchemyError):
            self._stack.close()

    def _open(self) -> Connection:
        connection = self._stack.enter_context(self._database.connect(autocommit=True))
        connection.detach()  # from the pool: closing must end the session and its lock
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
    """Open or create the lock file without writing to it; returns the file descriptor.

    Other users may be able to write to the directory. A symbolic link, a hard link, a pipe or another user's file at
    this path raises `DatabaseUnavailable`; links are not followed, and opening a pipe does not block.
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
"""Upper half of the key of each table's lock, against collisions with other programs; the lower half is the OID."""

# A partition uses the lock of its root table.
_LOCK = """
SELECT {function}(:space + CAST(CAST(coalesce(pg_partition_root(c.oid), c.oid) AS oid) AS bigint))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name
"""


class TableLocks:
    """The table locks of one run. The first `take` opens the connection or the file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._file: int | None = None

    def take(self, tables: Sequence[TableName], *, alone: bool = False) -> TableName | None:
        """Lock tables until `release`; returns a table that another run has locked, or None if all are locked now.

        Args:
            alone: take exclusive locks; otherwise other runs may share the locks.
        """
        taken = self._in_postgresql if self._database.is_postgresql else self._in_sqlite
        return next((table for table in tables if not taken(table, alone=alone)), None)

    def release(self) -> None:
        """Release all table locks."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            except SQLAlchemyError:  # the connection is lost, with its locks; the next `take` opens another
                self._connection = None
                self._stack.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Release all table locks and close their connection."""
        self.release()
        self._connection = None
        self._stack.close()

    def _in_postgresql(self, table: TableName, *, alone: bool) -> bool:
        if self._connection is None:
            self._connection = self._stack.enter_context(self._database.connect(autocommit=True))
            self._connection.detach()  # from the pool: closing must end the session and its locks
        function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
        names = {"space": _SPACE, "schema": table.schema, "name": table.name}
        taken = self._connection.execute(text(_LOCK.format(function=function)), names).scalar()
        return taken is not False  # no row: the table was dropped, so no restore can use it

    def _in_sqlite(self, _table: TableName, *, alone: bool) -> bool:
        if self._file is None:
            path = Path(self._database.target.path)
            self._file = open_lock(path, Path(f"{path}.nightshift-rows.lock"))
        try:
            fcntl.flock(self._file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
