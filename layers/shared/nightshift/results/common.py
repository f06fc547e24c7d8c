"""Results common to all jobs, and their statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from nightshift.errors import NightshiftError


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


HIDDEN = {"hidden": True}
"""Metadata of a field that JSON does not have."""
OPTIONAL = {"optional": True}
"""Metadata of a field that JSON leaves out while it is empty or zero."""


def digits(decimals: int) -> dict[str, int]:
    """Metadata of a number that JSON rounds."""
    return {"digits": decimals}


MILLISECONDS = digits(3)


class JsonFacts:
    """A dataclass whose JSON is made from its fields, under their names or the `name` of their metadata."""

    __slots__ = ()

    def to_json(self: Any) -> dict[str, Any]:
        """The facts as an answer has them: times as ISO 8601, an error by its message."""
        out: dict[str, Any] = {}
        for fact in fields(self):
            value, how = getattr(self, fact.name), fact.metadata
            if "hidden" in how or ("optional" in how and not value):
                continue
            out[how.get("name", fact.name)] = round(value, how["digits"]) if "digits" in how else _as_json(value)
        return out


def _as_json(value: Any) -> Any:
    match value:
        case JsonFacts():
            return value.to_json()
        case NightshiftError():
            return value.message
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case tuple():
            return [_as_json(item) for item in value]
        case Mapping():
            return dict(value)
    return value


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
class GuardRefusal(JsonFacts):
    """A guard that said no.

    Attributes:
        guard: its short name, e.g. `unknown_table`, `cascade`, `abnormal_volume`.
        message: one sentence, what is wrong.
        hint: what the operator can do.
    """

    guard: str
    message: str
    hint: str


class Metric(NamedTuple):
    """A figure of one run for CloudWatch; `unit` is one of CloudWatch's."""

    name: str
    value: float
    unit: str = "Count"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(JsonFacts):
    """Base of every job's result: the part that the frame needs."""

    attachments: tuple[MessageAttachment, ...] = field(default=(), metadata=HIDDEN)

    @property
    def status(self) -> RunStatus:
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """True where nothing is left to do for this `as_of`."""
        return self.status in (RunStatus.OK, RunStatus.NOTHING)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        """Yields the job's own metrics; none unless it has some.

        Args:
            as_of: aware; the time that the run stands for.
        """
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused(JobResult):
    """The frame itself refused: another run of the same job holds the lock."""

    reason: str

    @property
    def status(self) -> RunStatus:
        return RunStatus.REFUSED
