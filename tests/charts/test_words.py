"""Every word of a chart can be written in its font, in both languages."""

from __future__ import annotations

from datetime import date
from itertools import chain

import pytest

from nightshift.charts import fonts
from nightshift.charts.canvas import ChartCanvas
from nightshift.charts.fonts import font_file, has_glyph
from nightshift.charts.labels import WORDS, Language
from nightshift.errors import NightshiftError

EVERY_DAY = [date(2025, month, day) for month in range(1, 13) for day in (1, 2, 13, 24, 25, 26, 27, 28)]


@pytest.mark.parametrize("language", ["ko", "en"])
def test_the_font_has_every_character(language: Language) -> None:
    words = WORDS[language]
    said = [value for value in words if isinstance(value, str)]
    said += chain.from_iterable((words.day(day), words.long_day(day)) for day in EVERY_DAY)
    said += [words.in_short(10**n) for n in range(20)]
    assert {char for char in "".join(said) + "0123456789.,%·-" if not has_glyph(char)} == set()


@pytest.mark.parametrize("char", ["👍", "\u0e01", "\U0010ffff"])
def test_a_glyph_that_the_font_lacks_is_known(char: str) -> None:
    assert not has_glyph(char)


def test_a_missing_glyph_would_be_noticed() -> None:
    """What all the other tests rely on; and why charts say in words what Slack says in emoji."""
    canvas = ChartCanvas(100, 30, "#FFFFFF")
    with pytest.warns(UserWarning, match=r"no glyph for '👍'"):
        canvas.draw_text((0, 0), "좋아요 👍", "#222222", size=18, anchor="la")


@pytest.mark.parametrize(
    ("count", "korean", "english"),
    [
        (0, "0", "0"),
        (870, "870", "870"),
        (9_500, "9,500", "9.5K"),
        (12_000, "1.2만", "12K"),
        (12_345, "1.2만", "12.3K"),
        (1_234_567, "123만", "1.2M"),
        (100_000_000, "1억", "100M"),
        (3_770_000_000_000_000, "3,770조", "3.8Q"),
        (10**19, "1,000경", "10,000Q"),
    ],
)
def test_counts(count: int, korean: str, english: str) -> None:
    assert (WORDS["ko"].in_short(count), WORDS["en"].in_short(count)) == (korean, english)


def test_days() -> None:
    day = date(2025, 10, 16)
    assert (WORDS["ko"].day(day), WORDS["en"].day(day)) == ("10/16", "Oct 16")
    assert WORDS["ko"].long_day(day) == "2025년 10월 16일 (목)"
    assert WORDS["en"].long_day(day) == "Thu, Oct 16, 2025"


def test_without_its_font_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "PACKAGE", "no_such_package")
    with pytest.raises(NightshiftError, match="font for charts is missing") as caught:
        font_file.__wrapped__()
    assert "give the function the charts layer" in (caught.value.hint or "")
