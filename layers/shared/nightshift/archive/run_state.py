"""State shared by the workers of one table: limits, scan ranges and committed totals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nightshift.archive.chunk_allocator import ChunkAllocator, ChunkRange
from nightshift.archive.ledger import LedgerEntry
from nightshift.archive.left_out_rows import LeftOutRows
from nightshift.database.catalog import HeapTable


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Limits of a run.

    Attributes:
        workers: data connections at once.
        chunk_bytes: Arrow bytes that a chunk aims at.
        lock_seconds: waiting for somebody else's lock, a chunk.
        deadline: `time.monotonic()` value by which the last chunk must be through.
    """

    workers: int
    chunk_bytes: int
    lock_seconds: float
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRange:
    """A range of one heap to be archived: its chunk allocator, and the SQL conditions of its intervals."""

    heap: HeapTable
    carver: ChunkAllocator
    condition: Callable[[ChunkRange], str]


@dataclass(slots=True)
class ArchiveStats:
    """Counters of committed work, shared by the workers."""

    rows: int = 0
    bytes: int = 0
    objects: int = 0
    partitions: int = 0
    locked: int = 0
    out_of_time: bool = False
    refused: LeftOutRows = field(default_factory=LeftOutRows)
    keys: list[str] = field(default_factory=list)
    deleted_by_heap: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_chunk(self, heap: HeapTable | None, entries: Sequence[LedgerEntry]) -> None:
        """Count a committed chunk; hold `lock`.

        Args:
            heap: where its rows were deleted; None: they went with their whole partition.
        """
        rows = sum(entry.rows for entry in entries)
        self.rows += rows
        self.bytes += sum(entry.bytes for entry in entries)
        self.objects += len(entries)
        self.keys += [entry.key for entry in entries]
        if heap is not None:
            label = heap.name.label
            self.deleted_by_heap[label] = self.deleted_by_heap.get(label, 0) + rows
