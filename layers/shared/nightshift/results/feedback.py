"""Result of `feedback`: how users liked a window's answers, the decision, and its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from nightshift.results.common import (
    HIDDEN,
    OPTIONAL,
    GuardRefusal,
    JobResult,
    JsonFacts,
    Metric,
    RunStatus,
    digits,
)


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
class VoteTotals(JsonFacts):
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
        return {**JsonFacts.to_json(self), "total": self.total, "ratio": ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRating(JsonFacts):
    """A value of the rating column that the settings do not name.

    Attributes:
        value: its beginning, as text.
        resembles: the value of the settings that it differs from only in case, spaces or an emoji's variant.
    """

    value: str
    count: int
    resembles: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackFigures(JsonFacts):
    """The figures of one decision, or of another count of the same window."""

    votes: VoteTotals = field(metadata=HIDDEN)
    unknown: int
    threshold: float
    min_votes: int
    confidence: float
    state: FeedbackState | None = field(default=None, metadata=OPTIONAL)

    def to_json(self) -> dict[str, Any]:
        return {**self.votes.to_json(), **JsonFacts.to_json(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceInterval(JsonFacts):
    """Wilson's interval of a ratio: where the true one lies with this confidence."""

    low: float = field(metadata=digits(6))
    high: float = field(metadata=digits(6))
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupVotes(JsonFacts):
    """The votes of one topic or model in the window."""

    group: str
    votes: VoteTotals = field(metadata=HIDDEN)

    def to_json(self) -> dict[str, Any]:
        return {**JsonFacts.to_json(self), **self.votes.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayVotes:
    """The votes of one day, in the report's zone."""

    day: date
    votes: VoteTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackResult(JobResult):
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
    start: datetime = field(metadata=HIDDEN)
    end: datetime = field(metadata=HIDDEN)
    votes: VoteTotals = field(default=VoteTotals(), metadata=HIDDEN)
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
    comments: int | None = field(default=None, metadata=HIDDEN)
    days: tuple[DayVotes, ...] = field(default=(), metadata=HIDDEN)
    cooling_until: datetime | None = field(default=None, metadata=OPTIONAL)
    dashboard_url: str | None = field(default=None, metadata=HIDDEN)
    decision: str | None = None
    decided_before: bool = False
    since: FeedbackFigures | None = field(default=None, metadata=OPTIONAL)
    on_record: FeedbackFigures | None = field(default=None, metadata=OPTIONAL)
    started: bool = False
    dry_run: bool = field(default=False, metadata=HIDDEN)
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)

    @property
    def status(self) -> RunStatus:
        if self.refusal is not None:
            return RunStatus.REFUSED
        if self.dry_run:
            return RunStatus.DRY_RUN
        return RunStatus.OK if self.votes.total or self.unknown else RunStatus.NOTHING

    def to_json(self) -> dict[str, Any]:
        window = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        comments = {} if self.comments is None else {"comments": self.comments}
        return {"window": window, **self.votes.to_json(), **JsonFacts.to_json(self), **comments}

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
