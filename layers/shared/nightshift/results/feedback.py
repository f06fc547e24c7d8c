"""Result of `feedback`: how users liked a window's answers, the decision, and its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from nightshift.results.common import GuardRefusal, MessageAttachment, Metric, RunStatus, format_iso


class FeedbackState(StrEnum):
    """State of a window by its votes."""

    HEALTHY = "healthy"
    CAUTION = "caution"
    RETRAINING = "retraining"
    TOO_FEW = "too_few_votes"


class FeedbackReason(StrEnum):
    """Reason for a window's state."""

    WITHIN = "within"
    """The negative ratio is not above the threshold, nor clearly worse than the week before."""
    WORSE = "worse"
    """Not above the threshold, but the interval lies above the seven days' ratio before."""
    UNCERTAIN = "uncertain"
    """Above the threshold, but chance may have done it: the interval reaches down to it."""
    CERTAIN = "certain"
    """The whole interval lies above the threshold."""
    COOLING_DOWN = "cooling_down"
    """As `CERTAIN`, but re-embedding was started a short while ago."""
    SUPERSEDED = "superseded"
    """As `CERTAIN`, but a later window was decided on already: this one starts nothing any more."""
    TOO_FEW = "too_few"
    """Fewer votes than the least number that anything is decided on."""
    NO_VOTES = "no_votes"
    UNKNOWN_VALUES = "unknown_values"
    """Too many values of the rating column are neither a like nor a dislike, nor said to be neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteTotals:
    """Likes and dislikes that were counted; other values of the rating column are none."""

    likes: int = 0
    dislikes: int = 0

    @property
    def total(self) -> int:
        return self.likes + self.dislikes

    @property
    def ratio(self) -> float | None:
        """Share of dislikes, 0 to 1; None without votes."""
        return self.dislikes / self.total if self.total else None

    def __add__(self, other: VoteTotals) -> VoteTotals:
        return VoteTotals(likes=self.likes + other.likes, dislikes=self.dislikes + other.dislikes)

    def to_json(self) -> dict[str, Any]:
        ratio = None if self.ratio is None else round(self.ratio, 6)
        return {"likes": self.likes, "dislikes": self.dislikes, "total": self.total, "ratio": ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRating:
    """A value of the rating column that the settings do not name.

    Attributes:
        value: its beginning, as text.
        resembles: the value of the settings that it differs from only in case, spaces or an emoji's variant.
    """

    value: str
    count: int
    resembles: str | None = None

    def to_json(self) -> dict[str, Any]:
        resembles = {"resembles": self.resembles} if self.resembles else {}
        return {"value": self.value, "count": self.count, **resembles}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackFigures:
    """The figures of one decision, or of another count of the same window."""

    votes: VoteTotals
    unknown: int
    threshold: float
    min_votes: int
    confidence: float
    state: FeedbackState | None = None

    def to_json(self) -> dict[str, Any]:
        state = {"state": self.state.value} if self.state else {}
        rules = {"threshold": self.threshold, "min_votes": self.min_votes, "confidence": self.confidence}
        return {**self.votes.to_json(), "unknown": self.unknown, **rules, **state}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceInterval:
    """Wilson's interval of a ratio: where the true one lies with this confidence."""

    low: float
    high: float
    confidence: float

    def to_json(self) -> dict[str, float]:
        return {"low": round(self.low, 6), "high": round(self.high, 6), "confidence": self.confidence}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupVotes:
    """The votes of one topic or model in the window."""

    group: str
    votes: VoteTotals

    def to_json(self) -> dict[str, Any]:
        return {"group": self.group, **self.votes.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayVotes:
    """The votes of one day, in the report's zone."""

    day: date
    votes: VoteTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackResult:
    """Result of one run of `feedback`: counts and decision.

    Attributes:
        table: `schema.table`, as the database has it.
        start, end: the window, `[start, end)`, aware, in the report's zone.
        votes: those that were decided on; in a dry run, those that are there now.
        unknown: values of the rating column, in the window, that the settings do not name.
        unknown_ratings: the most frequent of them, as they are now.
        interval: of the negative ratio; None without votes.
        threshold: the negative ratio above which something is wrong.
        min_votes: fewer than these decide nothing.
        previous: the window before, counted now; None where it has no vote.
        week: the seven windows before, together; None where they have no vote.
        late: votes of the window before that came after it was reported.
        worst: topics or models with enough votes, highest negative ratio first.
        comments: comments that came with dislikes; None: no comment column is set.
        days: the days of the chart, oldest first, the window's own last; days without a vote are there, too.
        cooling_until: until when re-embedding is not started again; set with `COOLING_DOWN`.
        decision: names what was decided on this window, the same at every delivery.
        decided_before: an earlier run decided on this window; what follows from it was not done again.
        since: what a count by today's settings gives, where it differs from what was decided on before.
        on_record: the decision of an earlier run, beside a dry run's own.
        started: this run sent the event that starts re-embedding.
        dry_run: nothing was written, nothing sent.
    """

    table: str
    start: datetime
    end: datetime
    votes: VoteTotals = VoteTotals()
    unknown: int = 0
    unknown_ratings: tuple[UnknownRating, ...] = ()
    interval: ConfidenceInterval | None = None
    threshold: float = 0.3
    min_votes: int = 30
    state: FeedbackState = FeedbackState.TOO_FEW
    reason: FeedbackReason = FeedbackReason.NO_VOTES
    previous: VoteTotals | None = None
    week: VoteTotals | None = None
    late: int = 0
    worst: tuple[GroupVotes, ...] = ()
    comments: int | None = None
    days: tuple[DayVotes, ...] = ()
    cooling_until: datetime | None = None
    dashboard_url: str | None = None
    decision: str | None = None
    decided_before: bool = False
    since: FeedbackFigures | None = None
    on_record: FeedbackFigures | None = None
    started: bool = False
    dry_run: bool = False
    refusal: GuardRefusal | None = None
    warnings: tuple[str, ...] = ()
    attachments: tuple[MessageAttachment, ...] = ()

    @property
    def status(self) -> RunStatus:
        if self.refusal is not None:
            return RunStatus.REFUSED
        if self.dry_run:
            return RunStatus.DRY_RUN
        return RunStatus.OK if self.votes.total or self.unknown else RunStatus.NOTHING

    @property
    def complete(self) -> bool:
        return self.status in (RunStatus.OK, RunStatus.NOTHING)

    def to_json(self) -> dict[str, Any]:
        """The job's part of the answer."""
        out: dict[str, Any] = {
            "table": self.table,
            "window": {"start": format_iso(self.start), "end": format_iso(self.end)},
            **self.votes.to_json(),
            "unknown": self.unknown,
            "unknown_ratings": [one.to_json() for one in self.unknown_ratings],
            "interval": self.interval.to_json() if self.interval else None,
            "threshold": self.threshold,
            "min_votes": self.min_votes,
            "state": self.state.value,
            "reason": self.reason.value,
            "previous": self.previous.to_json() if self.previous else None,
            "week": self.week.to_json() if self.week else None,
            "late": self.late,
            "worst": [group.to_json() for group in self.worst],
            "decision": self.decision,
            "decided_before": self.decided_before,
            "started": self.started,
        }
        if self.since is not None:
            out["since"] = self.since.to_json()
        if self.on_record is not None:
            out["on_record"] = self.on_record.to_json()
        if self.comments is not None:
            out["comments"] = self.comments
        if self.cooling_until is not None:
            out["cooling_until"] = format_iso(self.cooling_until)
        if self.refusal:
            out["refusal"] = self.refusal.to_json()
        if self.warnings:
            out["warnings"] = list(self.warnings)
        return out

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        """A window without votes has no ratio. A refused run could not count the votes."""
        if self.refusal is None:
            yield Metric("Votes", self.votes.total)
            yield Metric("Dislikes", self.votes.dislikes)
        if self.votes.ratio is not None:
            yield Metric("NegativeRatio", 100 * self.votes.ratio, "Percent")
        yield Metric("FeedbackRetraining", int(self.started))


def show_rating(value: str) -> str:
    """Returns a value, with its code points if it has invisible or confusable characters."""
    if value.isascii() and value.isprintable():
        return value
    shown = "".join(char if char.isprintable() else "\ufffd" for char in value)
    return f"{shown} ({' '.join(f'U+{ord(char):04X}' for char in value[:8])})"
