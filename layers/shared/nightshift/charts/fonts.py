"""Loads the one font of every chart: NanumGothic, which has Hangul. A system's own fonts are never used.

Lambda's image has no fonts at all, and Pillow's own has no Hangul. The font comes with the package
koreanize-matplotlib. That package is located and never imported: its import needs Matplotlib and `distutils`, and
neither is installed. Text is laid out by Pillow itself: Raqm is not on every machine, and the same words must take the
same pixels on all of them.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from nightshift.errors import NightshiftError

PACKAGE, FILE = "koreanize_matplotlib", "fonts/NanumGothic.ttf"
NO_CHARACTER = "\uffff"
"""No font has it: Unicode promises never to make a character of it."""
PROBE = 16
"""Pixels; large enough to tell any glyph from the box."""


@cache
def font_file() -> Path:
    """Returns the path of the font.

    Raises:
        NightshiftError: it is not installed.
    """
    spec = find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise NightshiftError(
        "the font for charts is missing",
        detail=f"{PACKAGE}: {FILE}",
        hint="give the function the charts layer, or install layers/charts/requirements.txt",
    )


@cache
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """The font in a size, in pixels.

    Raises:
        NightshiftError: it is not installed.
    """
    return ImageFont.truetype(font_file(), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def has_glyph(char: str) -> bool:
    """Returns whether the font has this character; for others it draws an empty box without an error."""
    return char.isspace() or _drawn(char) != _drawn(NO_CHARACTER)


def _drawn(char: str) -> bytes:
    return bytes(load_font(PROBE).getmask(char))
