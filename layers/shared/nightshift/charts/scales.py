"""Computes positions of days and values in a chart, and the ticks of its axes. Numbers only, nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import ceil, floor

BAR_GAP = 0.22
"""Of a slot."""
MAX_DATES = 6
WEEK = 7
PERCENT, LARGEST_PERCENT = (1, 2, 5, 10), 25
"""Steps between the lines of shares."""
MAX_SHARES = 6
"""Lines of shares, that of zero included."""
MAX_STEPS = 4
"""Steps between the lines of counts."""


@dataclass(frozen=True, slots=True)
class DayScale:
    """The axis of days: one slot for each, in whole pixels, the last one at the right.

    Attributes:
        left: where the first slot begins, in pixels.
        right: where the last one ends.
        span: how many slots there are.
    """

    left: int
    right: int
    span: int

    def slot_width(self, place: int) -> tuple[int, int]:
        """Both edges of a day's slot.

        Args:
            place: the day's distance from the last one: 0, -1, …
        """
        return self._edge(self.span - 1 + place), self._edge(self.span + place)

    def center_of(self, place: int) -> float:
        """The middle of a day's slot."""
        left, right = self.slot_width(place)
        return (left + right) / 2

    def bar_of(self, place: int) -> tuple[int, int]:
        """Both edges of a day's bar: gaps are alike, where there is room for any."""
        left, right = self.slot_width(place)
        gap = round((self.right - self.left) / self.span * BAR_GAP)
        return left + (gap + 1) // 2, right - gap // 2

    def labelled_days(self, first: int) -> range:
        """Places of the days whose dates are written, counted back to the first: each, or whole weeks of many."""
        step = 1 if self.span <= WEEK else WEEK * ceil(self.span / MAX_DATES / WEEK)
        return range(0, first - 1, -step)

    def _edge(self, number: int) -> int:
        return self.left + round((self.right - self.left) * number / self.span)


@dataclass(frozen=True, slots=True)
class ValueScale:
    """The axis of values from 0 on, upwards.

    Attributes:
        top: the pixel row of the limit.
        bottom: the pixel row of 0.
        limit: the largest value that has room.
    """

    top: int
    bottom: int
    limit: float

    def y(self, value: float) -> float:
        """Returns the vertical position of a value: 0 is in the middle of its row."""
        return self.bottom + 0.5 - value / self.limit * (self.bottom - self.top)

    def row_of(self, value: float) -> int:
        """The pixel row that a value lies in."""
        return floor(self.y(value))


def share_ticks(limit: float) -> list[float]:
    """Returns the shares of an axis's ticks, at even distances, 1 at the most.

    >>> share_ticks(0.16)
    [0.0, 0.05, 0.1, 0.15]
    """
    step = next((step for step in PERCENT if limit * 100 / step < MAX_SHARES), LARGEST_PERCENT)
    ticks = [number * step / 100 for number in range(MAX_SHARES)]
    return [tick for tick in ticks if tick <= min(limit, 1)]


def count_ticks(limit: float) -> list[int]:
    """Returns the whole counts of an axis's ticks, at even distances; round ones, exact in short form.

    >>> count_ticks(133)
    [0, 40, 80, 120]
    """
    steps = (digit * 10**power for power in count() for digit in (1, 2, 4, 5))
    step = next(step for step in steps if step * MAX_STEPS >= limit)
    return list(range(0, floor(limit) + 1, step))
