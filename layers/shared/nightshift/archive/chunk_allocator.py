"""Splits a table into chunks that fit memory and time, and adjusts their width after each finished chunk.

A table is an interval of 8 kB blocks (PostgreSQL) or of rowids (SQLite). If an index on the timestamp is usable and
only a part of the table is due, the table is an interval of points in time. Every row is read once, without OFFSET and
without look-ups by key, so the work is linear in the number of rows. The bytes and seconds of each finished chunk
determine the width of the next chunk. A chunk that proves too large is returned in two halves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from nightshift.database.catalog import HeapTable

GROWTH = 4
"""Maximum factor by which a chunk is wider than the last chunk. A nearly empty range must not cause a huge chunk."""

EMPTY_GROWTH = 16
"""Factor after a chunk without rows. Decades without rows are crossed in a few chunks."""


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """An interval that includes `lo` and excludes `hi`."""

    lo: int
    hi: int

    @property
    def width(self) -> int:
        return self.hi - self.lo


@dataclass(slots=True)
class ChunkAllocator:
    """Assigns the chunks of one interval to several workers.

    Attributes:
        rest: the part of the interval that is not assigned yet.
        width: width of the next chunk.
        target_bytes: Arrow bytes that a chunk should hold.
        workers: number of workers. The end of the interval is divided equally, so that all workers finish together.
        align: takes a chunk's `lo` and `hi`. Returns a better end between them, e.g. a midnight.
    """

    rest: ChunkRange
    width: int
    target_bytes: int
    workers: int = 1
    align: Callable[[int, int], int] | None = None
    _returned: list[ChunkRange] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_chunk(self) -> ChunkRange | None:
        """Returns the next chunk; None: the whole interval is assigned."""
        with self._lock:
            if self._returned:
                return self._returned.pop()
            if self.rest.width <= 0:
                return None
            width = self._next_width()
            lo, hi = self.rest.lo, min(self.rest.lo + width, self.rest.hi)
            # At the end of the interval equal shares matter more than alignment: no worker should be idle.
            if self.align is not None and hi < self.rest.hi and width == self.width:
                hi = self.align(lo, hi)
            self.rest = ChunkRange(hi, self.rest.hi)
            return ChunkRange(lo, hi)

    def _next_width(self) -> int:
        """Returns the full width, or near the end an equal share, so that no worker is idle during the last chunk."""
        share = -(-self.rest.width // self.workers)
        return max(1, self.width if share >= self.width else max(share, self.width // 4))

    def record_timing(self, chunk: ChunkRange, rows: int, size: int, *, seconds: float, seconds_left: float) -> None:
        """Set the width of the next chunk from a finished chunk.

        Args:
            rows, size: number of the chunk's rows, and their Arrow bytes.
            seconds: duration of the chunk.
            seconds_left: time until the run must end. A chunk should take at most a quarter of this time.
        """
        with self._lock:
            if rows == 0:
                self.width = max(self.width, chunk.width * EMPTY_GROWTH)
                return
            ideal = chunk.width * self.target_bytes / max(size, 1)
            if seconds > 0:
                ideal = min(ideal, chunk.width * (seconds_left / 4) / seconds)
            self.width = int(max(1, min(ideal, chunk.width * GROWTH)))

    def return_chunk(self, chunk: ChunkRange) -> None:
        """Return an unprocessed chunk, so that it is assigned again."""
        with self._lock:
            self._returned.append(chunk)

    def split_chunk(self, chunk: ChunkRange) -> bool:
        """Return a chunk that proved too large, in two halves. Returns False if the chunk cannot be split."""
        with self._lock:
            if chunk.width <= 1:
                return False
            middle = chunk.lo + chunk.width // 2
            self._returned += [ChunkRange(middle, chunk.hi), ChunkRange(chunk.lo, middle)]
            self.width = max(1, min(self.width, chunk.width // 2))
            return True

    @property
    def has_remaining(self) -> bool:
        """Returns whether a part of the interval is not assigned."""
        with self._lock:
            return bool(self._returned) or self.rest.width > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRange:
    """The part of a heap (a plain table or a leaf partition) in which a run looks for due rows.

    Attributes:
        allocator: divides the part into chunks: ranges of pages, of rowids in SQLite, or of timestamps.
        condition: returns the SQL condition of a chunk's due rows.
    """

    heap: HeapTable
    allocator: ChunkAllocator
    condition: Callable[[ChunkRange], str]
