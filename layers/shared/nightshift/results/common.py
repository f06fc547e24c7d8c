"""Defines the base class of all jobs' results, the statuses of runs, and the conversion of results to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from nightshift.errors import NightshiftError


class RunStatus(StrEnum):
    """Status of a finished run, or of one of its tables. Only a table can be `failed`: a failed run raises an error."""

    OK = "ok"
    NOTHING = "nothing"
    PARTIAL = "partial"
    REFUSED = "refused"
    DRY_RUN = "dry_run"
    FAILED = "failed"


SEVERITY = (RunStatus.FAILED, RunStatus.REFUSED, RunStatus.PARTIAL, RunStatus.OK, RunStatus.DRY_RUN, RunStatus.NOTHING)
"""Statuses by severity, most severe first. The most severe status of its tables is the status of a run."""


def worst_status(statuses: Iterable[RunStatus]) -> RunStatus:
    """Returns the most severe of `statuses`; `nothing` if `statuses` is empty."""
    return min(statuses, key=SEVERITY.index, default=RunStatus.NOTHING)


HIDDEN = {"hidden": True}
"""Metadata of a field that JSON omits."""
OPTIONAL = {"optional": True}
"""Metadata of a field that JSON omits if the value is empty or zero."""


def digits(decimals: int) -> dict[str, int]:
    """Returns the metadata of a number that JSON rounds to `decimals` decimals."""
    return {"digits": decimals}


MILLISECONDS = digits(3)


class JsonFacts:
    """Base class of dataclasses with a JSON form. A JSON key is the field's name, or the `name` in its metadata."""

    __slots__ = ()

    def to_json(self: Any) -> dict[str, Any]:
        """Returns the fields as JSON values: a time in ISO 8601, an error as its message."""
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
    """A file that accompanies the Slack message.

    Attributes:
        filename: the file's name, e.g. `conversation_log_backup_20250915.csv`.
        rows: number of rows in the file; 0 for a picture.
        total_rows: number of archived rows. If this number is above `rows`, the file has only the first rows.
        table: the rows' table, as in `TableResult.table`; None: the file does not belong to a single table.
    """

    filename: str
    content: bytes = field(repr=False)
    rows: int = 0
    total_rows: int = 0
    table: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRefusal(JsonFacts):
    """A refusal by a guard. A guard is a check that refuses a table or a run before data is at risk.

    Attributes:
        guard: the guard's short name, e.g. `unknown_table`, `cascade`, `abnormal_volume`.
    """

    guard: str
    message: str
    hint: str


class Metric(NamedTuple):
    """A metric of one run, for CloudWatch. `unit` is a unit of CloudWatch, e.g. `Count`, `Bytes` or `Seconds`."""

    name: str
    value: float
    unit: str = "Count"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(JsonFacts):
    """Base class of every job's result, with the members that `runtime` uses."""

    attachments: tuple[MessageAttachment, ...] = field(default=(), metadata=HIDDEN)

    @property
    def status(self) -> RunStatus:
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        """Returns whether no work is left for the run's scheduled time, `as_of`."""
        return self.status in (RunStatus.OK, RunStatus.NOTHING)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        """Yields the metrics that only this job has. The base class yields no metric.

        Args:
            as_of: scheduled time of the run; an aware time.
        """
        yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRefused(JobResult):
    """Result of a run that `runtime` refused, because another run of the same job holds the lock."""

    reason: str

    @property
    def status(self) -> RunStatus:
        return RunStatus.REFUSED
