"""Defines the result of a verification, for the command line as text or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class DamagedArchiveObject:
    """An object that differs from its ledger entry.

    Attributes:
        damage: in one word or two, see `object_verification.ObjectDamage`.
    """

    key: str
    table: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True)
class UnverifiedObject:
    """An object that needs a word of explanation.

    Attributes:
        table: None where only its key could tell.
    """

    key: str
    table: str | None
    why: str


@dataclass(frozen=True, slots=True)
class RepairedEntry:
    """An orphan that a repair took out of the readers' sight.

    Attributes:
        how: `removed` or `set aside`.
        to: the key of the copy, where it was set aside.
    """

    key: str
    how: str
    to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Result of `verify`.

    Attributes:
        objects, rows, bytes: verified against the ledger; with depth `quick` just by existence and size.
        damaged: objects of the archive that are not what they were.
        damaged_restored: objects whose rows are in their table again; nothing is lost with them.
        unproven: objects that S3 did not let us read, which says nothing about them.
        unfinished: left by runs that died; engines that list the bucket read their rows twice.
        in_progress: a run of `cleanup` is alive, and these may be its own.
        unknown: the ledger does not know them.
        overwritten: sound, but hidden from readers without versions by a newer version or a delete marker.
        repaired: unfinished or unknown until this verification.
    """

    depth: str
    objects: int = 0
    rows: int = 0
    bytes: int = 0
    damaged: tuple[DamagedArchiveObject, ...] = ()
    damaged_restored: tuple[DamagedArchiveObject, ...] = ()
    unproven: tuple[UnverifiedObject, ...] = ()
    unfinished: tuple[UnverifiedObject, ...] = ()
    in_progress: tuple[UnverifiedObject, ...] = ()
    unknown: tuple[UnverifiedObject, ...] = ()
    overwritten: tuple[UnverifiedObject, ...] = ()
    repaired: tuple[RepairedEntry, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Every object was proven, and nothing lies in the archive's place that is no part of it."""
        return not (self.damaged or self.unproven or self.unfinished or self.unknown)

    def to_json(self) -> dict[str, Any]:
        """Every fact; lists that are empty are left in, so that readers need not ask whether they are there."""
        lists = {f.name: _as_dicts(getattr(self, f.name)) for f in fields(self) if f.default == ()}
        totals = {"objects": self.objects, "rows": self.rows, "bytes": self.bytes}
        return {"sound": self.is_sound, "depth": self.depth, **totals, **lists}


def _as_dicts(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [{f.name: value for f in fields(one) if (value := getattr(one, f.name)) is not None} for one in found]
