"""The session of a policy with `archive = true`, which archives rows before their deletion commits.

The session uses a connection for row data and the archive code of `cleanup`. Each deletion is `COPY (DELETE …
RETURNING …)`, so the archived rows are exactly the deleted rows. The session writes and verifies the objects while the
transaction is open. The commit that deletes the rows makes the objects part of the archive. Expired rows are archived
under the day of their `expires_at`. Dependent rows often have no timestamp and are archived under the day of the run.

If tables of the cascade have triggers, the deletion of one row may change or delete another row of the batch. The
session then reads and locks all rows before it deletes the first row, and archives the rows as it read them. The number
of rows that the server deleted must equal the number of archived rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from nightshift.archive.chunk_archiver import LedgerCommit
from nightshift.archive.chunk_workers import MAX_CHUNK_OVERSHOOT, UNBOUNDED
from nightshift.archive.context import ArchiveContext, RunLimits
from nightshift.archive.ledger import LedgerEntry
from nightshift.database.catalog import TableInfo, TableName, quote_literal
from nightshift.database.connect import Database
from nightshift.database.search_path import HAND_OVER, HANDED_OVER, TAKEN_BACK
from nightshift.database.values import format_timestamp
from nightshift.expiry.file_columns import enqueue_files
from nightshift.expiry.graph import CascadeTable
from nightshift.expiry.session import DeletionCounts, DeletionRejected, LockContention
from nightshift.expiry.statements import DeleteStatement, ExpiryStatements, Key
from nightshift.rows import columns
from nightshift.rows.parquet import ArchiveDay, by_day
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import (
    RowConnection,
    RowsLocked,
    RowTooBig,
    StatementRefused,
    TooLarge,
    TransactionLimits,
)
from nightshift.rows.timestamp_column import TimestampColumn
from nightshift.run import JobRun

if TYPE_CHECKING:
    import pyarrow as pa

_DELETED = """
SELECT CASE WHEN current_setting('track_counts')::boolean
  THEN (SELECT sum(pg_stat_get_xact_tuples_deleted(heap::regclass))::bigint FROM unnest(ARRAY[{heaps}]) heap)
  ELSE {untracked} END
