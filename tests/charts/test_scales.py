"""Axes tell few, round values, and tell them truly."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.charts.labels import WORDS, Language
from nightshift.charts.scales import (
    MAX_DATES,
    MAX_SHARES,
    MAX_STEPS,
    WEEK,
    DayScale,
    ValueScale,
    count_ticks,
    share_ticks,
)

LEFT, RIGHT = 90, 870


@given(st.integers(7, 400))
def test_days_fill_their_axis_without_gap_or_overlap(span: int) -> None:
    days = DayScale(LEFT, RIGHT, span)
    slots = [days.slot_width(place) for place in range(1 - span, 1)]
    assert (slots[0][0], slots[-1][1]) == (LEFT, RIGHT)
    assert all(before[1] == after[0] for before, after in pairwise(slots))
    widths = {right - left for left, right in slots}
    assert max(widths) - min(widths) <= 1
    for place in (1 - span, 0):
        (left, right), (begin, end) = days.slot_width(place), days.bar_of(place)
        assert left <= begin < end <= right
        assert left < days.center_of(place) < right


def test_thirty_days_are_all_alike() -> None:
    days = DayScale(LEFT, RIGHT, 30)
    assert {right - left for left, right in map(days.slot_width, range(-29, 1))} == {26}
    assert {right - left for left, right in map(days.bar_of, range(-29, 1))} == {20}


@given(st.integers(1, 2000))
def test_many_dates_are_whole_weeks_apart_and_few_are_all_told(count: int) -> None:
    told = DayScale(LEFT, RIGHT, max(count, WEEK)).labelled_days(1 - count)
    assert told[0] == 0
    assert told[-1] >= 1 - count
    if count <= WEEK:
        assert len(told) == count
    else:
        assert told.step % WEEK == 0
        assert 2 <= len(told) <= MAX_DATES or count <= 2 * WEEK


def test_a_month_is_told_week_by_week() -> None:
    assert list(DayScale(LEFT, RIGHT, 30).labelled_days(-29)) == [0, -7, -14, -21, -28]


@given(st.floats(0, 1.1), st.sampled_from([0.0125, 0.2, 1.1]))
def test_values_lie_upwards_from_the_middle_of_the_row_of_zero(value: float, limit: float) -> None:
    scale = ValueScale(144, 330, limit)
    assert (scale.row_of(0), scale.y(0), scale.row_of(limit)) == (330, 330.5, 144)
    if value <= limit:
        assert 144 <= scale.y(value) <= 330.5
        assert scale.row_of(value) <= scale.y(value) < scale.row_of(value) + 1


@given(st.floats(0.0125, 1.1))
def test_shares_are_told_as_whole_percents(limit: float) -> None:
    ticks = share_ticks(limit)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= MAX_SHARES
    assert ticks[-1] <= min(limit, 1)
    assert [float(f"{tick:.0%}".removesuffix("%")) / 100 for tick in ticks] == ticks


@pytest.mark.parametrize("language", ["ko", "en"])
@given(limit=st.floats(1.12, 10**19))
def test_counts_are_told_truly_also_in_short(language: Language, limit: float) -> None:
    ticks = count_ticks(limit)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= MAX_STEPS + 1
    assert ticks[-1] <= limit < ticks[-1] + ticks[1]
    said = [WORDS[language].in_short(tick) for tick in ticks]
    units = {"": 1, **{unit: size for size, unit in WORDS[language].units}}
    for tick, text in zip(ticks, said, strict=True):
        digits = text.rstrip("".join(units)).replace(",", "")
        unit = units[text[len(text.rstrip("".join(units))) :]]
        assert round(float(digits) * unit) == pytest.approx(tick, rel=1e-12)


@pytest.mark.parametrize(
    ("limit", "ticks"),
    [(1.12, [0, 1]), (3.4, [0, 1, 2, 3]), (133, [0, 40, 80, 120]), (21.3, [0, 10, 20]), (17_000_000, [0, 5_000_000])],
)
def test_counts_that_are_told(limit: float, ticks: list[int]) -> None:
    assert count_ticks(limit)[: len(ticks)] == ticks
