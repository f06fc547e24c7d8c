"""Tracks the progress of one policy: committed work, rows left out, and the size of the next batch."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nightshift.expiry.batch import LIVING, BatchOptions, ExpiryBatch
from nightshift.expiry.session import DeletionRejected, LockContention, UnexpiredDependentError
from nightshift.expiry.statements import Key

logger = logging.getLogger(__name__)

FIRST_BATCH = 500
"""Rows of the first batch: small, because the number of dependent rows is unknown."""
GROWTH = 4
BATCH_SECONDS = 3.0
"""Intended duration of a batch, in seconds; a batch holds its locks for its whole duration."""
LEAST_SECONDS = 1.0
"""Smallest assumed duration of a batch, in seconds."""
MOST_LEFT_OUT = 100
"""Number of rows with the same time that are left out one by one; then the run skips all rows of this time."""
NAMED = 3
"""Number of rows that a warning names."""


@dataclass(slots=True)
class BatchProgress:
    """Counters of committed work and of rows left out, and the size of the next batch."""

    size: int = FIRST_BATCH
    slowest: float = LEAST_SECONDS
    expired: int = 0
    queued: int = 0
    objects: int = 0
    bytes: int = 0
    deleted: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    failed: int = 0
    why: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[tuple[int, Key]] = field(default_factory=list)
    floor: int | None = None
    busy_in_a_row: int = 0
    spare: bool = False

    def add_batch(self, batch: ExpiryBatch, root: str, seconds: float, most: int) -> None:
        """Add a committed batch to the counts, and compute the size of the next batch."""
        # The number exceeds `batch.taken` if expired rows depend on other expired rows.
        self.expired += batch.deleted[root]
        self.busy_in_a_row = 0
        self._go_on(None if batch.is_other else batch.latest)
        self.queued += batch.queued
        self.objects += batch.objects
        self.bytes += batch.bytes
        self.deleted.update(batch.deleted)
        self.slowest = max(self.slowest, seconds)
        ideal = batch.taken * BATCH_SECONDS / max(seconds, 0.001)
        self.size = int(max(1, min(ideal, self.size * GROWTH, most)))

    def batch_options(self, size: int, seconds: float) -> BatchOptions:
        """Returns the selection and time limit of the next batch."""
        return BatchOptions(size, [key for _, key in self.left_out], self.floor, seconds, self.spare)

    def result_facts(self) -> dict[str, Any]:
        """Returns the committed work and the rows left out, as fields of `ExpiredTable`."""
        return {
            "expired": self.expired,
            "deleted_rows": dict(self.deleted),
            "archived_rows": sum(self.deleted.values()) if self.objects else 0,
            "objects": self.objects,
            "bytes": self.bytes,
            "busy": self.busy,
            "failed": self.failed,
        }

    def shrink_batch(self, batch: ExpiryBatch, exc: LockContention | DeletionRejected, *, can_spare: bool) -> None:
        """Make the next batch smaller after a batch that failed, or leave out the failed batch's single row.

        Args:
            can_spare: SQL can leave out rows on which unexpired rows depend directly, so batches need not find them.
        """
        if can_spare and not self.spare and exc.detail == LIVING:
            self.spare = True
            self.why.setdefault(LIVING, [])
            return
        if self.size > 1:
            self.size = max(1, min(self.size, batch.taken or self.size) // GROWTH)
            return
        self.busy += isinstance(exc, LockContention | UnexpiredDependentError)
        self.busy_in_a_row += isinstance(exc, LockContention)
        self.failed += not isinstance(exc, LockContention | UnexpiredDependentError)
        self.left_out += [(batch.latest or 0, key) for key in batch.keys]
        self._go_on(batch.latest)
        self.why.setdefault(str(exc.detail), []).append(batch.name)
        logger.warning("a row was left out", extra={"error": exc.message, "detail": exc.detail, "row": batch.name})

    @property
    def warnings(self) -> list[str]:
        """Returns a warning for each reason why rows were left out, with the first of its rows."""
        return [f"rows were left out: {why}{_first_rows(rows)}" for why, rows in self.why.items()]

    def _go_on(self, point: int | None) -> None:
        """Skip rows that expired before this point: they are deleted, left out, or locked by another session."""
        self.floor = self.floor if point is None else point
        self.left_out = [(at, key) for at, key in self.left_out if at == self.floor]
        if len(self.left_out) >= MOST_LEFT_OUT and self.floor is not None:
            self.floor, self.left_out = self.floor + 1, []


def _first_rows(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f": {', '.join(rows[:NAMED])}{more}" if rows else ""