"""
"""Query for the number of rows that this session has deleted; the number may include earlier transactions."""


@dataclass(frozen=True, slots=True)
class CascadeTableSource:
    """A table of the cascade as an `archive.uploader.ArchiveSource`; without an axis, rows belong to day `today`."""

    info: TableInfo
    axis: TimestampColumn | None
    timezone: str
    today: date

    def split_by_day(self, rows: pa.Table) -> Iterable[ArchiveDay]:
        """Returns the rows, split by the day under which they are archived."""
        return [ArchiveDay(self.today, rows, None, None)] if self.axis is None else by_day(rows, self.axis)


@dataclass
class ArchiveSession:
    """A `DeletionSession` for PostgreSQL that archives the rows it deletes.

    Attributes:
        connect: function that opens the connection for row data, also after the connection was lost.
        as_of: aware time in the policy's zone.
    """

    connect: Callable[[], RowConnection]
    statements: ExpiryStatements
    seal: LedgerCommit
    limits: RunLimits
    run_id: str
    as_of: datetime
    timezone: str
    _entries: list[LedgerEntry] = field(init=False, default_factory=list)
    _open: RowConnection | None = field(init=False, default=None)
    _bounds: TransactionLimits = field(init=False)
    _before: dict[TableName, pa.Table] | None = field(init=False, default=None)
    _deleted: int = field(init=False, default=0)
    _archived: int = field(init=False, default=0)

    def close(self) -> None:
        """Close the connection for row data."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @contextmanager
    def transaction(self, seconds: float, *, single: bool) -> Iterator[None]:
        self._entries, self._before = [], None
        self._bounds = TransactionLimits(
            seconds=seconds,
            lock_seconds=self.limits.lock_seconds,
            bytes=UNBOUNDED if single else self.limits.chunk_bytes * MAX_CHUNK_OVERSHOOT,
            stop=lambda: time.monotonic() > self.limits.deadline,
        )
        try:
            with self._connection.transaction(self._bounds):
                yield
        except (RowsLocked, TooLarge) as exc:
            raise LockContention(exc.message, detail=exc.detail) from exc
        except StatementRefused as exc:
            raise DeletionRejected(exc.message, detail=exc.detail) from exc
        finally:
            if self._entries:
                self.seal.uploader.abort_upload([entry.key for entry in self._entries])

    @property
    def _connection(self) -> RowConnection:
        if self._open is not None and not self._open.healthy:
            self.close()
        if self._open is None:
            self._open = self.connect()
        return self._open

    def run(self, statement: str) -> int:
        if statement.startswith("INSERT"):
            return self._connection.execute(f"WITH put AS ({statement} RETURNING 1) SELECT count(*) FROM put")
        self._connection.run_statement(statement)
        return 0

    def keys(self, statement: str) -> list[Key]:
        return [tuple(row.values()) for row in self._connection.read_table(statement, self._bounds).to_pylist()]

    def number(self, statement: str) -> int:
        return self._connection.execute(statement)

    def delete(self, deletions: Sequence[DeleteStatement]) -> list[DeletionCounts]:
        """See `DeletionSession.delete`; each statement returns the rows of one table."""
        if self._has_triggers and self._before is None:
            self._deleted, self._archived = self._count_deleted(0), 0
            self._before = {node.name: self._read_as_it_is(node) for node in self._nodes}
        return [self._delete(deletion) for deletion in deletions]

    def commit(self) -> None:
        if self._has_triggers:
            self._check_deleted()
        # From here on `seal` decides whether the objects are kept: only it learns that COMMIT's outcome is unknown.
        entries, self._entries = self._entries, []
        self.seal(self._connection, self.statements.cascade.root.label, entries)

    @property
    def _nodes(self) -> Iterable[CascadeTable]:
        return self.statements.cascade.nodes.values()

    @property
    def _has_triggers(self) -> bool:
        return any(node.info.triggers for node in self._nodes)

    def _count_deleted(self, untracked: int) -> int:
        heaps = ", ".join(quote_literal(heap.name.sql) for node in self._nodes for heap in node.info.heaps)
        return self._connection.execute(_DELETED.format(heaps=heaps, untracked=untracked))

    def _check_deleted(self) -> None:
        """Raise `DeletionRejected` if triggers have changed the number of deleted rows."""
        self._connection.execute(HAND_OVER)
        self._connection.run_statement("SET CONSTRAINTS ALL IMMEDIATE")  # triggers that are due at COMMIT
        self._connection.execute(TAKEN_BACK)
        if self._count_deleted(self._deleted + self._archived) - self._deleted != self._archived:
            names = ", ".join(f"{name} of {node.name.label}" for node in self._nodes for name in node.info.triggers)
            raise DeletionRejected(
                "other rows were deleted than were archived",
                detail=f"other rows would go than are archived ({names})",
            )

    def _read_as_it_is(self, node: CascadeTable) -> pa.Table:
        carried, rows = self._carried(node), self.statements.deleted_condition(node.name)
        statement = f"SELECT {columns.select_list(carried)} FROM {node.name.sql} AS d WHERE {rows} FOR UPDATE OF d"
        return self._read(node, statement, carried)

    def _carried(self, node: CascadeTable) -> list[columns.ColumnEncoding]:
        axis = self._origin(node.info).axis
        return [
            columns.encode_column(column, always_fits=axis is not None and column.name == axis.column)
            for column in node.info.columns
        ]

    def _read(self, node: CascadeTable, statement: str, carried: Sequence[columns.ColumnEncoding]) -> pa.Table:
        try:
            fetched = self._connection.read_table(statement, self._bounds)
        except RowTooBig as exc:
            raise RowTooBig(f"{node.info.name.label}: {exc.message}: {exc.detail}") from exc
        return columns.apply_types(fetched, carried) if fetched.num_rows else fetched

    def _delete(self, deletion: DeleteStatement) -> DeletionCounts:
        node, carried = deletion.node, self._carried(deletion.node)
        parts = [f"gone AS ({deletion.delete_sql} RETURNING d.*)"]
        for n, files in enumerate(node.files):
            now = format_timestamp(self.as_of, offset=True)
            into = enqueue_files(files, "gone", self.run_id, now, postgresql=True, schema=self.statements.schema)
            parts.append(f"queued_{n} AS ({into})")
        statement = f"WITH {', '.join(parts)} SELECT {columns.select_list(carried)} FROM gone WHERE {HANDED_OVER}"
        deleted = self._read(node, statement, carried)
        rows = deleted if self._before is None else self._before.pop(node.name, deleted.slice(0, 0))
        entries = self.seal.uploader.upload_rows(self._origin(node.info), rows) if rows.num_rows else []
        self._entries += entries
        self._archived += rows.num_rows
        return DeletionCounts(
            deleted=deleted.num_rows,
            queued=sum(columns.count_non_empty(deleted, files.key) for files in node.files) if deleted.num_rows else 0,
            objects=len(entries),
            bytes=sum(entry.bytes for entry in entries),
        )

    def _origin(self, info: TableInfo) -> CascadeTableSource:
        axis = self.statements.due.axis if info.name == self.statements.cascade.root else None
        return CascadeTableSource(info, axis, self.timezone, self.as_of.date())


@contextmanager
def archive_session(
    database: Database, archive: ArchiveContext, statements: ExpiryStatements, run: JobRun, zone: ZoneInfo
) -> Iterator[ArchiveSession]:
    """Yields a session that archives, and closes the session at the end."""
    assert archive.uploader is not None  # only a dry run has none
    assert archive.ledger is not None
    session = ArchiveSession(
        connect=lambda: PostgresConnection(database.target),
        statements=statements,
        seal=LedgerCommit(archive.uploader, archive.ledger, archive.listener, postgresql=True),
        limits=archive.limits,
        run_id=run.run_id,
        as_of=run.as_of.astimezone(zone),
        timezone=zone.key,
    )
    try:
        yield session
    finally:
        session.close()
