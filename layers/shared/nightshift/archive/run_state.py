"""State that the workers of one table share: limits, refused rows and counters of committed work."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from nightshift.archive.holds import Holds
from nightshift.archive.ledger import LedgerEntry
from nightshift.archive.target import CleanupTarget
from nightshift.database.catalog import HeapTable
from nightshift.errors import NightshiftError
from nightshift.policy.retention import RetentionPolicy
from nightshift.results.cleanup import TableResult
from nightshift.results.common import RunStatus

MOST_REFUSED = 2000
"""Maximum number of refused rows per table that a run leaves out one by one."""

MOST_REFUSED_ALONE = 20
"""The same maximum in SQLite, where finding a refused row costs one chunk per halving."""

MOST_WHOLE = 10
"""Number of chunks left as a whole after which the run stops work on the table."""

MOST_NAMED = 20
"""Maximum number of refused rows per table that the result names."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows of one chunk that are left out.

    Attributes:
        rows: number of rows that are known to be refused.
        but: SQL that extends a condition with `AND …`, so that the condition excludes the rows.
        named: keys of some of the rows, each with the database's message.
        cut: further rows were not tried, and are left out as well.
    """

    rows: int
    but: str
    named: tuple[str, ...]
    cut: bool = False


@dataclass(slots=True)
class LeftOutRows:
    """Counters of a table's rows that the database refused to delete, shared by its workers.

    Attributes:
        rows: number of refused rows that are known one by one.
        named: keys of some of the rows, each with the database's message.
        whole: number of chunks that were left as a whole, or of which a part was not tried.
        first: the database's first refusal.
    """

    rows: int = 0
    named: list[str] = field(default_factory=list)
    whole: int = 0
    first: NightshiftError | None = None

    def add_rows(self, left: LeftOut) -> None:
        """Count the rows that a chunk left out."""
        self.rows += left.rows
        self.named += left.named[: MOST_NAMED - len(self.named)]
        self.whole += left.cut

    @property
    def warnings(self) -> tuple[str, ...]:
        """Returns a sentence about the refused rows, and a sentence about the chunks that were left."""
        warnings = []
        if self.rows:
            shown = "; ".join(self.named)
            more = f"; and {self.rows - len(self.named)} more" if self.rows > len(self.named) else ""
            rows = "1 due row was left" if self.rows == 1 else f"{self.rows:,} due rows were left"
            warnings.append(f"{rows}, which the database refuses to delete: {shown}{more}")
        if self.whole:
            why = self.first.detail or self.first.message if self.first else ""
            warnings.append(
                f"more rows than are left out one by one were refused: parts of the table were left as they are ({why})"
            )
        return tuple(warnings)


NOTHING_LEFT = LeftOut(0, "", ())


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
        """Count a committed chunk. The caller must hold `lock`.

        Args:
            heap: the heap from which the rows were deleted; None: the whole partition was dropped.
        """
        rows = sum(entry.rows for entry in entries)
        self.rows += rows
        self.bytes += sum(entry.bytes for entry in entries)
        self.objects += len(entries)
        self.keys += [entry.key for entry in entries]
        if heap is not None:
            label = heap.name.label
            self.deleted_by_heap[label] = self.deleted_by_heap.get(label, 0) + rows


LOCKED = "rows locked by somebody else were left for the next run"
HELD = "rows of restored days are left alone until {}"
HELD_WHOLE = "all rows are left alone until {}: restored ones cannot be told from others by a time"
LATE = "due rows came or moved while the run went on; the next run takes them"


def build_table_result(
    of: CleanupTarget | RetentionPolicy, tally: ArchiveStats, status: RunStatus, started: float, **more: Any
) -> TableResult:
    """Returns the result of a table, with the work committed so far."""
    if isinstance(of, CleanupTarget) and of.beyond:
        more["warnings"] = (*of.beyond, *more.get("warnings", ()))
    return TableResult(
        table=of.info.name.label if isinstance(of, CleanupTarget) else of.table,
        status=status,
        cutoff=of.cutoff if isinstance(of, CleanupTarget) else None,
        archived_rows=tally.rows,
        deleted_rows=tally.rows,
        objects=tally.objects,
        bytes=tally.bytes,
        seconds=time.monotonic() - started,
        partitions_dropped=tally.partitions,
        keys=tuple(sorted(tally.keys)[:10]),
        refused_rows=tally.refused.rows,
        refused=tuple(tally.refused.named),
        **more,
    )


def hold_warnings(held: Holds, zone: ZoneInfo) -> tuple[str, ...]:
    """Returns a warning if restored rows are held, else an empty tuple."""
    if held.until is None:
        return ()
    return ((HELD_WHOLE if held.whole else HELD).format(f"{held.until.astimezone(zone):%Y-%m-%d %H:%M}"),)
