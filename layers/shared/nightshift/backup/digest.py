"""Computes the digest of a table: an order-independent hash of its rows, as the server itself prints them.

The server hashes every row's text (`hashtextextended`, 64 bits), and the hashes are summed. Any number of connections
can compute the sum piece by piece, and equal rows count as often as they occur. The digest is the SHA-256 of row count
and sum. It detects a backup that was not restored completely. It does not protect against deliberate changes; the
SHA-256 of the parts does.

The text of a row depends on the session: take every digest on a `rows.postgres.PostgresConnection`, after `SESSION`, on
both sides. The columns are the stored ones in their order. A stored generated column has a digest of its own, of the
rows with its values: a restore computes them anew, and a function may have changed since they were stored.

PostgreSQL promises the same hash for the same text on servers of one byte order. All processors of Lambda and RDS have
the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

from nightshift.database.catalog import TableName, quote_identifier
from nightshift.rows.columns import exact_sum
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import TransactionLimits

if TYPE_CHECKING:
    import pyarrow as pa

SESSION = "SELECT length(set_config('search_path', '', false))"
"""Statement that makes the names in `regclass` values and their like say their schema, whatever the role's own path."""

HASH = "_nightshift_hash"
"""Name of the column with a row's hash, in transferred batches."""


def row_hash(columns: Sequence[str]) -> str:
    """SQL expression: the hash of one row, a bigint, of its stored columns in their order."""
    row = f"ROW({', '.join(quote_identifier(name) for name in columns)})"
    # The database's own collation might take different texts for equal.
    return f'hashtextextended(CAST({row} AS text) COLLATE "C", 0)'


def computed_hash(column: str) -> str:
    """SQL expression: the hash of a generated column's value and of its row, whose own hash is the column `HASH`."""
    return f'hashtextextended(CAST(ROW({quote_identifier(column)}) AS text) COLLATE "C", {HASH})'


def digest_sql(table: TableName, columns: Sequence[str], computed: Sequence[str] = ()) -> str:
    """Query for one row of texts: row count and sums, of a table without its children.

    The sum of the stored columns comes first, then one for each generated column.
    """
    if not computed:
        return f"SELECT CAST(count(*) AS text), {_summed(row_hash(columns))} FROM ONLY {table.sql}"
    hashed = ", ".join([*map(quote_identifier, computed), f"{row_hash(columns)} AS {HASH}"])
    sums = ", ".join(map(_summed, [HASH, *map(computed_hash, computed)]))
    # OFFSET keeps the server from writing the rows' hash out once for each sum.
    return f"SELECT CAST(count(*) AS text), {sums} FROM (SELECT {hashed} FROM ONLY {table.sql} OFFSET 0) hashed"


def _summed(hashes: str) -> str:
    return f"CAST(coalesce(sum(CAST({hashes} AS numeric)), 0) AS text)"


@dataclass(slots=True)
class RowHashSum:
    """Rows, the sum of their hashes, and those of generated columns, so far."""

    rows: int = 0
    total: int = 0
    computed: list[int] = field(default_factory=list)

    def add(self, hashes: pa.Array, computed: Sequence[pa.Array] = ()) -> None:
        """Add the rows of a batch."""
        self.merge(RowHashSum(len(hashes), exact_sum(hashes), [exact_sum(column) for column in computed]))

    def merge(self, other: RowHashSum) -> None:
        """Add the rows of another piece of the table."""
        self.rows += other.rows
        self.total += other.total
        self.computed = [a + b for a, b in zip_longest(self.computed, other.computed, fillvalue=0)]

    def digest(self) -> str:
        return self._digest_of(self.total)

    def digest_computed(self, place: int) -> str:
        """The digest of a generated column, by its place among them."""
        return self._digest_of(self.computed[place] if self.computed else 0)

    def _digest_of(self, total: int) -> str:
        return hashlib.sha256(f"{self.rows}:{total}".encode()).hexdigest()


def read_sum(connection: PostgresConnection, statement: str, bounds: TransactionLimits) -> RowHashSum:
    """Runs a query of `digest_sql`."""
    rows, total, *more = (int(column[0].as_py()) for column in connection.read_table(statement, bounds).columns)
    return RowHashSum(rows, total, more)
