"""Draws rectangles, dashes, smooth lines, dots and text, and saves the picture as a PNG.

Coordinates are pixels from the upper left corner. Pixel 3 covers the range 3 to 4. Rectangles have whole coordinates,
so that their edges are sharp. Lines and dots may have any coordinates. Pillow does not smooth shapes. The canvas
therefore draws lines and dots on a mask that is `FINER` times as large, and reduces the mask to mean values. The
reduced mask blends the colour into the picture. FreeType smooths text.
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
"""Position of a text relative to its point, in Pillow's letters.

First letter: left, middle or right. Second letter: base line (s), ascender (a) or middle (m).
"""

FINER = 4


class PixelBox(NamedTuple):
    """A rectangle of whole pixels, without its right and lower edges."""

    left: int
    top: int
    right: int
    bottom: int


class ChartCanvas:
    """A picture to draw on. Colours have the form `#RRGGBB`. Lengths are in pixels."""

    def __init__(self, width: int, height: int, background: str) -> None:
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)

    def draw_rectangle(self, box: PixelBox, color: str) -> None:
        """Fills a box. An empty box draws nothing."""
        self._image.paste(color, box)

    def draw_dashes(self, left: int, right: int, top: int, color: str, *, dash: int, gap: int, width: int) -> None:
        """Draws a horizontal line of dashes. The line begins with a dash."""
        for start in range(left, right, dash + gap):
            self.draw_rectangle(PixelBox(start, top, min(start + dash, right), top + width), color)

    def draw_line(self, points: Sequence[Point], color: str, *, width: float) -> None:
        """Draws a line from point to point, with round corners and ends. For a single point, draws a dot."""

        def draw(mask: ImageDraw.ImageDraw, fine: Sequence[Point]) -> None:
            # Pillow draws a line of even width one pixel too far to the right and too far down.
            mask.line([(x - 1, y - 1) for x, y in fine], fill=255, width=2 * round(width * FINER / 2))
            _discs(mask, fine, width)

        self._smooth(points, width, color, draw)

    def draw_dots(self, centers: Sequence[Point], color: str, *, diameter: float) -> None:
        """Draws a dot at each center."""
        self._smooth(centers, diameter, color, lambda mask, fine: _discs(mask, fine, diameter))

    def draw_text(self, at: Point, text: str, color: str, *, size: int, anchor: Anchor) -> None:
        """Draws one line of text. The position is rounded to whole pixels.

        A character that the font lacks becomes an empty box, and causes a Python warning.
        """
        for char in text:
            if not has_glyph(char):
                warnings.warn(f"the font of charts has no glyph for {char!r}", stacklevel=2)
        whole = (round(at[0]), round(at[1]))
        self._draw.text(whole, text, fill=color, font=load_font(size), anchor=anchor)

    def text_width(self, text: str, size: int) -> int:
        """Returns the width of a text, in pixels."""
        return ceil(load_font(size).getlength(text))

    def to_png(self) -> bytes:
        """Returns the picture as a PNG, without a time or a version of software."""
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
        """Draws a smooth shape: blends the colour through a larger mask, on which `draw` draws the points."""
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
        # Pillow includes the right and lower edges in the shape.
        mask.ellipse((x - radius, y - radius, x + radius - 1, y + radius - 1), fill=255)
