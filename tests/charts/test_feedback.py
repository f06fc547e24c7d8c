"""The chart is a picture that can be read, whatever the votes were, and the same wherever it is drawn."""

from __future__ import annotations

import hashlib
import locale
import os
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from nightshift.charts.feedback import HEIGHT, LEFT, RATIOS, RIGHT, VOTES, WIDTH, feedback_chart
from nightshift.charts.labels import Language
from nightshift.charts.panel import (
    BACKGROUND,
    DISLIKES,
    DISLIKES_BEFORE,
    GRID,
    INK,
    LIKES,
    LIKES_BEFORE,
    MUTED,
    PAPER,
)
from nightshift.results.feedback import DayVotes, VoteTotals
from tests.charts.example import LAST, NO_VOTES, THRESHOLD, days, example, getting_worse

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "feedback_chart.png"
MAX_BYTES = 200_000
SIZE = (WIDTH, HEIGHT)
(ABOVE, BELOW), MIDDLE = RATIOS, VOTES[0] - 40
"""Pixel rows: between the first two is the panel of ratios; the third is between the panels."""
LAST_SLOT = 26
"""The last of thirty days, in pixels."""

MANY: dict[str, list[DayVotes]] = {
    "getting worse": days(getting_worse),
    "nobody voted": days(lambda _: VoteTotals()),
    "one day": days(lambda _: VoteTotals(likes=2, dislikes=1), 1),
    "one day without votes": days(lambda _: VoteTotals(), 1),
    "one vote": days(lambda number: VoteTotals(dislikes=int(number == 29))),
    "all negative": days(lambda number: VoteTotals(dislikes=5 + number)),
    "all positive": days(lambda number: VoteTotals(likes=5 + number)),
    "on the threshold": days(lambda _: VoteTotals(likes=70, dislikes=30)),
    "huge": days(lambda number: VoteTotals(likes=10**17 * number, dislikes=3 * 10**16 * number)),
    "a year": days(lambda number: VoteTotals(likes=5000 + 90 * number, dislikes=number % 9 * 200), 365),
    "the beginning of time": [DayVotes(day=date(1, 1, day), votes=VoteTotals(likes=day)) for day in (1, 2, 9)],
}


def draw(votes: list[DayVotes], language: Language = "ko", threshold: float = THRESHOLD) -> bytes:
    return feedback_chart(votes, threshold=threshold, language=language)


def picture(png: bytes) -> Image.Image:
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.convert("RGB")


def has(image: Image.Image, color: str) -> bool:
    """Returns whether any pixel has exactly this colour."""
    wanted = tuple(bytes.fromhex(color.removeprefix("#")))
    colors = image.getcolors(image.width * image.height)
    assert colors is not None
    return any(found == wanted for _, found in colors)


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("name", MANY)
def test_any_votes_make_a_picture(name: str, language: Language) -> None:
    """A glyph that the font lacks is a warning, and warnings are errors here. Nothing is cut off at the edge."""
    png = draw(MANY[name], language)
    assert len(png) <= MAX_BYTES
    image = picture(png)
    assert image.size == SIZE
    drawn = ImageChops.difference(image, Image.new("RGB", SIZE, "white")).getbbox()
    assert drawn is not None
    assert min(drawn[0], drawn[1], SIZE[0] - drawn[2], SIZE[1] - drawn[3]) > 2


@pytest.mark.parametrize("threshold", [0.001, 0.005, 0.05, 0.125, 0.5, 0.999])
def test_any_threshold_is_drawn(threshold: float) -> None:
    upper = picture(draw(MANY["nobody voted"], threshold=threshold)).crop((LEFT, ABOVE, RIGHT - LAST_SLOT, BELOW - 1))
    assert has(upper, INK)


def test_there_is_no_chart_of_no_days() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        draw([])


def test_a_day_without_votes_is_a_gap_and_not_a_zero() -> None:
    image = picture(example())
    width = (RIGHT - LEFT) / 30

    def column(number: int) -> Image.Image:
        return image.crop((round(LEFT + number * width) + 1, ABOVE, round(LEFT + (number + 1) * width) - 1, MIDDLE))

    drawn = {number for number in range(30) if has(column(number), DISLIKES)}
    assert drawn == set(range(30)) - set(NO_VOTES)
    assert not any(has(column(number), DISLIKES_BEFORE) for number in NO_VOTES)
    assert has(column(28), DISLIKES_BEFORE)


