"""Computes the positions of days and values in a chart, and the ticks of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import ceil, floor

BAR_GAP = 0.22
"""Width of the gap between two bars, as a share of a day's slot."""
MAX_DATES = 6
WEEK = 7
PERCENT, LARGEST_PERCENT = (1, 2, 5, 10), 25
"""Possible distances between two ticks of shares, in percent."""
MAX_SHARES = 6
"""Maximum number of ticks of shares, including 0."""
MAX_STEPS = 4
"""Maximum number of steps between ticks of counts."""


@dataclass(frozen=True, slots=True)
class DayScale:
    """The axis of days. Each day has a slot of whole pixels, and the last day is at the right.

    Attributes:
        left: left edge of the first slot, in pixels.
        right: right edge of the last slot, in pixels.
        span: number of slots.
    """

    left: int
    right: int
    span: int

    def slot_width(self, place: int) -> tuple[int, int]:
        """Returns the left and right edges of a day's slot.

        Args:
            place: the day's distance from the last day: 0, -1, …
        """
        return self._edge(self.span - 1 + place), self._edge(self.span + place)

    def center_of(self, place: int) -> float:
        """Returns the horizontal middle of a day's slot."""
        left, right = self.slot_width(place)
        return (left + right) / 2

    def bar_of(self, place: int) -> tuple[int, int]:
        """Returns the left and right edges of a day's bar. Gaps between bars are equal. Narrow slots have no gaps."""
        left, right = self.slot_width(place)
        gap = round((self.right - self.left) / self.span * BAR_GAP)
        return left + (gap + 1) // 2, right - gap // 2

    def labelled_days(self, first: int) -> range:
        """Returns the places of the days with a date, from the last day back: every day, or every few weeks."""
        step = 1 if self.span <= WEEK else WEEK * ceil(self.span / MAX_DATES / WEEK)
        return range(0, first - 1, -step)

    def _edge(self, number: int) -> int:
        return self.left + round((self.right - self.left) * number / self.span)


@dataclass(frozen=True, slots=True)
class ValueScale:
    """The axis of values, from 0 upwards.

    Attributes:
        top: pixel row of the limit.
        bottom: pixel row of 0.
        limit: largest value of the axis.
    """

    top: int
    bottom: int
    limit: float

    def y(self, value: float) -> float:
        """Returns the vertical position of a value. The value 0 is in the middle of its pixel row."""
        return self.bottom + 0.5 - value / self.limit * (self.bottom - self.top)

    def row_of(self, value: float) -> int:
        """Returns the pixel row of a value."""
        return floor(self.y(value))


def share_ticks(limit: float) -> list[float]:
    """Returns the ticks of an axis of shares: equal distances, at most 1.

    >>> share_ticks(0.16)
    [0.0, 0.05, 0.1, 0.15]
    """
    step = next((step for step in PERCENT if limit * 100 / step < MAX_SHARES), LARGEST_PERCENT)
    ticks = [number * step / 100 for number in range(MAX_SHARES)]
    return [tick for tick in ticks if tick <= min(limit, 1)]


def count_ticks(limit: float) -> list[int]:
    """Returns the ticks of an axis of counts: whole numbers at equal distances, with exact abbreviations.

    >>> count_ticks(133)
    [0, 40, 80, 120]
    """
    steps = (digit * 10**power for power in count() for digit in (1, 2, 4, 5))
    step = next(step for step in steps if step * MAX_STEPS >= limit)
    return list(range(0, floor(limit) + 1, step))
