"""Decides on a window's votes, as a pure function: the same votes and the same past give the same decision."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from statistics import NormalDist

from nightshift.results.feedback import ConfidenceInterval, FeedbackReason, FeedbackState, VoteTotals
from nightshift.settings import Settings

MAX_UNKNOWN_SHARE = 0.1
"""Largest share of ratings with unknown values for a decision; the unknown ratings may all be likes or dislikes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRules:
    """Rules of a decision.

    Attributes:
        threshold: the negative ratio above which re-embedding is needed.
        min_votes: smallest number of votes for a decision.
        confidence: confidence of the interval that must lie above the threshold.
    """

    threshold: float
    min_votes: int
    confidence: float

    @classmethod
    def from_settings(cls, settings: Settings) -> DecisionRules:
        return cls(
            threshold=settings.feedback_threshold,
            min_votes=settings.feedback_min_votes,
            confidence=settings.feedback_confidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierWindows:
    """Earlier windows and decisions that a decision depends on.

    Attributes:
        week: total votes of the seven windows before.
        cooling_until: time before which re-embedding is not started again; None if it was not started recently.
        superseded: a later window was already decided.
    """

    week: VoteTotals = field(default_factory=VoteTotals)
    cooling_until: datetime | None = None
    superseded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackDecision:
    """A window's state, the reason for the state, and the confidence interval of the negative ratio."""

    state: FeedbackState
    reason: FeedbackReason
    interval: ConfidenceInterval | None


def make_decision(
    votes: VoteTotals, past: EarlierWindows, rules: DecisionRules, *, as_of: datetime, unknown: int = 0
) -> FeedbackDecision:
    """Decide on a window.

    Args:
        unknown: number of the window's ratings with values that the settings do not name.
    """
    interval = wilson_interval(votes, rules.confidence)
    if unknown > MAX_UNKNOWN_SHARE * (votes.total + unknown):
        return FeedbackDecision(state=FeedbackState.TOO_FEW, reason=FeedbackReason.UNKNOWN_VALUES, interval=interval)
    state, reason = _judged(votes, interval, past, rules, as_of)
    return FeedbackDecision(state=state, reason=reason, interval=interval)


def _judged(
    votes: VoteTotals, interval: ConfidenceInterval | None, past: EarlierWindows, rules: DecisionRules, as_of: datetime
) -> tuple[FeedbackState, FeedbackReason]:
    ratio = votes.ratio
    if interval is None or ratio is None:
        return FeedbackState.TOO_FEW, FeedbackReason.NO_VOTES
    if votes.total < rules.min_votes:
        return FeedbackState.TOO_FEW, FeedbackReason.TOO_FEW
    if interval.low > rules.threshold:
        return _certain(past, as_of)
    if ratio > rules.threshold:
        return FeedbackState.CAUTION, FeedbackReason.UNCERTAIN
    # The week must have at least as many votes as a window needs.
    enough = past.week.total >= rules.min_votes
    if enough and (least_difference(votes, past.week, rules.confidence) or 0) > 0:
        return FeedbackState.CAUTION, FeedbackReason.WORSE
    return FeedbackState.HEALTHY, FeedbackReason.WITHIN


def _certain(past: EarlierWindows, as_of: datetime) -> tuple[FeedbackState, FeedbackReason]:
    """Returns the result for certainly too many dislikes: start re-embedding, unless superseded or cooling down."""
    if past.superseded:
        return FeedbackState.CAUTION, FeedbackReason.SUPERSEDED
    if past.cooling_until is not None and as_of < past.cooling_until:
        return FeedbackState.CAUTION, FeedbackReason.COOLING_DOWN
    return FeedbackState.RETRAINING, FeedbackReason.CERTAIN


def wilson_interval(votes: VoteTotals, confidence: float) -> ConfidenceInterval | None:
    """Returns Wilson's two-sided confidence interval of the true negative ratio; None if there are no votes.

    The simple interval, ratio ± z·σ, was rejected: it has no width if all votes are dislikes, so 2 of 2 would look
    certain, and it may begin below 0. Wilson's interval is reliable for few votes and for ratios near 0 and 1.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927), 209-212; without correction for continuity.

    Args:
        confidence: above 0, below 1.
    """
    count, ratio = votes.total, votes.ratio
    if ratio is None:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    spread = z * z / count
    centre = (ratio + spread / 2) / (1 + spread)
    half = z * math.sqrt(ratio * (1 - ratio) / count + spread / (4 * count)) / (1 + spread)
    # At 0 and 1 the two terms are mathematically equal, but differ slightly in floating point.
    low = max(0.0, centre - half) if votes.dislikes else 0.0
    high = min(1.0, centre + half) if votes.likes else 1.0
    return ConfidenceInterval(low=low, high=high, confidence=confidence)


def least_difference(votes: VoteTotals, before: VoteTotals, confidence: float) -> float | None:
    """Returns the lower end of the confidence interval of the difference between a negative ratio and an earlier ratio.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), 873-890, method 10. If the result is above 0, the ratio's interval lies above the earlier ratio. A test of
    only this condition was rejected, because it assumes that the earlier ratio is exact, even with few votes.

    Args:
        confidence: confidence of the two-sided interval; above 0, below 1.

    Returns:
        a number from -1 to 1; None if either ratio has no votes.
    """
    now, then = wilson_interval(votes, confidence), wilson_interval(before, confidence)
    if now is None or then is None or votes.ratio is None or before.ratio is None:
        return None
    return votes.ratio - before.ratio - math.hypot(votes.ratio - now.low, then.high - before.ratio)
