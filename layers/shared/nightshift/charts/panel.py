"""Draws a panel of a chart with a slot for each day: title, key, lines, labels, and the highlighted last day.

The panel has few elements besides its data. The colours are blue and vermilion of the palette by Okabe and Ito, which
colour-blind readers can distinguish. In greyscale, the colours differ in lightness. Days before the last day have paler
colours.
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
    """Entry of a panel's key: a label, and a square or dashes in its colour."""

    label: str
    color: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """A part of a canvas.

    Attributes:
        days: the axis of days, which all panels of a chart share.
    """

    canvas: ChartCanvas
    days: DayScale
    scale: ValueScale

    def draw_frame(self, title: str, labels: Mapping[float, str]) -> None:
        """Draws the background: the title, the last day's shading, and a line with a label for each value."""
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
        """Draws the panel's key at the right of the title, outside the area of the data."""
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
        """Draws a dashed line through all days at a value."""
        self._dashes(self.days.left, self.days.right, self.scale.row_of(value), color)

    def draw_bar(self, place: int, *parts: tuple[int, str]) -> None:
        """Draws a day's bar, with an empty pixel row between its parts. Every part above 0 is at least one pixel high.

        Args:
            place: the day's distance from the last day: 0, -1, …
            parts: counts with their colours, from bottom to top.
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
        """Draws the last day's figure at the right of the axis, where no line can cross the text."""
        at = (self.days.right + VALUE_GAP, self.scale.row_of(value))
        self.canvas.draw_text(at, text, INK, size=TEXT, anchor="lm")

    def _dashes(self, left: int, right: int, row: int, color: str) -> None:
        top = row - DASH_WIDTH // 2
        self.canvas.draw_dashes(left, right, top, color, dash=DASH, gap=DASH_GAP, width=DASH_WIDTH)
