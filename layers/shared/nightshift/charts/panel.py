"""Draws a panel of a chart with a slot for each day: title, key, lines, labels, and the highlighted last day.

It has little more ink than its data. Colours are Okabe and Ito's blue and vermilion, which colour-blind readers can
distinguish, as everybody can by their lightness in grey; days before the last one have them pale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nightshift.charts.canvas import ChartCanvas, PixelBox, Point
from nightshift.charts.scales import DayScale, ValueScale

PAPER, INK, MUTED, GRID, BACKGROUND = "#FFFFFF", "#222222", "#5C5C5C", "#E4E4E4", "#F1F1EE"
LIKES, LIKES_BEFORE = "#56A0D3", "#B9D6EA"
DISLIKES, DISLIKES_BEFORE = "#D55E00", "#EDA67C"

MARGIN = 27
TEXT, SMALL = 19, 18
TITLE_ABOVE = 15
LABEL_GAP, VALUE_GAP = 11, 8
DASH, DASH_GAP, DASHES, DASH_WIDTH = 9, 6, 3, 2
SWATCH, KEY_GAP, KEYS_APART = 14, 9, 24


class ChartKey(NamedTuple):
    """Key of a colour: a square of it in the panel's key, or a few of its dashes."""

    label: str
    color: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """A part of a canvas.

    Attributes:
        days: the axis of days, which panels share.
        scale: the axis of values.
    """

    canvas: ChartCanvas
    days: DayScale
    scale: ValueScale

    def draw_frame(self, title: str, labels: Mapping[float, str]) -> None:
        """All that is below the data: title, the last day's background, a line and a label for each of the values."""
        left, right = self.days.slot_width(0)
        self.canvas.draw_text((MARGIN, self.scale.top - TITLE_ABOVE), title, INK, size=TEXT, anchor="ls")
        self.canvas.draw_rectangle(PixelBox(left, self.scale.top, right, self.scale.bottom), BACKGROUND)
        for value, label in labels.items():
            row = self.scale.row_of(value)
            self.canvas.draw_rectangle(
                PixelBox(self.days.left, row, self.days.right, row + 1), GRID if value else MUTED
            )
            self.canvas.draw_text((self.days.left - LABEL_GAP, row), label, MUTED, size=SMALL, anchor="rm")

    def draw_key(self, *keys: ChartKey) -> None:
        """At the right of the title's line, where no data can be below it."""
        right, base = self.days.right, self.scale.top - TITLE_ABOVE
        for key in reversed(keys):
            right -= self.canvas.text_width(key.label, SMALL)
            self.canvas.draw_text((right, base), key.label, INK, size=SMALL, anchor="ls")
            right -= KEY_GAP
            if key.dashed:
                left = right - DASHES * (DASH + DASH_GAP) + DASH_GAP
                self._dashes(left, right, base - SWATCH // 2, key.color)
            else:
                left = right - SWATCH
                self.canvas.draw_rectangle(PixelBox(left, base - SWATCH, right, base), key.color)
            right = left - KEYS_APART

    def draw_threshold(self, value: float, color: str) -> None:
        """A dashed line through all days."""
        self._dashes(self.days.left, self.days.right, self.scale.row_of(value), color)

    def draw_bar(self, place: int, *parts: tuple[int, str]) -> None:
        """A day's bar: counts and their colours from below, a row of paper between them.

        A part that is more than nothing can be seen, be it ever so small beside others.
        """
        left, right = self.days.bar_of(place)
        total, bottom = 0, self.scale.bottom
        for count, color in parts:
            total += count
            if count:
                top = min(self.scale.row_of(total), bottom - 1)
                self.canvas.draw_rectangle(PixelBox(left, top, right, bottom), color)
                bottom = top - 1

    def draw_point(self, place: int, value: float) -> Point:
        """Returns the position of a day's value."""
        return self.days.center_of(place), self.scale.y(value)

    def draw_figure(self, text: str, value: float) -> None:
        """Draws the last day's figure right of its data, where no line can cross it."""
        at = (self.days.right + VALUE_GAP, self.scale.row_of(value))
        self.canvas.draw_text(at, text, INK, size=TEXT, anchor="lm")

    def _dashes(self, left: int, right: int, row: int, color: str) -> None:
        top = row - DASH_WIDTH // 2
        self.canvas.draw_dashes(left, right, top, color, dash=DASH, gap=DASH_GAP, width=DASH_WIDTH)
