"""The digest of a table: what its rows are, in no order, as the server itself sees them.

Every row's text is hashed by the server (`hashtextextended`, 64 bits), and the hashes are summed: an order-free sum
that any number of connections can make piece by piece, and that counts equal rows as often as they are there. The
digest is the SHA-256 of row count and sum. It tells a backup that came back whole from one that did not; it is no seal
against somebody who means harm, for which the parts' own SHA-256 stand.

The text of a row depends on the session: take every digest on a `rows.postgres.PostgresConnection`, after `SESSION`, on
both sides. The columns are the stored ones in their order; a generated one says nothing new.

PostgreSQL promises the same hash for the same text on the servers of one byte order; all that Lambda and RDS run on
have the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightshift.database.catalog import TableName, quote_identifier
from nightshift.rows.sums import total

if TYPE_CHECKING:
    import pyarrow as pa

SESSION = "SELECT length(set_config('search_path', '', false))"
"""Statement that makes the names in `regclass` values and their like say their schema, whatever the role's own path."""

HASH = "_nightshift_hash"
"""Name of the column with a row's hash, while rows are on their way."""


def row_hash(columns: Sequence[str]) -> str:
    """SQL expression: the hash of one row, a bigint.

    Args:
        columns: the stored columns, in their order.
    """
    row = f"ROW({', '.join(quote_identifier(name) for name in columns)})"
    # The database's own collation might take different texts for equal.
    return f'hashtextextended(CAST({row} AS text) COLLATE "C", 0)'


def digest_sql(table: TableName, columns: Sequence[str]) -> str:
    """Query for one row of two texts: row count and sum, of a table without its children; see `digest_of`."""
    summed = f"coalesce(sum(CAST({row_hash(columns)} AS numeric)), 0)"
    return f"SELECT CAST(count(*) AS text) AS rows, CAST({summed} AS text) AS total FROM ONLY {table.sql}"


def digest_of(rows: int, total: int) -> str:
    """The digest, hex.

    Args:
        rows: how many.
        total: the sum of their hashes.
    """
    return hashlib.sha256(f"{rows}:{total}".encode()).hexdigest()


@dataclass(slots=True)
class Sum:
    """Rows and the sum of their hashes, so far."""

    rows: int = 0
    total: int = 0

    def add(self, hashes: pa.Array) -> None:
        """Count a batch's rows."""
        self.rows += len(hashes)
        self.total += total(hashes)

    def merge(self, other: Sum) -> None:
        """Add the rows of another piece of the table."""
        self.rows += other.rows
        self.total += other.total

    def digest(self) -> str:
        return digest_of(self.rows, self.total)
