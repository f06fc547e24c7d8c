"""Describes a table with due rows: their conditions, heaps, and the SQL that reads and deletes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from nightshift.archive.chunk_allocator import ChunkRange
from nightshift.archive.holds import NOTHING_HELD, UNWATCHED, Holds, HoldWatch
from nightshift.database import postgres
from nightshift.database.catalog import HeapTable, TableInfo
from nightshift.database.search_path import HANDED_OVER
from nightshift.database.sqlite import SHAPE_SQL, row_identifier
from nightshift.policy.retention import RetentionPolicy
from nightshift.rows.timestamp_column import TimestampColumn

if TYPE_CHECKING:
    import pyarrow as pa

    from nightshift.rows.columns import ColumnEncoding
    from nightshift.rows.parquet import ArchiveDay

_ROWS_A_PAGE = 291
"""Maximum number of rows in an 8 kB page (PostgreSQL's MaxHeapTuplesPerPage)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupTarget:
    """A table that passed its guards.

    Attributes:
        cutoff: time before which rows are due, aware, in the policy's time zone.
        server_version: PostgreSQL's major version; 0 for SQLite.
        held: holds on rows that must not be deleted yet.
        beyond: one sentence for each kind of value that the archive cannot hold.
        notes: warnings of the guards.
        watch: detects holds that are set while the run works.
    """

    policy: RetentionPolicy
    info: TableInfo
    axis: TimestampColumn
    cutoff: datetime
    server_version: int
    held: Holds = NOTHING_HELD
    beyond: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    watch: HoldWatch = UNWATCHED

    @property
    def is_postgresql(self) -> bool:
        return self.server_version > 0

    @property
    def timezone(self) -> str:
        """Returns the time zone of the days under which rows are archived."""
        return self.policy.timezone

    def split_by_day(self, rows: pa.Table) -> Iterator[ArchiveDay]:
        """Yields the rows, split by the day of their timestamp."""
        from nightshift.rows.parquet import by_day

        return by_day(rows, self.axis)

    @property
    def due_condition(self) -> str:
        """Returns the SQL condition of the due rows. Special values such as `infinity` are never due."""
        return self.axis.before_condition(self.axis.to_epoch(self.cutoff)) + self.held.not_held_condition

    @property
    def not_due_condition(self) -> str:
        """Returns the SQL condition of the rows for which `due_condition` is false or unknown: they must stay."""
        return f"({self.due_condition}) IS NOT TRUE"

    def column_encodings(self) -> Sequence[ColumnEncoding]:
        """Returns the encoding of each column in Arrow (PostgreSQL)."""
        from nightshift.rows import columns  # loads Arrow, which is needed only if rows are archived

        return [columns.encode_column(c, always_fits=c.name == self.axis.column) for c in self.info.columns]

    def select_list(self) -> str:
        """Returns the SELECT list that reads all columns without loss."""
        from nightshift.rows import columns, sqlite

        if self.is_postgresql:
            return columns.select_list(self.column_encodings())
        return sqlite.select_list(self.info.columns)

    @property
    def rowid_column(self) -> str | None:
        """Returns the name of the column that identifies a row (SQLite)."""
        return row_identifier(self.info.columns)

    def shape_sql(self, heap: HeapTable) -> str:
        """Returns SQL that yields the heap's present shape, for comparison with `HeapTable.shape`."""
        return postgres.schema_hash_sql(heap.name) if self.is_postgresql else SHAPE_SQL

    def ctid_range_condition(self, chunk: ChunkRange) -> str:
        """Returns the SQL condition of the due rows in an interval of pages (PostgreSQL) or rowids (SQLite)."""
        if not self.is_postgresql:
            return f"{self.rowid_column} >= {chunk.lo} AND {self.rowid_column} < {chunk.hi} AND {self.due_condition}"
        if self.server_version >= 14:
            return f"ctid >= '({chunk.lo},0)' AND ctid < '({chunk.hi},0)' AND {self.due_condition}"
        # PostgreSQL 13 has no TID range scan. The condition lists every possible `ctid` of the pages instead.
        return (
            "ctid = ANY (ARRAY(SELECT format('(%s,%s)', page, line)::tid"
            f" FROM generate_series({chunk.lo}, {chunk.hi - 1}) page, generate_series(1, {_ROWS_A_PAGE}) line))"
            f" AND {self.due_condition}"
        )

    def time_range_condition(self, chunk: ChunkRange) -> str:
        """Returns the SQL condition of the due rows in an interval on the axis."""
        hi = min(chunk.hi, self.axis.to_epoch(self.cutoff))
        lowest = f"{self.axis.epoch_sql} >= {self.axis.literal_sql(chunk.lo)}"
        return f"{lowest} AND {self.axis.before_condition(hi)}{self.held.not_held_condition}"

    def select_sql(self, heap: HeapTable, condition: str | None = None) -> str:
        """Returns SQL that reads rows of one heap without deleting them."""
        where = f" WHERE {condition}" if condition else ""
        return f"SELECT {self.select_list()} FROM {self._only(heap)}{where}"

    def delete_sql(
        self, heap: HeapTable, condition: str, *, skip_locked: bool = False, limit: int | None = None
    ) -> str:
        """Returns SQL that deletes rows of one heap and returns exactly the deleted rows."""
        if self.is_postgresql and (skip_locked or limit is not None):
            chosen = f"SELECT ctid FROM {self._only(heap)} WHERE {condition}"
            chosen += f" LIMIT {limit}" if limit is not None else ""
            chosen += " FOR UPDATE SKIP LOCKED" if skip_locked else ""
            condition = f"ctid = ANY (ARRAY({chosen})) AND {self.due_condition}"
        if self.is_postgresql:
            condition += f" AND {HANDED_OVER}"
        return f"DELETE FROM {self._only(heap)} WHERE {condition} RETURNING {self.select_list()}"

    def _only(self, heap: HeapTable) -> str:
        return f"ONLY {heap.name.sql}" if self.is_postgresql else heap.name.sql
