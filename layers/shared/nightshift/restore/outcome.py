"""Makes the result of a restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nightshift.restore.restore_warnings import damaged_object_warnings, differing_rows_warning
from nightshift.restore.restorer import RestoreStats
from nightshift.results.common import RunStatus
from nightshift.results.restore import RestoreResult


def partial_result(facts: Callable[..., RestoreResult], tally: RestoreStats, objects: int) -> RestoreResult:
    """Returns the result of a run that failed, with the committed work."""
    left = objects - len(tally.keys) - tally.already - len(tally.damaged)
    return build_result(facts, tally, remaining=left, status=RunStatus.PARTIAL)


def restore_status(tally: RestoreStats, remaining: int) -> RunStatus:
    """Returns the status of a restore that ended in order."""
    if remaining or tally.damaged:
        return RunStatus.PARTIAL
    return RunStatus.OK if tally.keys else RunStatus.NOTHING


def build_result(facts: Callable[..., RestoreResult], tally: RestoreStats, **more: Any) -> RestoreResult:
    """Returns the result with what the restorer has counted."""
    found = facts(**more)
    return replace(
        found,
        rows=tally.rows,
        existing=tally.existing,
        objects=len(tally.keys),
        bytes=tally.bytes,
        hold_until=found.hold_until if tally.keys else None,
        already=found.already + tally.already,
        damaged=damaged_object_warnings(tally.damaged),
        warnings=(*found.warnings, *differing_rows_warning(tally)),
    )
