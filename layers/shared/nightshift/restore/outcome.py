"""Builds the result of a restore, with its warnings: damaged objects and archived values that were not restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.object_verification import THAW, ObjectDamage, ObjectDamaged
from nightshift.errors import ArchiveMismatch
from nightshift.restore.destination import RestoreDestination
from nightshift.restore.request import RestoreRequest
from nightshift.restore.restorer import RestoreStats
from nightshift.restore.selection import ObjectSelection
from nightshift.results.common import GuardRefusal, RunStatus
from nightshift.results.restore import DamagedObject, RestoreResult


def selection_warnings(
    request: RestoreRequest,
    selection: ObjectSelection,
    back: Sequence[ArchivedObject],
    hold_until: datetime | None,
    now: datetime,
) -> tuple[str, ...]:
    """Returns the warnings about the selected objects.

    Args:
        back: objects whose rows are in the present original table.
    """
    returned = len(selection.returned)
    if not request.into_original:
        left_out = f"{returned} objects are back in {selection.label} and were left out; name them to have them here"
        return (left_out,) if returned else ()
    warnings = []
    if hold_until is not None and hold_until <= now:
        warnings.append("the hold is over already: the next run may take the rows again")
    if back and request.hold is not None:
        warnings.append(f"{len(back)} objects were there already; their hold is set anew")
    if returned > len(back):
        warnings.append(
            f"{returned - len(back)} objects went back into {selection.label} before it was made anew or emptied: their"
            " rows are not there; name them to restore them into a table of their own"
        )
    return tuple(warnings)


def dropped_column_warnings(request: RestoreRequest, destination: RestoreDestination) -> tuple[str, ...]:
    """Returns a warning if the original lacks archived columns: their values leave the archive with the object."""
    names = dict.fromkeys(name for fit in destination.fits.values() for name in fit.left_out)
    if not names or not request.into_original:
        return ()
    return (
        f"the table has no column {', '.join(names)}: these values stay in the objects alone, which can be restored by"
        " name into a table of their own; if a column was renamed, say so with rename",
    )


def differing_rows_warning(tally: RestoreStats) -> list[str]:
    """Returns a warning about archived rows whose keys the table has with other values. The table's rows stay."""
    if not tally.differing:
        return []
    rows, keys = sum(tally.differing.values()), ", ".join(sorted(tally.differing)[:5])
    more = f" and {len(tally.differing) - 5} more" if len(tally.differing) > 5 else ""
    return [
        f"{rows} archived rows differ from the table's rows of the same keys, which were left alone; they are still in"
        f" {keys}{more}: restore these objects by name, into a table of its own, to see them"
    ]


def damaged_object_warnings(damaged: Sequence[ObjectDamaged]) -> tuple[DamagedObject, ...]:
    by_key = {each.key: DamagedObject(key=each.key, damage=each.damage.value, what=each.what) for each in damaged}
    return tuple(by_key[key] for key in sorted(by_key))


def only_damaged(result: RestoreResult, damaged: Sequence[ObjectDamaged]) -> RestoreResult:
    """Returns the result of a run in which every object was damaged, if an earlier run restored some objects.

    Raises:
        ArchiveMismatch: no object of the request has ever been restored.
    """
    if result.already:
        return result
    error = ArchiveMismatch(
        f"no object could be restored: all {len(result.damaged)} are damaged",
        detail="\n".join(f"{each.key}: {each.damage}, {each.what}" for each in damaged[:20]),
        hint=THAW
        if all(each.damage is ObjectDamage.FROZEN for each in damaged)
        else "nothing was changed; look for older versions in the bucket, or a copy in another region",
    )
    error.result = result
    raise error


def busy_refusal(label: str) -> GuardRefusal:
    """Returns the refusal for a table that another run has locked."""
    return GuardRefusal(
        guard="busy",
        message=f"another run is deleting rows of {label} or restoring some, and could take rows as they arrive",
        hint="try again when it is done, or restore into a table of its own",
    )


def not_there(destination: RestoreDestination, detail: str) -> ArchiveMismatch:
    """Returns the error for a table that lacks rows or records that this run committed."""
    return ArchiveMismatch(
        "the table does not show what this run restored",
        detail=f"{destination.table.name.label}: {detail}",
        hint="somebody deleted rows meanwhile, or something between us and the database undid a COMMIT: the objects"
        " hold all of them, for a table of another name (--into)",
    )


def partial_result(facts: Callable[..., RestoreResult], tally: RestoreStats, objects: int) -> RestoreResult:
    """Returns the result of a failed run, with the work that it committed."""
    left = objects - len(tally.keys) - tally.already - len(tally.damaged)
    return build_result(facts, tally, remaining=left, status=RunStatus.PARTIAL)


def restore_status(tally: RestoreStats, remaining: int) -> RunStatus:
    """Returns the status of a restore that ended without an error."""
    if remaining or tally.damaged:
        return RunStatus.PARTIAL
    return RunStatus.OK if tally.keys else RunStatus.NOTHING


def build_result(facts: Callable[..., RestoreResult], tally: RestoreStats, **more: Any) -> RestoreResult:
    """Returns the result with the restorer's counters."""
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
