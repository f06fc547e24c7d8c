"""A small drawing surface: rectangles, dashes, smooth lines, dots and text, saved as a PNG.

Coordinates are pixels from the upper left corner, and pixel 3 covers 3 to 4. Rectangles lie on whole pixels, because
that is sharpest. Lines and dots may lie anywhere. Pillow draws no smooth shapes, so they are drawn on a mask `FINER`
times as large, and the colour is blended by the mask's mean. Text is smoothed by FreeType.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from io import BytesIO
from math import ceil, floor
from typing import Literal, NamedTuple, TypeAlias

from PIL import Image, ImageDraw

from nightshift.charts.fonts import has_glyph, load_font

Point: TypeAlias = tuple[float, float]
Anchor: TypeAlias = Literal["ls", "ms", "rs", "la", "lm", "rm"]
"""Position of a text's point, in Pillow's letters: left, middle, right; base line (s), ascender (a), middle (m)."""

FINER = 4


class PixelBox(NamedTuple):
    """Whole pixels, the right and lower edges not included."""

    left: int
    top: int
    right: int
    bottom: int


class ChartCanvas:
    """A picture in the making. Colours are written `#RRGGBB`, lengths are pixels."""

    def __init__(self, width: int, height: int, background: str) -> None:
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)

    def draw_rectangle(self, box: PixelBox, color: str) -> None:
        """Fill a box; an empty one is none."""
        self._image.paste(color, box)

    def draw_dashes(self, left: int, right: int, top: int, color: str, *, dash: int, gap: int, width: int) -> None:
        """A horizontal line of dashes that begins with one."""
        for start in range(left, right, dash + gap):
            self.draw_rectangle(PixelBox(start, top, min(start + dash, right), top + width), color)

    def draw_line(self, points: Sequence[Point], color: str, *, width: float) -> None:
        """From point to point, with round corners and ends. Of a single point, a dot is left."""

        def draw(mask: ImageDraw.ImageDraw, fine: Sequence[Point]) -> None:
            # Pillow draws a line of an even width one pixel further to the right and down than its points.
            mask.line([(x - 1, y - 1) for x, y in fine], fill=255, width=2 * round(width * FINER / 2))
            _discs(mask, fine, width)

        self._smooth(points, width, color, draw)

    def draw_dots(self, centers: Sequence[Point], color: str, *, diameter: float) -> None:
        """A dot at each of the points."""
        self._smooth(centers, diameter, color, lambda mask, fine: _discs(mask, fine, diameter))

    def draw_text(self, at: Point, text: str, color: str, *, size: int, anchor: Anchor) -> None:
        """Write a line, from a whole pixel on. A character that the font lacks is an empty box, and a warning."""
        for char in text:
            if not has_glyph(char):
                warnings.warn(f"the font of charts has no glyph for {char!r}", stacklevel=2)
        whole = (round(at[0]), round(at[1]))
        self._draw.text(whole, text, fill=color, font=load_font(size), anchor=anchor)

    def text_width(self, text: str, size: int) -> int:
        """Returns the width of a text."""
        return ceil(load_font(size).getlength(text))

    def to_png(self) -> bytes:
        """The picture, without time or version."""
        file = BytesIO()
        self._image.save(file, "PNG")
        return file.getvalue()

    def _smooth(
        self,
        points: Sequence[Point],
        width: float,
        color: str,
        draw: Callable[[ImageDraw.ImageDraw, Sequence[Point]], None],
    ) -> None:
        """Draw on a larger mask around the points, and let the colour through it."""
        if not points:
            return
        xs, ys = [x for x, _ in points], [y for _, y in points]
        reach = width / 2 + 1
        left, top = floor(min(xs) - reach), floor(min(ys) - reach)
        right, bottom = ceil(max(xs) + reach), ceil(max(ys) + reach)
        mask = Image.new("L", ((right - left) * FINER, (bottom - top) * FINER), 0)
        draw(ImageDraw.Draw(mask), [(round((x - left) * FINER), round((y - top) * FINER)) for x, y in points])
        self._image.paste(color, (left, top), mask.reduce(FINER))


def _discs(mask: ImageDraw.ImageDraw, fine: Sequence[Point], diameter: float) -> None:
    radius = diameter * FINER / 2
    for x, y in fine:
        # Pillow's right and lower edges are part of the shape.
        mask.ellipse((x - radius, y - radius, x + radius - 1, y + radius - 1), fill=255)