def test_the_last_day_stands_out_and_its_figures_stand_beside_it() -> None:
    image = picture(example())
    begin, (top, bottom) = RIGHT - LAST_SLOT, VOTES
    before, last = image.crop((LEFT, top, begin, bottom)), image.crop((begin, top, RIGHT, bottom))
    strong, pale = {LIKES, DISLIKES, BACKGROUND}, {LIKES_BEFORE, DISLIKES_BEFORE}
    assert {color for color in strong | pale if has(last, color)} == strong
    assert {color for color in strong | pale if has(before, color)} == pale
    without = picture(draw([*days(getting_worse)[:-1], DayVotes(day=LAST, votes=VoteTotals())]))
    for top, bottom in (RATIOS, VOTES):
        beside = (RIGHT + 4, top - 10, WIDTH, bottom + 10)
        assert has(image.crop(beside), INK)
        assert not has(without.crop(beside), INK)


def test_both_panels_have_their_key() -> None:
    above = [
        {
            color
            for color in (INK, LIKES, DISLIKES)
            if has(picture(example()).crop((WIDTH // 2, top, RIGHT, end)), color)
        }
        for top, end in ((ABOVE - 35, ABOVE), (MIDDLE, VOTES[0]))
    ]
    assert above == [{INK}, {INK, LIKES, DISLIKES}]


def test_every_colour_is_exactly_what_it_should_be() -> None:
    image = picture(example())
    meant = {PAPER, INK, MUTED, GRID, BACKGROUND, LIKES, LIKES_BEFORE, DISLIKES, DISLIKES_BEFORE}
    assert {color for color in meant if not has(image, color)} == set()
    pixels = image.getcolors(WIDTH * HEIGHT)
    assert pixels is not None
    most = {bytes(color).hex() for _, color in sorted(pixels, reverse=True)[:5] if isinstance(color, tuple)}
    assert most < {color[1:].lower() for color in meant}


def test_a_single_vote_among_thousands_can_be_seen() -> None:
    image = picture(draw(days(lambda number: VoteTotals(likes=10_000, dislikes=int(number == 29)))))
    assert has(image.crop((RIGHT - LAST_SLOT, VOTES[0], RIGHT, VOTES[1])), DISLIKES)
    assert not has(image.crop((LEFT, VOTES[0], RIGHT - LAST_SLOT, VOTES[1])), DISLIKES_BEFORE)


def test_the_order_of_days_does_not_matter_nor_that_one_without_votes_is_left_out() -> None:
    ordered = days(getting_worse)
    shuffled = ordered.copy()
    random.Random(1).shuffle(shuffled)
    assert draw(shuffled) == draw(ordered)
    assert draw([day for day in ordered if day.votes.total]) == draw(ordered)


def test_another_vote_is_another_picture() -> None:
    ordered = days(getting_worse)
    one_more = [*ordered[:-1], replace(ordered[-1], votes=VoteTotals(likes=59, dislikes=42))]
    assert len({draw(ordered), draw(one_more), draw(ordered, "en"), draw(ordered, threshold=0.25)}) == 4


def test_threads_do_not_disturb_each_other() -> None:
    names = ["getting worse", "one day", "huge"] * 4
    alone = {name: draw(MANY[name]) for name in set(names)}
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda name: draw(MANY[name]), names))
    assert together == [alone[name] for name in names]


def test_nothing_is_set_for_the_whole_process() -> None:
    def settings() -> tuple[object, ...]:
        return dict(os.environ), locale.setlocale(locale.LC_ALL), list(warnings.filters), random.getstate()

    before = settings()
    example()
    assert settings() == before


PROGRAM = """
import hashlib, sys
from tests.charts.example import example
png = example()
loaded = {name.partition(".")[0] for name in sys.modules}
assert not {name for name in loaded if "matplotlib" in name or "numpy" in name}, loaded
print(hashlib.sha256(png).hexdigest())
"""


@pytest.mark.parametrize(
    "given",
    [
        {"TZ": "America/New_York", "LC_ALL": "C"},
        {"TZ": "Asia/Seoul", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "7"},
    ],
    ids=["C", "UTF-8"],
)
def test_the_same_days_give_the_same_bytes_in_any_process(given: dict[str, str], tmp_path: Path) -> None:
    """A process like Lambda's, too: no home, and not a word on stderr."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(ROOT / "layers" / "shared"), str(ROOT))),
        "HOME": "/dev/null",
        **given,
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == hashlib.sha256(example()).hexdigest()


def test_the_documentation_shows_what_is_drawn() -> None:
    """`python -m tests.charts.example docs/feedback_chart.png` draws it anew; other processors may round elsewhere."""
    shown = PICTURE.read_bytes()
    assert len(shown) <= MAX_BYTES
    difference = ImageChops.difference(picture(shown), picture(example()))
    assert max(ImageStat.Stat(difference).mean) < 0.5


def test_the_picture_carries_no_time_and_no_version() -> None:
    with Image.open(BytesIO(example())) as image:
        assert image.info == {}
