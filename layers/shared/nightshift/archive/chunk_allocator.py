"""Splits a table into chunks that fit memory and time, and adjusts their width by each finished one.

A table is an interval: of 8 kB blocks (PostgreSQL), of rowids (SQLite), or of points on its timestamp's axis where an
index serves and only a part of the table is due. Either way every row is visited once, so the work is linear in what
is read; there is no OFFSET and no look-up by key. A chunk's width is not planned but adjusted: the bytes and seconds
of each finished chunk determine the width of the next. A chunk that proves too large is returned in halves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from nightshift.database.catalog import HeapTable

GROWTH = 4
"""Largest growth of a chunk's width over the last: an empty range must not lead to a huge chunk behind it."""

EMPTY_GROWTH = 16
"""The same after a chunk without rows: decades between two rows are crossed in a few steps."""


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """From `lo`, to and without `hi`."""

    lo: int
    hi: int

    @property
    def width(self) -> int:
        return self.hi - self.lo


@dataclass(slots=True)
class ChunkAllocator:
    """Hands out the chunks of one interval to several workers.

    Attributes:
        rest: the part that is not taken yet.
        width: of the next chunk.
        target_bytes: Arrow bytes that a chunk should hold.
        workers: as many chunks the end of the interval is cut into, so that all finish together.
        align: moves a chunk's end to a good place between its `lo` and its `hi`, e.g. a midnight.
    """

    rest: ChunkRange
    width: int
    target_bytes: int
    workers: int = 1
    align: Callable[[int, int], int] | None = None
    _returned: list[ChunkRange] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_chunk(self) -> ChunkRange | None:
        """The next chunk; None where nothing is left to take."""
        with self._lock:
            if self._returned:
                return self._returned.pop()
            if self.rest.width <= 0:
                return None
            width = self._next_width()
            lo, hi = self.rest.lo, min(self.rest.lo + width, self.rest.hi)
            # At the very end equal shares matter more than a good place: nobody should watch another finish.
            if self.align is not None and hi < self.rest.hi and width == self.width:
                hi = self.align(lo, hi)
            self.rest = ChunkRange(hi, self.rest.hi)
            return ChunkRange(lo, hi)

    def _next_width(self) -> int:
        """Full width until the end is near; then equal shares, so that no worker idles through the last chunk."""
        share = -(-self.rest.width // self.workers)
        return max(1, self.width if share >= self.width else max(share, self.width // 4))

    def record_timing(self, chunk: ChunkRange, rows: int, size: int, *, seconds: float, seconds_left: float) -> None:
        """Steer by a chunk that went through.

        Args:
            rows, size: its rows, and their Arrow bytes.
            seconds: its duration.
            seconds_left: until the run must end; a chunk should not take more than a quarter of it.
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
        """Return a chunk untouched, to be taken later."""
        with self._lock:
            self._returned.append(chunk)

    def split_chunk(self, chunk: ChunkRange) -> bool:
        """Return a chunk that proved too large, in halves; False where it cannot be split."""
        with self._lock:
            if chunk.width <= 1:
                return False
            middle = chunk.lo + chunk.width // 2
            self._returned += [ChunkRange(middle, chunk.hi), ChunkRange(chunk.lo, middle)]
            self.width = max(1, min(self.width, chunk.width // 2))
            return True

    @property
    def has_remaining(self) -> bool:
        """Returns whether something is left to take."""
        with self._lock:
            return bool(self._returned) or self.rest.width > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRange:
    """A range of one heap to be archived: its chunk allocator, and the SQL conditions of its intervals."""

    heap: HeapTable
    allocator: ChunkAllocator
    condition: Callable[[ChunkRange], str]
