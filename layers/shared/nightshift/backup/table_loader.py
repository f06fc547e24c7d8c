"""Loads rows into the tables of a fresh schema: several connections, each verifying a part before it loads it.

A part is fetched, its SHA-256 compared, and loaded into its table in one transaction (`part_loader`). After a table's
last part, its digest is computed and compared, while the other connections go on. Several parts of one table are loaded
at once.

If the server refuses a part, the other parts are still loaded: a partial restore is better than no restore. The table
is reported with the server's message and the number of loaded rows. A damaged part or a lost connection ends a restore.

Rows that may belong into other partitions than they came from (`part_loader.hash_partition_routes`) are gathered in
a temporary table with their partition's columns, compared there, and inserted into the parent, all in one transaction.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from nightshift.backup import digest
from nightshift.backup.digest import RowHashSum
from nightshift.backup.models import BackupPart, ComputedColumn, TableEntry
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.part_loader import PartLoader, TargetColumns
from nightshift.backup.requests import RestoreListener
from nightshift.concurrency import WorkerPool
from nightshift.database.catalog import TableName, quote_identifier
from nightshift.database.connect import Database
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import StatementInterrupted, StatementRefused, TransactionLimits

_LEAF = TableName("pg_temp", "nightshift_leaf")
_LOCK_SECONDS = 30.0
_IN_ORDER = "SELECT length(set_config('enable_seqscan', 'on', false))"


@dataclass(slots=True)
class LoadResult:
    """Result of loading the tables.

    Attributes:
        rows: label of a processed table → number of loaded rows.
        bytes: total size of the loaded parts.
        left: number of tables that are incomplete for lack of time.
        differences: one sentence for each table with refused rows or with another digest than in the manifest.
    """

    rows: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    left: int = 0
    differences: list[str] = field(default_factory=list)


@dataclass(slots=True)
class TableLoader:
    """Fills tables.

    Attributes:
        database: the target. After its deadline no further part is loaded.
        fields: columns of the tables, which must fit (`part_loader.column_mismatches`).
        routed: partition → table through which its rows are inserted, see `part_loader.hash_partition_routes`.
        digests: compare digests. In another encoding the digests differ.
    """

    backup: OpenedBackup
    database: Database
    fields: TargetColumns
    listener: RestoreListener
    routed: Mapping[TableName, TableName] = field(default_factory=dict)
    digests: bool = True
    _pool: WorkerPool = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _queue: deque[tuple[TableEntry, tuple[BackupPart, ...]]] = field(default_factory=deque, init=False)
    _waiting: Counter[str] = field(default_factory=Counter, init=False)
    _refused: dict[str, str] = field(default_factory=dict, init=False)
    _filled: LoadResult = field(default_factory=LoadResult, init=False)

    def __post_init__(self) -> None:
        self._pool = WorkerPool("restore", self.database.deadline)

    def load_tables(self, entries: Sequence[TableEntry], *, workers: int) -> LoadResult:
        """Load every row: the largest tables first, then the tables in packs, one pack after the other.

        Raises:
            BackupDamaged, ArchiveMismatch: a part differs from the manifest. Parts loaded before stay loaded.
            NightshiftError: the connection was lost, or another session held a lock.
        """
        for entry in sorted(entries, key=_order_key):
            if not entry.parts:
                self._compare(entry, RowHashSum())
                continue
            units = [entry.parts] if self._is_one_unit(entry) else [(part,) for part in entry.parts]
            self._queue.extend((entry, unit) for unit in units)
            self._waiting[entry.label] = len(units)
        self._pool.run(self._work, max(1, min(workers, len(self._queue))))
        self._filled.left = len(entries) - len(self._filled.rows)
        return self._filled

    def _work(self) -> None:
        try:
            while self._fill():
                pass
        except StatementInterrupted:
            if not self._pool.is_over():
                raise  # it was not our own time that was over

    def _fill(self) -> bool:
        """Load parts over one connection. Returns True after a refusal, which ends the connection; False: all done."""
        with closing(PostgresConnection(self.database.target)) as connection:
            connection.execute(digest.SESSION)
            connection.execute(_IN_ORDER)
            connection.commit()
            loader = PartLoader(connection, self.backup, self.fields)
            while (unit := self._next()) is not None:
                try:
                    self._load(loader, *unit)
                except StatementRefused as exc:
                    self._refuse(*unit, exc)
                    return True
        return False

    def _next(self) -> tuple[TableEntry, tuple[BackupPart, ...]] | None:
        with self._lock:
            return self._queue.popleft() if self._queue and not self._pool.is_over() else None

    def _is_one_unit(self, entry: TableEntry) -> bool:
        """Returns whether a table's rows are loaded and compared in one transaction."""
        return entry.table in self.routed or len(entry.parts) == 1

    def _load(self, loader: PartLoader, entry: TableEntry, parts: Sequence[BackupPart]) -> None:
        """Loads a table's parts in one transaction; without parts, compares a table that has them all."""
        bounds = TransactionLimits(
            seconds=self._pool.seconds_left(), lock_seconds=_LOCK_SECONDS, bytes=1 << 40, stop=self._pool.is_over
        )
        with loader.connection.transaction(bounds):
            if not parts:
                self._compare(entry, self._sum(loader, entry, entry.table, bounds))
                return
            if entry.table in self.routed:
                sums: RowHashSum | None = self._route(loader, entry, parts, bounds)
            else:
                for part in parts:
                    loader.load(entry, part, entry.table, bounds)
                sums = self._sum(loader, entry, entry.table, bounds) if self._is_one_unit(entry) else None
            loader.connection.commit()
        if sums is not None:
            self._compare(entry, sums)
        self.listener(entry.label, sum(part.rows for part in parts))
        with self._lock:
            self._filled.bytes += sum(part.bytes for part in parts)
        self._had_its_turn(entry)

    def _route(
        self, loader: PartLoader, entry: TableEntry, parts: Sequence[BackupPart], bounds: TransactionLimits
    ) -> RowHashSum:
        """Loads a partition's rows through its parent; returns their hash sums from before that."""
        loader.connection.run_statement(
            f"CREATE TEMP TABLE {_LEAF.name} (LIKE {entry.table.sql} INCLUDING GENERATED) ON COMMIT DROP"
        )
        for part in parts:
            loader.load(entry, part, _LEAF, bounds)
            loader.empty_stage()
        sums = self._sum(loader, entry, _LEAF, bounds)
        parent = self.routed[entry.table]
        names = ", ".join(quote_identifier(column.name) for column in entry.columns)
        loader.connection.execute(
            f"WITH added AS (INSERT INTO {parent.sql} ({names}) OVERRIDING SYSTEM VALUE SELECT {names} FROM {_LEAF.sql}"
            " RETURNING 1) SELECT count(*) FROM added"
        )
        return sums

    def _had_its_turn(self, entry: TableEntry) -> None:
        """Enqueues the comparison after a table's last part; tables of one unit have been compared already."""
        with self._lock:
            self._waiting[entry.label] -= 1
            if not self._waiting[entry.label] and not self._is_one_unit(entry):
                self._queue.appendleft((entry, ()))

    def _refuse(self, entry: TableEntry, parts: Sequence[BackupPart], exc: StatementRefused) -> None:
        """Records the server's first refusal of a table's rows."""
        words = (exc.detail or exc.message).rpartition("ERROR:")[2].strip()
        with self._lock:
            self._refused.setdefault(entry.label, words)
        if parts:
            self._had_its_turn(entry)
        if not parts or self._is_one_unit(entry):
            self._compare(entry, RowHashSum())

    def _sum(self, loader: PartLoader, entry: TableEntry, table: TableName, bounds: TransactionLimits) -> RowHashSum:
        """Returns the rows of a table, and the sums of their hashes."""
        computed = [column.name for column in self._computed(entry)]
        statement = digest.digest_sql(table, [column.name for column in entry.columns], computed)
        return digest.read_sum(loader.connection, statement, bounds)

    def _computed(self, entry: TableEntry) -> list[ComputedColumn]:
        """The generated columns that were saved and are there."""
        fields = self.fields[entry.table]
        return [column for column in entry.computed if column.name in fields and fields[column.name].computed]

    def _compare(self, entry: TableEntry, sums: RowHashSum) -> None:
        """Compares the loaded rows of a table with the saved ones, and records the difference."""
        rows = sums.rows
        with self._lock:
            self._filled.rows[entry.label] = rows
            if (words := self._refused.get(entry.label)) is not None:
                self._filled.differences.append(f"{entry.label}: {rows} of {entry.rows} rows came back: {words}")
            elif rows != entry.rows:
                self._filled.differences.append(f"{entry.label}: {rows} rows came back, {entry.rows} were saved")
            elif self.digests and sums.digest() != entry.digest:
                self._filled.differences.append(f"{entry.label}: its rows are not those that were saved (digest)")
            elif self.digests:
                self._filled.differences += _computed_differences(entry, self._computed(entry), sums)


def _order_key(entry: TableEntry) -> tuple[bool, int, str, int]:
    """Returns the sort key of a table: by size alone, each pack would be fetched again and again."""
    packs = [(part.key, part.pack.offset) for part in entry.parts if part.pack]
    if not packs or len(packs) < len(entry.parts):
        return False, -entry.bytes, "", 0
    return True, 0, *packs[0]


def _computed_differences(entry: TableEntry, present: Sequence[ComputedColumn], sums: RowHashSum) -> Iterator[str]:
    """Yields a sentence for each generated column that is missing or has other values than were saved."""
    for place, column in enumerate(present):
        if sums.digest_computed(place) != column.digest:
            yield (
                f"{entry.label}: the generated column {column.name} holds other values than were saved, as its"
                " expression yields others by now; in the database that was saved, an UPDATE of the columns that it is"
                " made of brings it up to date (SET a = a)"
            )
    yield from (f"{entry.label}: the generated column {c.name} is gone" for c in entry.computed if c not in present)
