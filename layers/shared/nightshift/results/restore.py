"""Result of `restore`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from nightshift.results.common import (
    HIDDEN,
    MILLISECONDS,
    OPTIONAL,
    GuardRefusal,
    JobResult,
    JsonFacts,
    RunStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedObject(JsonFacts):
    """An object of the archive that is not what the ledger vouches for.

    Attributes:
        damage: in one word, see `archive.object_verification.ObjectDamage`.
        what: what was seen.
    """

    key: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult(JobResult):
    """Result of one run of `restore`.

    Attributes:
        table: the archive's name of the table, or what was asked for where it has no such table.
        into: the table that was filled; None where a guard refused before it was known.
        rows, objects, bytes: restored by this run; in a dry run, what a real one would restore.
        existing: rows left out because the table had their keys.
        already: objects that an earlier run had restored there.
        remaining: objects left for the next run, for want of time.
        columns: what was filled with what, where archive and table differ; a sentence each.
        hold_until: until then no run deletes the restored rows.
        warnings: what the operator should know, a sentence each.
    """

    status: RunStatus = field(metadata=HIDDEN)
    table: str
    into: str | None = None
    into_original: bool = False
    rows: int = field(default=0, metadata={"name": "restored_rows"})
    existing: int = field(default=0, metadata={"name": "existing_rows"})
    objects: int = 0
    already: int = 0
    remaining: int = 0
    bytes: int = 0
    seconds: float = field(default=0.0, metadata=MILLISECONDS)
    columns: tuple[str, ...] = ()
    damaged: tuple[DamagedObject, ...] = ()
    hold_until: datetime | None = field(default=None, metadata=OPTIONAL)
    warnings: tuple[str, ...] = ()
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
