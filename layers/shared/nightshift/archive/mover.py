"""The protocol: rows leave the database in the very transaction that makes their objects part of the archive.

A chunk on PostgreSQL, on one data connection:

1. `BEGIN`, timeouts from what is left of the run's budget;
2. `COPY (DELETE … RETURNING …) TO STDOUT`: what is exported *is* what is deleted, in one statement;
3. the objects are intended in the ledger (committed, on the control connection), written and proven (`uploader`);
4. their ledger rows turn `archived`, in the same transaction as 2;
5. `COMMIT`. Deletion and record are one atom.

Whoever dies before 5 has deleted nothing, and the objects are orphans that a later run sweeps. A COMMIT without an
answer is settled by asking the ledger. SQLite locks the whole file against writers, so there the rows are only read
in step 2; the deletion runs after the proof, in a short transaction that goes through only if it returns exactly the
rows that were archived.

Rejected: SELECT, then DELETE by the same condition (rows that come between are lost); DELETE by captured keys (an
update that comes between is lost, and a key is needed); moving rows to a staging table first (everything is written
twice).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nightshift.archive.events import ChunkEvent, Listener, Step
from nightshift.archive.ledger import Entry, Ledger
from nightshift.archive.returning import Returning
from nightshift.archive.seal import Seal
from nightshift.archive.target import Target
from nightshift.archive.uploader import Uploader
from nightshift.database.catalog import Heap
from nightshift.errors import TableChanged
from nightshift.rows import columns
from nightshift.rows.source import Bounds, Interrupted, RowConnection

if TYPE_CHECKING:
    import pyarrow as pa


class Mover:
    """Moves chunks of one table from its database into the archive."""

    def __init__(self, target: Target, uploader: Uploader, ledger: Ledger, listener: Listener) -> None:
        self.target = target
        self.uploader = uploader
        self._listener = listener
        self._returning = Returning(target)
        self._seal = Seal(uploader, ledger, listener, postgresql=target.postgresql)

    def move(
        self,
        connection: RowConnection,
        heap: Heap,
        condition: str,
        bounds: Bounds,
        *,
        skip_locked: bool = False,
        limit: int | None = None,
    ) -> tuple[pa.Table, list[Entry]]:
        """Archive and delete the rows of one chunk.

        Args:
            condition: SQL, which rows of the heap are due and in the chunk.
            skip_locked: leave rows that somebody else has locked.
            limit: take so many rows at the most (PostgreSQL).

        Returns:
            the rows that left the database, and the objects that hold them now.

        Raises:
            NightshiftError: nothing was deleted; what was written is removed, now or by a later run.
        """
        try:
            if self.target.postgresql:
                statement = self.target.delete(heap, condition, skip_locked=skip_locked, limit=limit)
                rows, entries = self._in_one(connection, heap, statement, bounds)
            else:
                rows, entries = self._in_two(connection, heap, condition, bounds)
        except BaseException:
            self._tell(Step.ROLLED_BACK)
            raise
        if entries:
            self._tell(Step.COMMITTED, rows.num_rows, sum(e.bytes for e in entries), [e.key for e in entries])
        return rows, entries

    def _in_one(
        self, connection: RowConnection, heap: Heap, statement: str, bounds: Bounds
    ) -> tuple[pa.Table, list[Entry]]:
        """PostgreSQL: delete, upload, record, commit."""
        with connection.transaction(bounds):
            before = self._returning.before(connection)
            fetched = connection.read(statement, bounds)
            self._returning.check(connection, before, fetched.num_rows)
            self._tell(Step.STREAMED, fetched.num_rows)
            if fetched.num_rows == 0:
                return fetched, []
            self.check_shape(connection, heap)
            rows = self.refine(fetched)
            entries = self.uploader.upload(self.target, rows)
            self.seal(connection, entries)
        return rows, entries

    def _in_two(
        self, connection: RowConnection, heap: Heap, condition: str, bounds: Bounds
    ) -> tuple[pa.Table, list[Entry]]:
        """SQLite: read and upload without a lock; delete only what has not changed since."""
        rows = connection.read(self.target.select(heap, condition), bounds)
        self._tell(Step.STREAMED, rows.num_rows)
        if rows.num_rows == 0:
            return rows, []
        entries = self.uploader.upload(self.target, rows)
        keys = [entry.key for entry in entries]
        try:
            with connection.transaction(bounds):
                before = self._returning.before(connection)
                deleted = connection.read(self.target.delete(heap, condition), bounds)
                self._returning.check(connection, before, deleted.num_rows)
                self.check_shape(connection, heap)
                if not deleted.equals(rows):
                    raise Interrupted("rows changed while they were archived")
                self.seal(connection, entries)
        except BaseException:
            self.uploader.discard(keys)
            raise
        return rows, entries

    def check_shape(self, connection: RowConnection, heap: Heap) -> None:
        """Make sure that what the guards saw still holds: a column or a cascade may have come since.

        Call it in the transaction, after the statement that locked the heap: until the transaction ends nobody can
        change its columns, keys, triggers or rules.

        Raises:
            TableChanged: something has changed.
        """
        self.target.watch.check(connection.execute)
        if connection.execute(self.target.shape_sql(heap)) != heap.shape:
            raise TableChanged(
                "the table was altered while it was archived",
                detail=f"{heap.name.label}: its columns, keys, triggers or rules are not what they were",
                hint="nothing of this chunk was deleted; the next run takes the table as it is then",
            )

    def seal(self, connection: RowConnection, entries: Sequence[Entry]) -> None:
        """Record the objects in the transaction that removes their rows, and commit; see `Seal`."""
        self._seal(connection, self.target.info.name.label, entries)

    def refine(self, rows: pa.Table) -> pa.Table:
        """Give fetched rows their final types."""
        if not self.target.postgresql or rows.num_columns == 0:
            return rows
        return columns.refine(rows, self.target.carried())

    def _tell(self, step: Step, rows: int = 0, size: int = 0, keys: Sequence[str] = ()) -> None:
        label = self.target.info.name.label
        self._listener(ChunkEvent(step=step, table=label, rows=rows, bytes=size, keys=tuple(keys)))
