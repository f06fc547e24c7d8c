"""Result of `feedback`: the votes of a window, the decision, and the reason of the decision. A window is one day."""

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
    """State of a window, derived from its votes."""

    HEALTHY = "healthy"
    CAUTION = "caution"
    RETRAINING = "retraining"
    TOO_FEW = "too_few_votes"


class FeedbackReason(StrEnum):
    """Reason for a window's state."""

    WITHIN = "within"
    """The negative ratio is not above the threshold, and not clearly worse than in the seven days before."""
    WORSE = "worse"
    """The ratio is not above the threshold, but its interval lies above the ratio of the seven days before."""
    UNCERTAIN = "uncertain"
    """The ratio is above the threshold, but its interval includes the threshold: chance may be the cause."""
    CERTAIN = "certain"
    """The whole interval lies above the threshold."""
    COOLING_DOWN = "cooling_down"
    """The whole interval lies above the threshold, but the cooldown after the last re-embedding is not over."""
    SUPERSEDED = "superseded"
    """The whole interval lies above the threshold, but a later window has a decision, so nothing is started."""
    TOO_FEW = "too_few"
    """The votes are fewer than `min_votes`, the minimum for a decision."""
    NO_VOTES = "no_votes"
    UNKNOWN_VALUES = "unknown_values"
    """Too many values of the rating column are not in the settings as a like, a dislike or neutral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteTotals(JsonFacts):
    """Number of likes and of dislikes. Other values of the rating column do not count."""

    likes: int = 0
    dislikes: int = 0

    @property
    def total(self) -> int:
        return self.likes + self.dislikes

    @property
    def ratio(self) -> float | None:
        """Returns the negative ratio: the share of dislikes among the votes, 0 to 1; None without votes."""
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
        value: the beginning of the value, as text.
        resembles: a value of the settings that differs only in case, in spaces or in an emoji's variant.
    """

    value: str
    count: int
    resembles: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackFigures(JsonFacts):
    """Figures of a decision, or of another count of the same window.

    Attributes:
        unknown: number of ratings that the settings do not name.
        threshold: negative ratio above which re-embedding may start, 0 to 1.
        min_votes: minimum number of votes for a decision.
        confidence: confidence of the interval of the negative ratio, 0 to 1.
    """

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
    """Wilson's confidence interval of a ratio, which includes the true ratio with the given confidence."""

    low: float = field(metadata=digits(6))
    high: float = field(metadata=digits(6))
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupVotes(JsonFacts):
    """Votes of one topic or model in the window."""

    group: str
    votes: VoteTotals = field(metadata=HIDDEN)

    def to_json(self) -> dict[str, Any]:
        return {**JsonFacts.to_json(self), **self.votes.to_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayVotes:
    """Votes of one day in the report's time zone."""

    day: date
    votes: VoteTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackResult(JobResult):
    """Result of one run of `feedback`: counts and decision.

    Attributes:
        table: `schema.table`, as in the database.
        start, end: the window `[start, end)`; aware times in the report's zone.
        votes: the votes that the decision is based on; in a dry run, the present votes.
        unknown: number of ratings in the window that the settings do not name.
        unknown_ratings: the most frequent unknown values at present.
        interval: confidence interval of the negative ratio; None without votes.
        threshold: negative ratio above which re-embedding may start, 0 to 1.
        min_votes: minimum number of votes for a decision.
        previous: present votes of the previous window; None: the window has no votes.
        week: votes of the seven windows before, together; None: these windows have no votes.
        late: votes of the previous window that arrived after its report.
        worst: topics or models with at least `min_votes` votes, highest negative ratio first.
        comments: number of comments on dislikes; None: no comment column is set.
        days: days of the chart, oldest first, including days without votes. The last day is the window.
        cooling_until: end of the cooldown, during which re-embedding is not started again; set with `COOLING_DOWN`.
        decision: ID of the decision on this window, the same in every run for the window.
        decided_before: whether an earlier run decided on this window. This run did not repeat the consequences.
        since: figures by the present settings and votes, if these differ from the recorded decision's figures.
        on_record: figures of an earlier run's decision; only in a dry run.
        started: whether this run sent the event that starts re-embedding.
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
        """Yields the job's metrics. A window without votes has no ratio. A refused run has no counts of votes."""
        if self.refusal is None:
            yield Metric("Votes", self.votes.total)
            yield Metric("Dislikes", self.votes.dislikes)
        if self.votes.ratio is not None:
            yield Metric("NegativeRatio", 100 * self.votes.ratio, "Percent")
        yield Metric("FeedbackRetraining", int(self.started))


def show_rating(value: str) -> str:
    """Returns a value, with its first eight code points unless the value is printable ASCII.

    The code points distinguish values that look alike.
    """
    if value.isascii() and value.isprintable():
        return value
    shown = "".join(char if char.isprintable() else "\ufffd" for char in value)
    return f"{shown} ({' '.join(f'U+{ord(char):04X}' for char in value[:8])})"
