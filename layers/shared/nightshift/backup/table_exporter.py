"""Saves the rows of a snapshot: several connections, each streaming one piece of a table after the other.

If PostgreSQL cannot send a row or read a page, only the rows of this table are not saved. `missing` names the table,
and the export continues with the other tables.

A table is saved when all its pieces were read and all its parts were verified in S3. If the time is over, an unfinished
table is saved as a whole in a later snapshot, because parts from two snapshots would not be consistent.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightshift.backup.block_ranges import BlockRange, column_encodings, largest_first, split_into_ranges
from nightshift.backup.database_inventory import SourceTable
from nightshift.backup.digest import RowHashSum
from nightshift.backup.models import BackupPart, ComputedColumn, SavedColumn, TableEntry
from nightshift.backup.snapshot import ExportedSnapshot
from nightshift.backup.uploader import SMALL, BackupUploader, PackWriter
from nightshift.concurrency import WorkerPool
from nightshift.database.catalog import TableName
from nightshift.errors import ArchiveMismatch
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep
from nightshift.rows.columns import apply_types
from nightshift.rows.parquet import ParquetEncoder
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import (
    RowsLocked,
    StatementInterrupted,
    StatementRefused,
    TransactionLimits,
    rebatch,
)

if TYPE_CHECKING:
    import pyarrow as pa

PART_BYTES = 12 << 20
"""Arrow memory of one part's rows; see benchmarks/backup.py for what two connections take with it."""

