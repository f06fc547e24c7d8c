"""Progress events, consumed by the progress bar, the log and the tests.

A listener is called in the worker's own thread, synchronously, right after the named step; it must be quick and must
not raise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class ProgressStep(StrEnum):
    """The moments of a chunk's life, in order; `rolled_back` may follow any of them but `committed`.

    Below them what expiry adds: expired rows are `taken`, then rows `deleted` table by table, before `committing`;
    files are `claimed` from the outbox, `answered` for by S3, and `settled` when the outbox has committed that. A batch
    of documents that is embedded is `taken`, `answered` for by the model, `committing`, and `committed`.
    """

    PLANNED = "planned"
    INTENT = "intent"
    STREAMED = "streamed"
    UPLOADED = "uploaded"
    PROVEN = "proven"
    COMMITTING = "committing"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"

    TAKEN = "taken"
    DELETED = "deleted"
    CLAIMED = "claimed"
    ANSWERED = "answered"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """One step of one chunk; of one batch or claim, where rows expire.

    Attributes:
        step: which moment.
        table: `schema.table`.
        rows: rows of this chunk so far (0 before the stream); for `planned` the overdue rows expected in all,
            estimated; of a claim its files.
        bytes: compressed bytes of this chunk so far.
        keys: the objects' keys, once known.
    """

    step: ProgressStep
    table: str
    rows: int = 0
    bytes: int = 0
    keys: tuple[str, ...] = ()


Listener = Callable[[ProgressEvent], None]


def ignore_events(event: ProgressEvent) -> None:
    """Ignore an event; the default listener."""
