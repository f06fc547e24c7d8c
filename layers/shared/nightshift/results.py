"""The facts that a job returns. Slack text, JSON answers and CLI tables are all made from these, elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from nightshift.errors import NightshiftError


class Status(StrEnum):
    """How a run, or one table of it, ended. A run that failed raises; `failed` is the state of one table in it."""

    OK = "ok"
    NOTHING = "nothing"
    PARTIAL = "partial"
    REFUSED = "refused"
    DRY_RUN = "dry_run"
    FAILED = "failed"


GRAVITY = (Status.FAILED, Status.REFUSED, Status.PARTIAL, Status.OK, Status.DRY_RUN, Status.NOTHING)
"""Which status wins when several tables ended differently, first wins."""


def gravest(statuses: Iterable[Status]) -> Status:
    """The one status that stands for all of `statuses`; `nothing` for none."""
    return min(statuses, key=GRAVITY.index, default=Status.NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file for the Slack reader.

    Attributes:
        filename: as the reader saves it, e.g. `conversation_log_backup_20250915.csv`.
        content: the bytes of the file.
        rows: how many rows it holds.
        total_rows: how many rows it stands for; more than `rows` where the file was cut.
        table: the table they come from, as its `TableResult` names it; None where they come from no one table.
    """

    filename: str
    content: bytes = field(repr=False)
    rows: int
    total_rows: int
    table: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a dry run expects of a real one.

    Attributes:
        rows: overdue rows, counted.
        bytes: compressed bytes of Parquet to expect.
        objects: objects to expect.
        seconds: duration to expect.
        share: overdue rows / rows of the table, 0 to 1.
        usd: S3 request and first month's storage cost to expect, US dollars.
    """

    rows: int
    bytes: int
    objects: int
    seconds: float
    share: float
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A guard that said no.

    Attributes:
        guard: its short name, e.g. `unknown_table`, `cascade`, `abnormal_volume`.
        message: one sentence, what is wrong.
        hint: what the operator can do.
    """

    guard: str
    message: str
    hint: str

    def to_json(self) -> dict[str, str]:
        return {"guard": self.guard, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableResult:
    """What `cleanup` did to one table.

    Attributes:
        table: `schema.table`, as the policy names it.
        cutoff: aware; rows older than this were due. None where a guard refused before it was known.
        archived_rows: rows in objects that this run committed.
        deleted_rows: rows that this run deleted; equal to `archived_rows` or the run has failed.
        objects: objects that this run committed.
        bytes: their size in S3.
        seconds: time spent on this table.
        oldest_overdue: timestamp of the oldest row still in the table although it is due; None: no row is.
        partitions_dropped: native partitions archived whole and dropped.
        vacuumed: whether VACUUM (ANALYZE) ran afterwards.
        keys: some of the objects' keys, oldest first, at most ten.
        error: what a `failed` table failed with; the counts say what was committed before.
    """

    table: str
    status: Status
    cutoff: datetime | None = None
    archived_rows: int = 0
    deleted_rows: int = 0
    objects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    oldest_overdue: datetime | None = None
    partitions_dropped: int = 0
    vacuumed: bool = False
    refusal: Refusal | None = None
    estimate: Estimate | None = None
    warnings: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    error: NightshiftError | None = None

    @property
    def rows_per_second(self) -> float:
        return self.archived_rows / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """The table's part of the answer; times as ISO 8601, absent facts left out."""
        out: dict[str, Any] = {
            "table": self.table,
            "status": self.status.value,
            "cutoff": _iso(self.cutoff),
            "archived_rows": self.archived_rows,
            "deleted_rows": self.deleted_rows,
            "objects": self.objects,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second),
            "oldest_overdue": _iso(self.oldest_overdue),
        }
        if self.partitions_dropped:
            out["partitions_dropped"] = self.partitions_dropped
        if self.vacuumed:
            out["vacuumed"] = True
        if self.refusal:
            out["refusal"] = self.refusal.to_json()
        if self.estimate:
            e = self.estimate
            out["estimate"] = {
                "rows": e.rows,
                "bytes": e.bytes,
                "objects": e.objects,
                "seconds": round(e.seconds, 1),
                "share": round(e.share, 4),
                "usd": round(e.usd, 6),
            }
        if self.error:
            out["error"] = self.error.message
        if self.warnings:
            out["warnings"] = list(self.warnings)
        return out


class JobResult(Protocol):
    """What the frame needs of any job's result."""

    @property
    def status(self) -> Status: ...

    @property
    def complete(self) -> bool:
        """True where nothing is left to do for this `as_of`."""

    @property
    def attachments(self) -> tuple[Attachment, ...]: ...

    def to_json(self) -> dict[str, Any]:
        """The job's own part of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupResult:
    """What one run of `cleanup` did, table by table."""

    tables: tuple[TableResult, ...]
    attachments: tuple[Attachment, ...] = ()
    orphans_removed: int = 0

    @property
    def status(self) -> Status:
        return gravest(table.status for table in self.tables)

    @property
    def complete(self) -> bool:
        return self.status in (Status.OK, Status.NOTHING)

    def to_json(self) -> dict[str, Any]:
        return {"tables": [table.to_json() for table in self.tables], "orphans_removed": self.orphans_removed}


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedObject:
    """An object of the archive that is not what the ledger vouches for.

    Attributes:
        damage: in one word, see `archive.proof.Damage`.
        what: what was seen.
    """

    key: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """What one run of `restore` did.

    Attributes:
        table: the archive's name of the table, or what was asked for where it has no such table.
        into: the table that was filled; None where a guard refused before it was known.
        rows, objects, bytes: restored by this run; in a dry run, what a real one would restore.
        existing: rows left out because the table had their keys.
        already: objects that an earlier run had restored there.
        remaining: objects left for the next run, for want of time.
        columns: what was filled with what, where archive and table differ; a sentence each.
        hold_until: until then no cleanup takes the restored rows again.
    """

    status: Status
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
    refusal: Refusal | None = None
    attachments: tuple[Attachment, ...] = ()

    @property
    def complete(self) -> bool:
        return self.status in (Status.OK, Status.NOTHING)

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
        }
        if self.hold_until:
            out["hold_until"] = _iso(self.hold_until)
        if self.refusal:
            out["refusal"] = self.refusal.to_json()
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused:
    """The frame itself refused: another run of the same job holds the lock."""

    reason: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def status(self) -> Status:
        return Status.REFUSED

    @property
    def complete(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"reason": self.reason}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
