"""The connection on which a cascade is deleted: SQLAlchemy's, on pg8000 or sqlite3. Only counts pass through it.

On PostgreSQL a table's rows are deleted and their files put into the outbox by one statement, so that exactly the files
of the deleted rows are queued. Tables that reference each other in a circle are deleted by one statement too:
PostgreSQL checks foreign keys when a statement ends. SQLite has one writer at a time, and can check them when the
transaction ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import is_busy, is_in_function, is_timeout, refused_statement, server_message, sqlstate
from nightshift.database.search_path import HANDED_OVER
from nightshift.database.sqlstates import is_about_rows
from nightshift.database.values import format_timestamp
from nightshift.errors import NightshiftError
from nightshift.expiry.file_columns import enqueue_files
from nightshift.expiry.file_names_sql import create_name_functions
from nightshift.expiry.statements import DeleteStatement, ExpiryStatements, Key


class LockContention(NightshiftError):
    """Another session was in the way, or there was too much for the time: a lock, a deadlock, a time-out. Nothing was
    changed."""


class DeletionRejected(NightshiftError):
    """The database refused to delete some row: a trigger, a constraint. Nothing was changed."""


class UnexpiredDependentError(DeletionRejected):
    """A row that has not expired depends on one that has: both stay until it has, too. Nothing was changed."""


UNTOLD = "names no file that may be deleted"
"""Warning for a row whose file cannot be identified, where it was not checked more closely."""

WORK_MEM = "32MB"
"""Memory of the server for a statement's keys and files before it writes them to disk; its own 4 MB hold those of
a few thousand rows."""


@dataclass(frozen=True, slots=True)
class DeletionCounts:
    """Counts of one deletion.

    Attributes:
        queued: files put into the outbox.
        objects, bytes: written to the archive.
    """

    deleted: int
    queued: int = 0
    objects: int = 0
    bytes: int = 0


class DeletionSession(Protocol):
    """Connection of a batch, as a protocol."""

    @contextmanager
    def transaction(self, seconds: float, *, single: bool) -> Iterator[None]:
        """A transaction: rolled back on every way out except through `commit()`.

        Args:
            single: it is about one expired row, which must go with all its dependent rows.

        Raises:
            LockContention, DeletionRejected: the batch could not be deleted as it is; a smaller one may.
        """

    def run(self, statement: str) -> int:
        """Run a statement that changes rows; returns how many."""

    def keys(self, statement: str) -> list[Key]:
        """The rows of a statement that yields nothing but text."""

    def delete(self, deletions: Sequence[DeleteStatement]) -> list[DeletionCounts]:
        """Delete, and queue the files of the deleted rows; several deletions are one circle, and go at once."""

    def number(self, statement: str) -> int:
        """The one integer that a statement yields."""

    def commit(self) -> None:
        """Commit."""


class ControlSession:
    """A session on the control plane's own connection."""

    def __init__(
        self, connection: Connection, statements: ExpiryStatements, run_id: str, as_of: datetime, lock_seconds: float
    ) -> None:
        """Args:
        as_of: aware; the files may be deleted from then on.
        lock_seconds: time that a statement waits for another session's lock.
        """
        self._connection = connection
        self._statements = statements
        self._run_id = run_id
        self._lock_seconds = lock_seconds
        self._until = 0.0
        self._postgresql = statements.postgresql
        self._now = format_timestamp(as_of, offset=statements.postgresql)
        if not self._postgresql:
            # Else SQLite would not see to ON DELETE SET NULL; within a transaction the pragma does nothing.
            connection.rollback()
            connection.connection.cursor().execute("PRAGMA foreign_keys = ON")
            create_name_functions(connection)

    @contextmanager
    def transaction(self, seconds: float, *, single: bool) -> Iterator[None]:  # noqa: ARG002 - no row passes here
        self._until = time.monotonic() + seconds
        try:
            self._begin(seconds)
            yield
        except DBAPIError as exc:
            raise _translated(exc) from exc
        finally:
            self._connection.rollback()

    def _begin(self, seconds: float) -> None:
        if not self._postgresql:
            # The pragma is for this transaction alone; the connection may have been set otherwise.
            self._connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            return
        # Whatever the database's default is: a batch must see what was committed while it waited for a lock.
        self._connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        budget = f"{max(1.0, min(seconds, 2_000_000)) * 1000:.0f}ms"
        self._connection.exec_driver_sql(
            f"SELECT set_config('statement_timeout', '{budget}', true), set_config('jit', 'off', true),"
            f" set_config('work_mem', '{WORK_MEM}', true),"
            f" set_config('idle_in_transaction_session_timeout', '{budget}', true),"
            f" set_config('lock_timeout', '{self._lock_seconds * 1000:.0f}ms', true)"
        )

    def run(self, statement: str) -> int:
        self._check_time()
        return self._connection.exec_driver_sql(statement).rowcount

    def keys(self, statement: str) -> list[Key]:
        return [tuple(row) for row in self._connection.exec_driver_sql(statement)]

    def number(self, statement: str) -> int:
        return int(self._connection.exec_driver_sql(statement).scalar_one())

    def delete(self, deletions: Sequence[DeleteStatement]) -> list[DeletionCounts]:
        return self._at_once(deletions) if self._postgresql else self._in_turn(deletions)

    def commit(self) -> None:
        self._connection.commit()

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise LockContention("too much for the time", detail="it takes longer than a batch may")

    def _at_once(self, deletions: Sequence[DeleteStatement]) -> list[DeletionCounts]:
        """One statement: each deletion, and the insertion of its files into the outbox.

        Triggers of any kind are called by the role's own search_path: the deletions are parts of a statement that has
        handed it over before it asks for their rows.
        """
        self._check_time()
        parts, counts = [], []
        for n, deletion in enumerate(deletions):
            parts.append(f"gone_{n} AS ({deletion.delete_sql} RETURNING {_returned(deletion)})")
            queued = []
            for m, files in enumerate(deletion.node.files):
                into = enqueue_files(
                    files, f"gone_{n}", self._run_id, self._now, postgresql=True, schema=self._statements.schema
                )
                parts.append(f"queued_{n}_{m} AS ({into} RETURNING files)")
                queued.append(f"(SELECT coalesce(sum(files), 0) FROM queued_{n}_{m})")
            counts.append(f"(SELECT count(*) FROM gone_{n}), {' + '.join(queued) or '0'}")
        row = self._connection.exec_driver_sql(
            f"WITH {', '.join(parts)} SELECT {', '.join(counts)} WHERE {HANDED_OVER}"
        ).one()
        return [DeletionCounts(int(row[2 * n]), int(row[2 * n + 1])) for n in range(len(deletions))]

    def _in_turn(self, deletions: Sequence[DeleteStatement]) -> list[DeletionCounts]:
        """First the files, then the rows: nobody else can write in between.

        Rows are counted, for SQLite does not tell of those that it deletes by ON DELETE CASCADE; in a circle it does.
        """
        queued = [self._queued(deletion) for deletion in deletions]
        before = [self.number(deletion.count_sql) for deletion in deletions]
        for deletion in deletions:
            self.run(deletion.delete_sql)
        left = [self.number(deletion.count_sql) for deletion in deletions]
        return [DeletionCounts(had - has, files) for had, has, files in zip(before, left, queued, strict=True)]

    def _queued(self, deletion: DeleteStatement) -> int:
        """Put the files that rows to be deleted name into the outbox; returns how many."""
        source, queued = f"(SELECT * FROM {deletion.node.name.sql} AS d WHERE {deletion.condition})", 0
        for files in deletion.node.files:
            queued += self.number(f"SELECT count(*) FROM {source} WHERE {files.named_files}")
            self.run(enqueue_files(files, source, self._run_id, self._now, postgresql=False, schema=None))
        return queued


def _returned(deletion: DeleteStatement) -> str:
    """The columns that the outbox needs of deleted rows."""
    named = [name for f in deletion.node.files for name in (f.key, f.bucket_column) if name]
    return ", ".join(f"d.{quote_identifier(name)}" for name in dict.fromkeys(named)) or "1"


def _translated(exc: DBAPIError) -> NightshiftError:
    """Returns the batch's error for a failed statement, with the driver's first line: its detail may quote rows."""
    state = sqlstate(exc) or ""
    if is_busy(exc) or is_timeout(exc):
        return LockContention("rows are locked by somebody else", detail=server_message(exc))
    if is_about_rows(state, in_function=is_in_function(exc)) if state else type(exc).__name__ == "IntegrityError":
        return DeletionRejected("the database refused to delete rows", detail=server_message(exc))
    error = refused_statement(exc)
    error.message = "the database refused a statement"
    if error.hint and error.hint.startswith("GRANT SELECT"):
        error.hint = "GRANT SELECT, UPDATE, DELETE on it to nightshift's role"
    return error
