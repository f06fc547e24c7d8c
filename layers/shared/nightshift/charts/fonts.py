"""The one font of every chart: NanumGothic, which has Hangul; a system's own fonts are never asked.

Lambda's image has no fonts at all, and Matplotlib's own DejaVu Sans has no Hangul: a missing glyph is an empty box.
The font comes with the package koreanize-matplotlib. That package is looked up and never imported: its import loads
pyplot, changes the settings of the whole process, and needs `distutils`, which Python 3.12 removed.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib.font_manager import FontProperties

from nightshift.errors import NightshiftError

PACKAGE, FILE = "koreanize_matplotlib", "fonts/NanumGothic.ttf"


@cache
def font_file() -> Path:
    """Where the font is.

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


def font(size: float) -> FontProperties:
    """The font in a size, in points.

    Raises:
        NightshiftError: it is not installed.
    """
    return FontProperties(fname=font_file(), size=size)
