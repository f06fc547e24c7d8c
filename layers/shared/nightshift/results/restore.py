"""Result of `restore`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nightshift.results.common import GuardRefusal, MessageAttachment, Metric, RunStatus, format_iso


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedObject:
    """An object of the archive that is not what the ledger vouches for.

    Attributes:
        damage: in one word, see `archive.object_verification.ObjectDamage`.
        what: what was seen.
    """

    key: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
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

    status: RunStatus
    table: str
    into: str | None = None
    into_original: bool = False
    rows: int = 0
    existing: int = 0
    objects: int = 0
    already: int = 0
    remaining: int = 0
    bytes: int = 0
    seconds: float = 0.0
    columns: tuple[str, ...] = ()
    damaged: tuple[DamagedObject, ...] = ()
    hold_until: datetime | None = None
    warnings: tuple[str, ...] = ()
    refusal: GuardRefusal | None = None
    attachments: tuple[MessageAttachment, ...] = ()

    @property
    def complete(self) -> bool:
        return self.status in (RunStatus.OK, RunStatus.NOTHING)

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "table": self.table,
            "into": self.into,
            "into_original": self.into_original,
            "restored_rows": self.rows,
            "existing_rows": self.existing,
            "objects": self.objects,
            "already": self.already,
            "remaining": self.remaining,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "columns": list(self.columns),
            "damaged": [{"key": d.key, "damage": d.damage, "what": d.what} for d in self.damaged],
            "warnings": list(self.warnings),
        }
        if self.hold_until:
            out["hold_until"] = format_iso(self.hold_until)
        if self.refusal:
            out["refusal"] = self.refusal.to_json()
        return out

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        yield from ()
