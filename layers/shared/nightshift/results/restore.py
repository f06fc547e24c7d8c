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
    """An object of the archive that differs from its entry in the ledger, nightshift's table of archived objects.

    Attributes:
        damage: kind of damage; see `archive.object_verification.ObjectDamage`.
    """

    key: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult(JobResult):
    """Result of one run of `restore`.

    Attributes:
        table: name of the table in the archive. If the archive has no such table: the requested name.
        into: the table that receives the rows; None: a guard refused the run before this table was known.
        into_original: whether the rows go back into their original table.
        rows, objects, bytes: contents that this run restored; in a dry run, that a real run would restore.
        existing: rows that were not inserted because the table already had their keys.
        already: objects that an earlier run had restored into the same table.
        remaining: objects left for the next run, because the deadline had come.
        columns: notes on columns that differ between archive and table, one sentence each.
        hold_until: end of the hold, during which no job deletes the restored rows.
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
