"""Loads the font of all charts: NanumGothic, which has Korean characters. Fonts of the system are never used.

Lambda's image has no fonts, and Pillow's built-in font has no Korean characters. The font is a file of the package
koreanize-matplotlib. The module locates this package without importing it, because the import needs Matplotlib and
`distutils`, which are not installed. Pillow's basic engine lays out text. The Raqm engine is not on every machine, and
the same text must have the same pixels on every machine.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

from nightshift.errors import NightshiftError

PACKAGE, FILE = "koreanize_matplotlib", "fonts/NanumGothic.ttf"
NO_CHARACTER = "\uffff"
"""A code point without a glyph in any font. Unicode guarantees that it never becomes a character."""
PROBE = 16
"""Font size in pixels for the comparison of glyphs, large enough to distinguish every glyph from the empty box."""


@cache
def font_file() -> Path:
    """Returns the path of the font.

    Raises:
        NightshiftError: the font is not installed.
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
    """Returns the font in a size, in pixels."""
    return ImageFont.truetype(font_file(), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def has_glyph(char: str) -> bool:
    """Returns whether the font has a character. For other characters, Pillow draws an empty box without an error."""
    return char.isspace() or _drawn(char) != _drawn(NO_CHARACTER)


def _drawn(char: str) -> bytes:
    return bytes(load_font(PROBE).getmask(char))
