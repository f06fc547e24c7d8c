"""Progress events, consumed by the progress bar, the log and the tests.

The worker's thread calls the listener immediately after the step, and waits for the return. A listener must be fast and
must not raise an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class ProgressStep(StrEnum):
    """Steps of the work on a chunk of archived rows, in order. `rolled_back` may follow every step except `committed`.

    The second group has the further steps of expiry and embedding. Expired rows are `taken`, then rows are `deleted`
    table by table, before `committing`. Keys of files are `claimed` from the outbox, `answered` by S3, and `settled`
    when the outbox has committed S3's answer. A batch of documents is `taken`, `answered` by the model, `committing`
    and `committed`.
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
    """One step of the work on a chunk of rows, a batch of expired rows or documents, or a claim of files.

    Attributes:
        table: `schema.table`.
        rows: rows of the chunk so far; 0 before the rows are read. For `planned`: the estimated total of due rows. For
            a claim: the number of files.
        bytes: compressed bytes of the chunk so far.
        keys: keys of the chunk's objects, if they are known already.
    """

    step: ProgressStep
    table: str
    rows: int = 0
    bytes: int = 0
    keys: tuple[str, ...] = ()


Listener = Callable[[ProgressEvent], None]


def ignore_events(event: ProgressEvent) -> None:
    """Does nothing. This function is the default listener."""
