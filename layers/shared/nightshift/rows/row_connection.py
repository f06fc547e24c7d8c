"""Defines the data connection that the archive needs from a database, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from nightshift.errors import NightshiftError


class RowsLocked(NightshiftError):
    """Another session holds a lock that we need, and did not release it in time. Nothing was changed."""


class StatementInterrupted(NightshiftError):
    """The server ended the statement: its time was over, a deadlock, a serialization failure. Nothing was changed."""


class StatementRefused(NightshiftError):
    """The database did not carry a statement out. Nothing was changed.

    `about_rows`: it refused some row, as far as is known; others may go through.
    """

    about_rows = False


class RowTooBig(StatementRefused):
    """PostgreSQL cannot send a row, for its binary form or a value's text has 1 GB or more. Nothing was changed."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "a row is larger than PostgreSQL can send (1 GB)",
            detail=detail,
            hint="make the value smaller, or delete the row yourself once its content is safe",
        )


class TooLarge(NightshiftError):
    """A chunk turned out larger than memory allows. Nothing was changed; a smaller one will do."""


class ConnectionLost(NightshiftError):
    """The connection is gone. Whatever it had not committed is undone by the server."""


@dataclass(frozen=True, slots=True)
class TransactionLimits:
    """Limits of the transaction of one chunk.

    Attributes:
        seconds: for the whole transaction, upload included.
        lock_seconds: waiting for locks.
        bytes: Arrow memory of the rows.
        stop: asked between batches; True ends the chunk as `StatementInterrupted`.
    """

    seconds: float
    lock_seconds: float
    bytes: int
    stop: Callable[[], bool]

    def check(self, size: int = 0) -> None:
        """Raises `TooLarge` for rows of more bytes than allowed, `StatementInterrupted` where the chunk is to stop."""
        if size > self.bytes:
            raise TooLarge("a chunk is larger than expected", detail=f"over {self.bytes} bytes")
        if self.stop():
            raise StatementInterrupted("the run was told to stop")


class RowConnection(Protocol):
    """One connection that moves rows. Used by one thread at a time."""

    @property
    def healthy(self) -> bool:
        """False once the server is known to be gone; such a connection must be replaced."""

    def transaction(self, bounds: TransactionLimits) -> AbstractContextManager[None]:
        """A transaction: rolled back on every way out except through `commit()`."""

    def read_table(self, statement: str, bounds: TransactionLimits) -> pa.Table:
        """Run a statement that returns rows, and gather them.

        Raises `RowsLocked`, `StatementInterrupted`, `TooLarge` or `ConnectionLost`.
        """

    def stream_rows(self, statement: str, bounds: TransactionLimits) -> Iterator[pa.RecordBatch]:
        """Like `read`, batch by batch."""

    def execute(self, statement: str) -> int:
        """Run a statement that returns one row with one integer, and return that."""

    def run_statement(self, statement: str) -> None:
        """Run a statement that returns nothing."""

    def commit(self) -> None:
        """Commit; raises `ConnectionLost` where the server's answer never came: the outcome is unknown."""

    def close(self) -> None:
        """Let go of the server; never raises."""


def rebatch(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """A stream of batches as tables of about `size` bytes."""
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
