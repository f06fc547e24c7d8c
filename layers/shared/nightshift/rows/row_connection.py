"""Defines the protocol of connections for row data, and the errors that the connections raise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from nightshift.errors import NightshiftError


class RowsLocked(NightshiftError):
    """Another session did not release a needed lock in time. Nothing was changed."""


class StatementInterrupted(NightshiftError):
    """The server ended the statement after a timeout, a deadlock or a serialization failure. Nothing was changed."""


class StatementRefused(NightshiftError):
    """The database refused a statement. Nothing was changed.

    `about_rows`: the error probably concerns some rows, and the statement may succeed with other rows.
    """

    about_rows = False


class RowTooBig(StatementRefused):
    """PostgreSQL cannot send a row: the row's binary form or a value's text has 1 GB or more. Nothing was changed."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "a row is larger than PostgreSQL can send (1 GB)",
            detail=detail,
            hint="make the value smaller, or delete the row yourself once its content is safe",
        )


class TooLarge(NightshiftError):
    """A chunk is larger than the memory limit. Nothing was changed; a smaller chunk may succeed."""


class ConnectionLost(NightshiftError):
    """The connection is lost. The server rolls back an uncommitted transaction."""


@dataclass(frozen=True, slots=True)
class TransactionLimits:
    """Limits of the transaction of one chunk.

    Attributes:
        seconds: time limit of the whole transaction, including the upload.
        lock_seconds: time limit for each wait for a lock.
        bytes: limit of the Arrow memory of the rows.
        stop: function that is called between batches; if it returns True, `StatementInterrupted` ends the chunk.
    """

    seconds: float
    lock_seconds: float
    bytes: int
    stop: Callable[[], bool]

    def check(self, size: int = 0) -> None:
        """Raise `TooLarge` if `size` exceeds the limit, or `StatementInterrupted` if the chunk must stop."""
        if size > self.bytes:
            raise TooLarge("a chunk is larger than expected", detail=f"over {self.bytes} bytes")
        if self.stop():
            raise StatementInterrupted("the run was told to stop")


class RowConnection(Protocol):
    """Protocol of a connection that reads and writes rows. Only one thread at a time may use a connection."""

    @property
    def healthy(self) -> bool:
        """Returns False if the connection is known to be lost; the caller must then open another connection."""

    def transaction(self, bounds: TransactionLimits) -> AbstractContextManager[None]:
        """Open a transaction, which is rolled back at the end unless `commit()` was called."""

    def read_table(self, statement: str, bounds: TransactionLimits) -> pa.Table:
        """Run a statement that returns rows, and return all rows as one table.

        Raises `RowsLocked`, `StatementInterrupted`, `TooLarge` or `ConnectionLost`.
        """

    def stream_rows(self, statement: str, bounds: TransactionLimits) -> Iterator[pa.RecordBatch]:
        """Run a statement that returns rows, and yield the rows in batches; raises the errors of `read_table`."""

    def execute(self, statement: str) -> int:
        """Run a statement that returns one row with one integer, and return the integer."""

    def run_statement(self, statement: str) -> None:
        """Run a statement that returns nothing."""

    def commit(self) -> None:
        """Commit; raises `ConnectionLost` if the server did not answer, so that the outcome is unknown."""

    def close(self) -> None:
        """Close the connection; never raises."""


def rebatch(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Yields the rows of a stream of batches as tables of at least `size` bytes; the last table may be smaller."""
    held: list[pa.RecordBatch] = []
    held_bytes = 0
    for batch in batches:
        held.append(batch)
        held_bytes += batch.nbytes
        if held_bytes >= size:
            yield pa.Table.from_batches(held)
            held, held_bytes = [], 0
    if held:
        yield pa.Table.from_batches(held)
