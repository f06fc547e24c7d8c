"""What the archive engine tells whoever listens: a progress bar, a log, a test that waits for a moment.

A listener is called in the worker's own thread, synchronously, right after the named step; it must be quick and must
not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """The moments of a chunk's life, in order; `rolled_back` may follow any of them but `committed`."""

    PLANNED = "planned"
    INTENT = "intent"
    STREAMED = "streamed"
    UPLOADED = "uploaded"
    PROVEN = "proven"
    COMMITTING = "committing"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkEvent:
    """One step of one chunk.

    Attributes:
        step: which moment.
        table: `schema.table`.
        rows: rows of this chunk so far (0 before the stream); for `planned` the overdue rows expected in all,
            estimated.
        bytes: compressed bytes of this chunk so far.
        keys: the objects' keys, once known.
    """

    step: Step
    table: str
    rows: int = 0
    bytes: int = 0
    keys: tuple[str, ...] = ()


Listener = Callable[[ChunkEvent], None]


def ignore(event: ChunkEvent) -> None:
    """The listener of those who do not listen."""
