"""Results common to all jobs, and their statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class RunStatus(StrEnum):
    """Status of a finished run, or of one table of it. A run that failed raises; `failed` is for one table in it."""

    OK = "ok"
    NOTHING = "nothing"
    PARTIAL = "partial"
    REFUSED = "refused"
    DRY_RUN = "dry_run"
    FAILED = "failed"


SEVERITY = (RunStatus.FAILED, RunStatus.REFUSED, RunStatus.PARTIAL, RunStatus.OK, RunStatus.DRY_RUN, RunStatus.NOTHING)
"""Precedence of statuses if several tables ended differently; the first wins."""


def worst_status(statuses: Iterable[RunStatus]) -> RunStatus:
    """The one status that stands for all of `statuses`; `nothing` for none."""
    return min(statuses, key=SEVERITY.index, default=RunStatus.NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAttachment:
    """A file for the Slack reader.

    Attributes:
        filename: as the reader saves it, e.g. `conversation_log_backup_20250915.csv`.
        content: the bytes of the file.
        rows: how many rows it holds; a picture has none.
        total_rows: how many rows it stands for; more than `rows` where the file was cut.
        table: the table they come from, as its `TableResult` names it; None where they come from no one table.
    """

    filename: str
    content: bytes = field(repr=False)
    rows: int = 0
    total_rows: int = 0
    table: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRefusal:
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


class Metric(NamedTuple):
    """A figure of one run for CloudWatch; `unit` is one of CloudWatch's."""

    name: str
    value: float
    unit: str = "Count"


class JobResult(Protocol):
    """Interface of any job's result that the frame needs."""

    @property
    def status(self) -> RunStatus: ...

    @property
    def complete(self) -> bool:
        """True where nothing is left to do for this `as_of`."""

    @property
    def attachments(self) -> tuple[MessageAttachment, ...]: ...

    def to_json(self) -> dict[str, Any]:
        """The job's own part of the answer."""

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:
        """Yields the job's own metrics.

        Args:
            as_of: aware; the time that the run stands for.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused:
    """The frame itself refused: another run of the same job holds the lock."""

    reason: str
    attachments: tuple[MessageAttachment, ...] = ()

    @property
    def status(self) -> RunStatus:
        return RunStatus.REFUSED

    @property
    def complete(self) -> bool:
        return False

    def to_json(self) -> dict[str, Any]:
        return {"reason": self.reason}

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        yield from ()


def format_iso(moment: datetime | None) -> str | None:
    """ISO 8601, as answers have it."""
    return None if moment is None else moment.isoformat()
