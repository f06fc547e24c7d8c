"""Computes the digest of a table: a hash of its rows' text that does not depend on the rows' order.

The server hashes every row's text (`hashtextextended`, 64 bits), and the hashes are summed. Any number of connections
can compute the sum piece by piece. A row that occurs twice counts twice. The digest is the SHA-256 of the row count and
the sum. The digest detects an incomplete restore. It does not detect deliberate changes; the SHA-256 of the parts does.

The text of a row depends on the session. Both digests to compare must be computed on a `rows.postgres.
PostgresConnection` after `SESSION`. The digest includes the columns that are not generated, in order. Each stored
generated column has its own digest, of the rows with the column's values: a restore computes the values anew, and a
function may have changed since the values were stored.

PostgreSQL guarantees the same hash for the same text on servers with the same byte order. All processors of Lambda and
RDS have the same byte order.
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
"""Statement after which values of `regclass` and similar types always include the schema's name in their text."""

HASH = "_nightshift_hash"
"""Name of the column with a row's hash, in transferred batches."""


def row_hash(columns: Sequence[str]) -> str:
    """Returns a SQL expression for the hash of a row's columns, a bigint."""
    row = f"ROW({', '.join(quote_identifier(name) for name in columns)})"
    # In the database's own collation, different texts may be equal.
    return f'hashtextextended(CAST({row} AS text) COLLATE "C", 0)'


def computed_hash(column: str) -> str:
    """Returns a SQL expression for the hash of a generated column's value and of the row's hash in column `HASH`."""
    return f'hashtextextended(CAST(ROW({quote_identifier(column)}) AS text) COLLATE "C", {HASH})'


def digest_sql(table: TableName, columns: Sequence[str], computed: Sequence[str] = ()) -> str:
    """Returns a query that yields one row of texts: a table's row count and sums of hashes, without child tables.

    The first sum is of the rows' hashes. The next sums are of the generated columns' hashes.
    """
    if not computed:
        return f"SELECT CAST(count(*) AS text), {_summed(row_hash(columns))} FROM ONLY {table.sql}"
    hashed = ", ".join([*map(quote_identifier, computed), f"{row_hash(columns)} AS {HASH}"])
    sums = ", ".join(map(_summed, [HASH, *map(computed_hash, computed)]))
    # OFFSET prevents the server from repeating the expression of the row's hash for each sum.
    return f"SELECT CAST(count(*) AS text), {sums} FROM (SELECT {hashed} FROM ONLY {table.sql} OFFSET 0) hashed"


def _summed(hashes: str) -> str:
    return f"CAST(coalesce(sum(CAST({hashes} AS numeric)), 0) AS text)"


@dataclass(slots=True)
class RowHashSum:
    """Running totals: row count, sum of the rows' hashes, and the sums of the generated columns' hashes."""

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
        """Returns the digest of the generated column with index `place`."""
        return self._digest_of(self.computed[place] if self.computed else 0)

    def _digest_of(self, total: int) -> str:
        return hashlib.sha256(f"{self.rows}:{total}".encode()).hexdigest()


def read_sum(connection: PostgresConnection, statement: str, bounds: TransactionLimits) -> RowHashSum:
    """Run a query of `digest_sql`, and return its totals."""
    rows, total, *more = (int(column[0].as_py()) for column in connection.read_table(statement, bounds).columns)
    return RowHashSum(rows, total, more)