_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Result of exporting the tables.

    Attributes:
        entries: those that are in S3, whole.
        left: those for which the time did not suffice.
        missing: sentences for the manifest.
        unsaved: sentences about tables whose rows the database could not give.
    """

    entries: tuple[TableEntry, ...]
    left: tuple[SourceTable, ...]
    missing: tuple[str, ...]
    unsaved: tuple[str, ...]


class _Table:
    """Export of one table; its pieces may be read by several threads."""

    def __init__(self, source: SourceTable, run_id: str) -> None:
        self.source = source
        self.carried = column_encodings(source)
        self.encoder = ParquetEncoder(None, {"nightshift.table": source.name.label, "nightshift.run_id": run_id})
        self.sum = RowHashSum()
        self.left = 0
        self.refused: str | None = None
        self.parts: dict[int, Future[BackupPart]] = {}
        self.numbers = itertools.count(1)

    def entry(self) -> TableEntry:
        """Returns the manifest's entry of the table.

        Raises:
            ArchiveMismatch: the parts have more or fewer rows than the server hashed.
        """
        parts = [part.result() for _, part in sorted(self.parts.items())]
        name, total = self.source.name, self.sum if self.carried else RowHashSum()
        if sum(part.rows for part in parts) != total.rows:
            raise ArchiveMismatch(
                "row counts differ", detail=f"{name.label}: {total.rows} rows read, others in Parquet"
            )
        return TableEntry(
            schema=name.schema,
            name=name.name,
            rows=total.rows,
            digest=total.digest(),
            bytes=sum(part.bytes for part in parts),
            columns=tuple(SavedColumn(name=c.name, type=c.type_name) for c in self.source.columns),
            computed=tuple(
                ComputedColumn(name=c.name, type=c.type_name, digest=total.digest_computed(place))
                for place, c in enumerate(self.source.computed)
            ),
            parts=tuple(parts),
        )


@dataclass(slots=True)
class TableExporter:
    """Saves tables of one snapshot.

    Attributes:
        deadline: `time.monotonic()` value after which no row is read any more.
    """

    snapshot: ExportedSnapshot
    uploader: BackupUploader
    run_id: str
    listener: Listener
    deadline: float
    _packer: PackWriter = field(init=False)
    _pool: WorkerPool = field(init=False)
    _pieces: deque[tuple[_Table, BlockRange]] = field(default_factory=deque, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._packer = PackWriter(self.uploader)
        self._pool = WorkerPool("backup", self.deadline)

    def export_tables(self, sources: Sequence[SourceTable], workers: int) -> ExportResult:
        """Save tables, the largest first, by so many connections at once.

        Raises:
            StoreError, ArchiveMismatch, NightshiftError: S3 or the database failed; nothing of it is part of a backup.
        """
        tables = [_Table(source, self.run_id) for source in largest_first(sources)]
        for table in tables:
            pieces = split_into_ranges(table.source, self.snapshot.number)
            table.left = len(pieces)
            self._pieces.extend((table, piece) for piece in pieces)
            self._tell(ProgressStep.PLANNED, table, max(0, int(table.source.rows)))
        self._pool.run(self._work, workers)
        self._packer.send_open_pack()
        for table in tables:
            for part in table.parts.values():
                part.result()
        refused = [table for table in tables if table.refused is not None]
        done = [table for table in tables if not table.left]
        missing = [
            f"the rows of {table.source.name.label}, which has no stored columns: {table.sum.rows}"
            for table in done
            if table.sum.rows and not table.carried
        ]
        return ExportResult(
            entries=tuple(table.entry() for table in done),
            left=tuple(table.source for table in tables if table.left and table not in refused),
            missing=tuple(missing),
            unsaved=tuple(f"the rows of {table.source.name.label}: {table.refused}" for table in refused),
        )

    def _work(self) -> None:
        """One connection's part: piece after piece until there is none, or no time."""
        try:
            while self._read_on():
                pass
        except StatementInterrupted:
            if not self._pool.is_over():  # by somebody else
                raise

    def _read_on(self) -> bool:
        """Read pieces over one connection. Returns True if a refused row ended the connection and pieces may remain."""
        with closing(self.snapshot.connect()) as connection:
            while (unit := self._take()) is not None:
                try:
                    self._read(connection, *unit)
                except StatementRefused as exc:  # a value that is too large, a damaged page: another table may be read
                    unit[0].refused = f"{exc.message}: {exc.detail}" + (f" ({exc.hint})" if exc.hint else "")
                    return True
        return False

    def _take(self) -> tuple[_Table, BlockRange] | None:
        with self._lock:
            while self._pieces and not self._pool.is_over():
                table, piece = self._pieces.popleft()
                if table.refused is None:
                    return table, piece
        return None

    def _read(self, connection: PostgresConnection, table: _Table, piece: BlockRange) -> None:
        seconds = self._pool.seconds_left(0.001)
        bounds = TransactionLimits(seconds=seconds, lock_seconds=0, bytes=_UNLIMITED, stop=self._pool.is_over)
        hashes = RowHashSum()
        # The server ends a statement at the deadline: while it is silent, our side cannot check the clock.
        left_ms = min(int(seconds * 1000), 2_000_000_000)
        connection.execute(f"SELECT length(set_config('statement_timeout', '{left_ms}ms', true))")

        def batches() -> Iterator[pa.RecordBatch]:
            """The piece's rows, their hashes summed and taken off."""
            for batch in connection.stream_rows(piece.select_sql(table.carried), bounds):
                width = batch.num_columns - 1 - len(table.source.computed)
                hashes.add(batch.column(width), batch.columns[width + 1 :])
                if width:
                    yield batch.select(range(width))

        try:
            for rows in rebatch(batches(), PART_BYTES):
                self._ship(table, rows)
        except RowsLocked as exc:
            raise RowsLocked(
                "somebody wants to alter a table that is being backed up",
                detail=f"{table.source.name.label}: {exc.detail}",
                hint="the backup gave way, and is taken again by the next run",
            ) from exc
        with self._lock:
            table.sum.merge(hashes)
            table.left -= 1

    def _ship(self, table: _Table, rows: pa.Table) -> None:
        label = table.source.name.label
        self._tell(ProgressStep.STREAMED, table, rows.num_rows)
        file = table.encoder.encode_rows(apply_types(rows, table.carried))
        if file.rows != rows.num_rows:
            raise ArchiveMismatch("row counts differ", detail=f"{label}: {rows.num_rows} read, {file.rows} in Parquet")
        number = next(table.numbers)
        name = f"{folder_of(table.source.name)}/part-{number:05}.parquet"
        if len(file.body) < SMALL:
            part = self._packer.add_file(name, file.body, rows=file.rows)
        else:
            key = self.uploader.object_key("data", name)
            part = self.uploader.upload_async(label, key, file.body, rows=file.rows)
        part.add_done_callback(self._sent)
        with self._lock:
            table.parts[number] = part

    def _sent(self, part: Future[BackupPart]) -> None:
        if part.cancelled() or part.exception() is not None:
            self._pool.stop()

    def _tell(self, step: ProgressStep, table: _Table, rows: int) -> None:
        self.listener(ProgressEvent(step=step, table=table.source.name.label, rows=rows))


def folder_of(name: TableName) -> str:
    """Returns the folder of a table's parts: its name, with ambiguous characters escaped."""

    def escaped(text: str) -> str:
        return "".join(c if c.isalnum() or c in "_-" else "".join(f"%{b:02X}" for b in c.encode()) for c in text)

    return ".".join(escaped(part) for part in (name.schema, name.name) if part)
