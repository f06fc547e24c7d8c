"""Lists consistency warnings for a backup whose tables come from more than one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nightshift.backup.database_inventory import DatabaseInventory
from nightshift.backup.manifest import SnapshotGroup

_NAMED = 10
"""Names that a sentence has room for."""


def cross_snapshot_warnings(survey: DatabaseInventory, groups: Sequence[SnapshotGroup]) -> tuple[str, ...]:
    """Returns warnings about possible inconsistencies across snapshots, a sentence each; none for a single one.

    Between two snapshots a referenced row may have been added or deleted, and a row may have moved between partitions,
    so it can be saved twice or not at all.
    """
    return tuple(_parted(survey, groups))


def _parted(survey: DatabaseInventory, groups: Sequence[SnapshotGroup]) -> Iterator[str]:
    group_of = {label: number for number, group in enumerate(groups) for label in group.tables}
    keys = {f"{one} → {other}" for one, other in survey.references if group_of.get(one) != group_of.get(other)}
    if keys:
        yield f"foreign keys between tables of different moments may not hold: {_some(keys)}"
    families = {label for label, leaves in survey.partitions.items() if len({group_of.get(one) for one in leaves}) > 1}
    if families:
        yield f"rows may have moved between partitions of different moments: those of {_some(families)}"


def _some(names: set[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(sorted(names)[:_NAMED]) + more
