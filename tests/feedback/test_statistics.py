"""The intervals are the published ones, and behave as intervals must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.feedback.decision import least_difference, wilson_interval
from nightshift.results.feedback import VoteTotals

counts = st.integers(0, 10**9)
votes = st.builds(lambda likes, dislikes: VoteTotals(likes=likes, dislikes=dislikes), counts, counts)
confidences = st.floats(0.5, 0.9999)


def of(dislikes: int, total: int) -> VoteTotals:
    return VoteTotals(likes=total - dislikes, dislikes=dislikes)


# R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
# 857-872, table I, method 3 (score).
@pytest.mark.parametrize(
    ("dislikes", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_published_one(dislikes: int, total: int, low: float, high: float) -> None:
    found = wilson_interval(of(dislikes, total), 0.95)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


# Newcombe, "Interval estimation for the difference between independent proportions", table II, method 10.
@pytest.mark.parametrize(
    ("now", "before", "low"),
    [
        ((56, 70), (48, 80), 0.0524),
        ((9, 10), (3, 10), 0.1705),
        ((6, 7), (2, 7), 0.0582),
        ((5, 56), (0, 29), -0.0381),
        ((0, 10), (0, 20), -0.1611),
        ((10, 10), (0, 20), 0.6791),
        ((10, 10), (0, 10), 0.6075),
    ],
)
def test_newcombes_difference_is_the_published_one(now: tuple[int, int], before: tuple[int, int], low: float) -> None:
    found = least_difference(of(*now), of(*before), 0.95)
    assert found is not None
    assert round(found, 4) == low


def test_without_votes_nothing_is_known() -> None:
    assert wilson_interval(VoteTotals(), 0.95) is None
    assert least_difference(VoteTotals(), of(1, 2), 0.95) is least_difference(of(1, 2), VoteTotals(), 0.95) is None


@given(votes.filter(lambda v: v.total > 0), confidences)
def test_the_interval_holds_the_ratio_and_stays_between_0_and_1(found: VoteTotals, confidence: float) -> None:
    interval, ratio = wilson_interval(found, confidence), found.ratio
    assert interval is not None and ratio is not None
    assert 0 <= interval.low <= ratio + 1e-12 and ratio - 1e-12 <= interval.high <= 1
    assert (interval.low == 0) is (found.dislikes == 0)
    assert (interval.high == 1) is (found.likes == 0)


@given(votes.filter(lambda v: v.total > 0), confidences)
def test_likes_and_dislikes_are_mirror_images(found: VoteTotals, confidence: float) -> None:
    interval = wilson_interval(found, confidence)
    mirrored = wilson_interval(VoteTotals(likes=found.dislikes, dislikes=found.likes), confidence)
    assert interval is not None and mirrored is not None
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-9)


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 100), confidences)
def test_more_votes_of_the_same_ratio_are_surer(likes: int, dislikes: int, times: int, confidence: float) -> None:
    once = wilson_interval(VoteTotals(likes=likes, dislikes=dislikes), confidence)
    more = wilson_interval(VoteTotals(likes=likes * times, dislikes=dislikes * times), confidence)
    assert once is not None and more is not None
    assert more.low >= once.low - 1e-12
    assert more.high <= once.high + 1e-12


@given(votes.filter(lambda v: v.total > 0), votes.filter(lambda v: v.total > 0), confidences)
def test_a_difference_beyond_chance_puts_the_interval_above_the_earlier_ratio(
    now: VoteTotals, before: VoteTotals, confidence: float
) -> None:
    least, interval = least_difference(now, before, confidence), wilson_interval(now, confidence)
    assert least is not None and interval is not None and before.ratio is not None
    if least > 1e-9:
        assert interval.low > before.ratio
