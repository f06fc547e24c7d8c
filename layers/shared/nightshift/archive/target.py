"""One table that is due: which rows, in which heaps, and the SQL that takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from nightshift.archive.chunks import Interval
from nightshift.archive.holds import NOTHING_HELD, UNWATCHED, Holds, Watch
from nightshift.database import postgres
from nightshift.database.catalog import Heap, TableInfo
from nightshift.database.search_path import HANDED_OVER
from nightshift.database.sqlite import SHAPE_SQL, row_identifier
from nightshift.policy.retention import Policy
from nightshift.rows.axis import Axis

if TYPE_CHECKING:
    import pyarrow as pa

    from nightshift.rows.columns import Carried
    from nightshift.rows.parquet import Day

_ROWS_A_PAGE = 291
"""The most rows that an 8 kB page can hold (PostgreSQL's MaxHeapTuplesPerPage)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table that passed its guards.

    Attributes:
        cutoff: aware, in the policy's zone.
        server_version: PostgreSQL's major version; 0 for SQLite.
        held: what nothing may be taken from yet.
        beyond: what the archive cannot hold of it, a sentence each.
        notes: warnings of the guards.
        watch: notices holds that come while the run goes on.
    """

    policy: Policy
    info: TableInfo
    axis: Axis
    cutoff: datetime
    server_version: int
    held: Holds = NOTHING_HELD
    beyond: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    watch: Watch = UNWATCHED

    @property
    def postgresql(self) -> bool:
        return self.server_version > 0

    @property
    def timezone(self) -> str:
        """Of the days under which rows are archived."""
        return self.policy.timezone

    def days(self, rows: pa.Table) -> Iterator[Day]:
        """The rows, by the day of their timestamp."""
        from nightshift.rows.parquet import by_day

        return by_day(rows, self.axis)

    @property
    def due(self) -> str:
        """SQL condition of the rows that must go. What is a mark and no age stays, see `Axis.before`."""
        return self.axis.before(self.axis.at(self.cutoff)) + self.held.sql

    @property
    def stays(self) -> str:
        """SQL condition of the rows that must not go; `due` is false or unknown for them."""
        return f"({self.due}) IS NOT TRUE"

    def carried(self) -> Sequence[Carried]:
        """How each column travels (PostgreSQL)."""
        from nightshift.rows import columns  # Arrow is loaded where rows move, and not for a look at them

        return [columns.carry(c, always_fits=c.name == self.axis.column) for c in self.info.columns]

    def select_list(self) -> str:
        """The SQL list that fetches all columns without loss."""
        from nightshift.rows import columns, sqlite

        if self.postgresql:
            return columns.select_list(self.carried())
        return sqlite.select_list(self.info.columns)

    @property
    def rowid(self) -> str | None:
        """The name of a row's identifier (SQLite)."""
        return row_identifier(self.info.columns)

    def shape_sql(self, heap: Heap) -> str:
        """SQL that yields the heap's shape as it is now."""
        return postgres.shape_sql(heap.name) if self.postgresql else SHAPE_SQL

    def by_place(self, chunk: Interval) -> str:
        """SQL condition of the due rows in an interval of pages (PostgreSQL) or rowids (SQLite)."""
        if not self.postgresql:
            return f"{self.rowid} >= {chunk.lo} AND {self.rowid} < {chunk.hi} AND {self.due}"
        if self.server_version >= 14:
            return f"ctid >= '({chunk.lo},0)' AND ctid < '({chunk.hi},0)' AND {self.due}"
        # PostgreSQL 13 has no TID range scan: every possible row of these pages is named instead, which is as linear.
        return (
            "ctid = ANY (ARRAY(SELECT format('(%s,%s)', page, line)::tid"
            f" FROM generate_series({chunk.lo}, {chunk.hi - 1}) page, generate_series(1, {_ROWS_A_PAGE}) line))"
            f" AND {self.due}"
        )

    def by_time(self, chunk: Interval) -> str:
        """SQL condition of the due rows in an interval on the axis."""
        hi = min(chunk.hi, self.axis.at(self.cutoff))
        return f"{self.axis.sql} >= {self.axis.literal(chunk.lo)} AND {self.axis.before(hi)}{self.held.sql}"

    def select(self, heap: Heap, condition: str | None = None) -> str:
        """SQL that reads rows of one heap and leaves them there."""
        where = f" WHERE {condition}" if condition else ""
        return f"SELECT {self.select_list()} FROM {self._only(heap)}{where}"

    def delete(self, heap: Heap, condition: str, *, skip_locked: bool = False, limit: int | None = None) -> str:
        """SQL that deletes rows of one heap and returns exactly those: the archive holds what left, to the row."""
        if self.postgresql and (skip_locked or limit is not None):
            chosen = f"SELECT ctid FROM {self._only(heap)} WHERE {condition}"
            chosen += f" LIMIT {limit}" if limit is not None else ""
            chosen += " FOR UPDATE SKIP LOCKED" if skip_locked else ""
            condition = f"ctid = ANY (ARRAY({chosen})) AND {self.due}"
        if self.postgresql:
            condition += f" AND {HANDED_OVER}"
        return f"DELETE FROM {self._only(heap)} WHERE {condition} RETURNING {self.select_list()}"

    def _only(self, heap: Heap) -> str:
        return f"ONLY {heap.name.sql}" if self.postgresql else heap.name.sql
