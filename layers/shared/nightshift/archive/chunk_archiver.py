"""Archives and deletes a chunk: one transaction deletes the rows and makes their objects part of the archive.

A chunk on PostgreSQL, on one data connection:

1. `BEGIN`, with timeouts from the run's remaining time;
2. `COPY (DELETE … RETURNING …) TO STDOUT`: one statement exports and deletes the same rows;
3. the objects are recorded as `pending` in the ledger (committed on the control connection), written and verified
   (`uploader`);
4. the objects' ledger rows become `archived`, in the same transaction as 2;
5. `COMMIT`. Deletion and record are atomic.

A run that is killed before 5 has deleted no row, and a later run deletes its objects. After a COMMIT without an answer,
the ledger shows the outcome. A transaction in SQLite locks the whole file against writers. In SQLite step 2 therefore
only reads the rows. A short transaction after step 3 deletes the rows, and commits only if it returns exactly the
archived rows.

Rejected: SELECT, then DELETE by the same condition (rows inserted in between are lost); DELETE by captured keys (an
update in between is lost, and a key is needed); moving rows to a staging table first (every row is written twice).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from nightshift.archive.deletion_check import DeletionCheck
from nightshift.archive.ledger import ArchiveLedger, LedgerEntry
from nightshift.archive.target import CleanupTarget
from nightshift.archive.uploader import ArchiveUploader
from nightshift.database.catalog import HeapTable
from nightshift.errors import ArchiveMismatch, CommitUnknown, NightshiftError, TableChanged
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep
from nightshift.rows import columns
from nightshift.rows.row_connection import ConnectionLost, RowConnection, StatementInterrupted, TransactionLimits

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class LedgerCommit:
    """Records objects on the connection that deleted their rows, and commits."""

    uploader: ArchiveUploader
    ledger: ArchiveLedger
    listener: Listener
    postgresql: bool

    def __call__(self, connection: RowConnection, table: str, entries: Sequence[LedgerEntry]) -> None:
        """Mark the objects as archived, and commit.

        Args:
            table: label of the table, for the progress events.

        Raises:
            ArchiveMismatch: a ledger row is no longer `pending`, because another run swept its object.
            CommitUnknown: COMMIT was not answered, and the ledger cannot be read. No object is deleted from S3.
            ConnectionLost: COMMIT was not answered, and the ledger shows that the transaction was not committed.
        """
        keys = [entry.key for entry in entries]
        try:
            record = self.ledger.mark_archived_sql(entries, postgresql=self.postgresql) if entries else ""
            turned = connection.execute(record) if entries else 0
            if turned != len(entries):
                raise ArchiveMismatch(
                    "another run swept objects of this one",
                    detail=f"{len(entries) - turned} of {len(entries)} ledger rows were no longer pending",
                    hint="the rows are still in the database; make sure that one deployment only works on it",
                )
        except BaseException:
            self.uploader.abort_upload(keys)
            raise
        self.listener(ProgressEvent(step=ProgressStep.COMMITTING, table=table, keys=tuple(keys)))
        try:
            connection.commit()
        except ConnectionLost as exc:
            self._settle(keys, exc)
        except NightshiftError:
            self.uploader.abort_upload(keys)
            raise

    def _settle(self, keys: Sequence[str], cause: ConnectionLost) -> None:
        """Determine from the ledger whether a COMMIT without an answer succeeded."""
        try:
            committed = self.ledger.is_committed(keys)
        except (DBAPIError, NightshiftError) as exc:
            raise CommitUnknown(
                "the connection was lost during COMMIT",
                detail=f"{len(keys)} objects; the ledger could not be asked ({type(exc).__name__})",
                hint="nothing is lost either way: the next run finds out, and goes on from there",
            ) from cause
        if not committed:
            self.uploader.abort_upload(keys)
            raise cause


class ChunkArchiver:
    """Moves chunks of one table from its database into the archive."""

    def __init__(
        self, target: CleanupTarget, uploader: ArchiveUploader, ledger: ArchiveLedger, listener: Listener
    ) -> None:
        self.target = target
        self.uploader = uploader
        self._listener = listener
        self._returning = DeletionCheck(target)
        self._ledger_commit = LedgerCommit(uploader, ledger, listener, postgresql=target.is_postgresql)

    def archive_chunk(
        self,
        connection: RowConnection,
        heap: HeapTable,
        condition: str,
        bounds: TransactionLimits,
        *,
        skip_locked: bool = False,
        limit: int | None = None,
    ) -> tuple[pa.Table, list[LedgerEntry]]:
        """Archive and delete the rows of one chunk.

        Args:
            condition: SQL condition of the heap's rows that are due and in the chunk.
            skip_locked: skip rows that another transaction has locked.
            limit: maximum number of rows (PostgreSQL).

        Returns:
            the deleted rows, and the ledger entries of the objects that hold them.

        Raises:
            NightshiftError: no row was deleted. This run or a later run deletes the written objects.
        """
        try:
            if self.target.is_postgresql:
                statement = self.target.delete_sql(heap, condition, skip_locked=skip_locked, limit=limit)
                rows, entries = self._in_one(connection, heap, statement, bounds)
            else:
                rows, entries = self._in_two(connection, heap, condition, bounds)
        except BaseException:
            self._tell(ProgressStep.ROLLED_BACK)
            raise
        if entries:
            self._tell(ProgressStep.COMMITTED, rows.num_rows, sum(e.bytes for e in entries), [e.key for e in entries])
        return rows, entries

    def _in_one(
        self, connection: RowConnection, heap: HeapTable, statement: str, bounds: TransactionLimits
    ) -> tuple[pa.Table, list[LedgerEntry]]:
        """Delete, upload, record and commit in one transaction (PostgreSQL)."""
        with connection.transaction(bounds):
            before = self._returning.count_before(connection)
            fetched = connection.read_table(statement, bounds)
            self._returning.check_deleted(connection, before, fetched.num_rows)
            self._tell(ProgressStep.STREAMED, fetched.num_rows)
            if fetched.num_rows == 0:
                return fetched, []
            self.check_schema_unchanged(connection, heap)
            rows = self.apply_column_types(fetched)
            entries = self.uploader.upload_rows(self.target, rows)
            self.commit_chunk(connection, entries)
        return rows, entries

    def _in_two(
        self, connection: RowConnection, heap: HeapTable, condition: str, bounds: TransactionLimits
    ) -> tuple[pa.Table, list[LedgerEntry]]:
        """Read and upload rows without a lock, then delete the rows if they have not changed since (SQLite)."""
        rows = connection.read_table(self.target.select_sql(heap, condition), bounds)
        self._tell(ProgressStep.STREAMED, rows.num_rows)
        if rows.num_rows == 0:
            return rows, []
        entries = self.uploader.upload_rows(self.target, rows)
        keys = [entry.key for entry in entries]
        try:
            with connection.transaction(bounds):
                before = self._returning.count_before(connection)
                deleted = connection.read_table(self.target.delete_sql(heap, condition), bounds)
                self._returning.check_deleted(connection, before, deleted.num_rows)
                self.check_schema_unchanged(connection, heap)
                if not deleted.equals(rows):
                    raise StatementInterrupted("rows changed while they were archived")
                self.commit_chunk(connection, entries)
        except BaseException:
            self.uploader.abort_upload(keys)
            raise
        return rows, entries

    def check_schema_unchanged(self, connection: RowConnection, heap: HeapTable) -> None:
        """Check that the table is as the guards checked it, e.g. that no column or cascade was added since.

        The caller calls the method in the transaction, after the statement that locked the heap. Until the transaction
        ends, nobody can change the heap's columns, keys, triggers or rules.

        Raises:
            TableChanged: the table or its holds have changed.
        """
        self.target.watch.check_unchanged(connection.execute)
        if connection.execute(self.target.shape_sql(heap)) != heap.shape:
            raise TableChanged(
                "the table was altered while it was archived",
                detail=f"{heap.name.label}: its columns, keys, triggers or rules are not what they were",
                hint="nothing of this chunk was deleted; the next run takes the table as it is then",
            )

    def commit_chunk(self, connection: RowConnection, entries: Sequence[LedgerEntry]) -> None:
        """Record the objects in the transaction that deletes their rows, and commit; see `LedgerCommit`."""
        self._ledger_commit(connection, self.target.info.name.label, entries)

    def apply_column_types(self, rows: pa.Table) -> pa.Table:
        """Returns fetched rows with the final Arrow types of their columns."""
        if not self.target.is_postgresql or rows.num_columns == 0:
            return rows
        return columns.apply_types(rows, self.target.column_encodings())

    def _tell(self, step: ProgressStep, rows: int = 0, size: int = 0, keys: Sequence[str] = ()) -> None:
        label = self.target.info.name.label
        self._listener(ProgressEvent(step=step, table=label, rows=rows, bytes=size, keys=tuple(keys)))
