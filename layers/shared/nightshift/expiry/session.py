"""The session that deletes a cascade without an archive, on a connection of SQLAlchemy's. It transfers only counts.

On PostgreSQL one statement deletes a table's rows and puts their files into the outbox, so the outbox gets exactly the
files of the deleted rows. One statement also deletes the rows of tables that reference each other in a circle, because
PostgreSQL checks foreign keys at the end of a statement. SQLite allows one writer at a time, and checks foreign keys at
the end of the transaction.
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
    """A lock, a deadlock or a timeout prevented a batch: another session interfered, or the batch was too large.
    Nothing was changed."""


class DeletionRejected(NightshiftError):
    """The database refused to delete a row, e.g. because of a trigger or a constraint. Nothing was changed."""


class UnexpiredDependentError(DeletionRejected):
    """An unexpired row depends on an expired row; both rows stay until both have expired. Nothing was changed."""


UNTOLD = "names no file that may be deleted"
"""Warning for a row whose file cannot be identified, if Python's rules give no more precise reason."""

WORK_MEM = "32MB"
"""Value of `work_mem`: the server's memory for a statement's keys and files. The default of 4 MB suffices for a few
thousand rows."""


@dataclass(frozen=True, slots=True)
class DeletionCounts:
    """Counts of one deletion.

    Attributes:
        queued: number of files put into the outbox.
        objects, bytes: number and size of the objects written to the archive.
    """

    deleted: int
    queued: int = 0
    objects: int = 0
    bytes: int = 0


class DeletionSession(Protocol):
    """Protocol of the sessions on which batches are deleted."""

    @contextmanager
    def transaction(self, seconds: float, *, single: bool) -> Iterator[None]:
        """Open a transaction, which is rolled back at the end unless `commit()` was called.

        Args:
            single: the batch has one expired row, which must be deleted with all its dependent rows.

        Raises:
            LockContention, DeletionRejected: the batch could not be deleted as it is; a smaller one may.
        """

    def run(self, statement: str) -> int:
        """Run a statement that changes rows, and return the number of changed rows."""

    def keys(self, statement: str) -> list[Key]:
        """Returns the rows of a query whose columns are all text."""

    def delete(self, deletions: Sequence[DeleteStatement]) -> list[DeletionCounts]:
        """Delete rows and put their files into the outbox; several deletions are of tables in one circle."""

    def number(self, statement: str) -> int:
        """Returns the single integer that a query yields."""

    def commit(self) -> None:
        """Commit the transaction."""


class ControlSession:
    """A `DeletionSession` on a connection of `Database`; it does not archive."""

    def __init__(
        self, connection: Connection, statements: ExpiryStatements, run_id: str, as_of: datetime, lock_seconds: float
    ) -> None:
        """Args:
        as_of: aware time from which on the files may be deleted.
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
            # Without the pragma SQLite ignores ON DELETE SET NULL; within a transaction the pragma has no effect.
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
            # The pragma applies only to this transaction.
            self._connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            return
        # Regardless of the database's default: a batch must see rows that were committed while it waited for a lock.
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
        """Run one statement with all deletions and the insertions of the deleted rows' files into the outbox.

        All triggers run with the role's own search_path: the deletions are parts of a statement whose condition sets
        the path before the deletions begin.
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
        """Put files into the outbox, then delete the rows; no other session can write in between.

        The deleted rows are counted by queries, because SQLite does not report rows that ON DELETE CASCADE deletes.
        """
        queued = [self._queued(deletion) for deletion in deletions]
        before = [self.number(deletion.count_sql) for deletion in deletions]
        for deletion in deletions:
            self.run(deletion.delete_sql)
        left = [self.number(deletion.count_sql) for deletion in deletions]
        return [DeletionCounts(had - has, files) for had, has, files in zip(before, left, queued, strict=True)]

    def _queued(self, deletion: DeleteStatement) -> int:
        """Put the files of the rows that will be deleted into the outbox, and return their number."""
        source, queued = f"(SELECT * FROM {deletion.node.name.sql} AS d WHERE {deletion.condition})", 0
        for files in deletion.node.files:
            queued += self.number(f"SELECT count(*) FROM {source} WHERE {files.named_files}")
            self.run(enqueue_files(files, source, self._run_id, self._now, postgresql=False, schema=None))
        return queued


def _returned(deletion: DeleteStatement) -> str:
    """Returns the SQL list of the deleted rows' columns that the outbox needs."""
    named = [name for f in deletion.node.files for name in (f.key, f.bucket_column) if name]
    return ", ".join(f"d.{quote_identifier(name)}" for name in dict.fromkeys(named)) or "1"


def _translated(exc: DBAPIError) -> NightshiftError:
    """Returns the batch's error for a failed statement, without the server's detail, which may quote rows."""
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
