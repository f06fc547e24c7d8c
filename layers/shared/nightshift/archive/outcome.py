"""Builds a table's result from its facts and the committed work."""

from __future__ import annotations

import time
from typing import Any
from zoneinfo import ZoneInfo

from nightshift.archive.holds import Holds
from nightshift.archive.run_state import ArchiveStats
from nightshift.archive.target import CleanupTarget
from nightshift.policy.retention import RetentionRule
from nightshift.results.cleanup import TableResult
from nightshift.results.common import RunStatus

LOCKED = "rows locked by somebody else were left for the next run"
HELD = "rows of restored days are left alone until {}"
HELD_WHOLE = "all rows are left alone until {}: restored ones cannot be told from others by a time"
LATE = "due rows came or moved while the run went on; the next run takes them"


def build_table_result(
    of: CleanupTarget | RetentionRule, tally: ArchiveStats, status: RunStatus, started: float, **more: Any
) -> TableResult:
    """The facts of a table, with the work committed so far."""
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
    """A warning where restored rows are held; else nothing."""
    if held.until is None:
        return ()
    return ((HELD_WHOLE if held.whole else HELD).format(f"{held.until.astimezone(zone):%Y-%m-%d %H:%M}"),)
