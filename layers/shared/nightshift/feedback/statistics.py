"""Computes confidence intervals: Wilson's score interval, and Newcombe's for the difference of two ratios.

The plain interval, ratio ± z·σ, was rejected: it has no width if all votes are dislikes, so that 2 of 2 would look
certain, and it reaches below 0. Wilson's keeps its confidence for few votes and for ratios near 0 and 1.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from nightshift.results.feedback import ConfidenceInterval, VoteTotals


def wilson_interval(votes: VoteTotals, confidence: float) -> ConfidenceInterval | None:
    """The interval in which the true negative ratio lies with this confidence, half of the doubt on either side.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927), 209-212; without correction for continuity.

    Args:
        votes: how many dislikes of how many votes.
        confidence: above 0, below 1.

    Returns:
        None without votes: nothing is known then.
    """
    count, ratio = votes.total, votes.ratio
    if ratio is None:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    spread = z * z / count
    centre = (ratio + spread / 2) / (1 + spread)
    half = z * math.sqrt(ratio * (1 - ratio) / count + spread / (4 * count)) / (1 + spread)
    # At either end the two terms are equal on paper; in floating point they miss each other by a hair.
    low = max(0.0, centre - half) if votes.dislikes else 0.0
    high = min(1.0, centre + half) if votes.likes else 1.0
    return ConfidenceInterval(low=low, high=high, confidence=confidence)


def least_difference(votes: VoteTotals, before: VoteTotals, confidence: float) -> float | None:
    """By how much a negative ratio lies above an earlier one at the least: the lower end of the difference's interval.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), 873-890, method 10. Where it is above 0, the interval of the ratio lies above the earlier ratio; that alone
    was rejected as a test, for it takes the earlier ratio for the truth, however few votes it had.

    Args:
        confidence: of the interval from this end to the other; above 0, below 1.

    Returns:
        -1 to 1; None where either has no votes.
    """
    now, then = wilson_interval(votes, confidence), wilson_interval(before, confidence)
    if now is None or then is None or votes.ratio is None or before.ratio is None:
        return None
    return votes.ratio - before.ratio - math.hypot(votes.ratio - now.low, then.high - before.ratio)
