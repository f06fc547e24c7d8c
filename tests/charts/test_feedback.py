"""The chart is a picture that can be read, whatever the votes were, and the same wherever it is drawn."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path

import matplotlib
import pytest
from PIL import Image, ImageChops, ImageStat

from nightshift.charts.feedback import DISLIKES, DISLIKES_BEFORE, INK, feedback_chart
from nightshift.charts.words import Language
from nightshift.results import DayVotes, Votes
from tests.charts.example import LAST, NO_VOTES, THRESHOLD, days, example, getting_worse

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "feedback_chart.png"
MAX_BYTES = 200_000
SIZE = (1200, 750)
LEFT, RIGHT, MIDDLE = 108, 1080, 430
"""Pixels: both panels lie between the first two; above the third is the panel of ratios."""

MANY: dict[str, list[DayVotes]] = {
    "getting worse": days(getting_worse),
    "nobody voted": days(lambda _: Votes()),
    "one day": days(lambda _: Votes(likes=2, dislikes=1), 1),
    "one day without votes": days(lambda _: Votes(), 1),
    "one vote": days(lambda number: Votes(dislikes=int(number == 29))),
    "all negative": days(lambda number: Votes(dislikes=5 + number)),
    "all positive": days(lambda number: Votes(likes=5 + number)),
    "on the threshold": days(lambda _: Votes(likes=70, dislikes=30)),
    "huge": days(lambda number: Votes(likes=10**17 * number, dislikes=3 * 10**16 * number)),
    "a year": days(lambda number: Votes(likes=5000 + 90 * number, dislikes=number % 9 * 200), 365),
    "the beginning of time": [DayVotes(day=date(1, 1, day), votes=Votes(likes=day)) for day in (1, 2, 9)],
}


def draw(votes: list[DayVotes], language: Language = "ko", threshold: float = THRESHOLD) -> bytes:
    return feedback_chart(votes, threshold=threshold, language=language)


def picture(png: bytes) -> Image.Image:
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.convert("RGB")


def has(image: Image.Image, color: str) -> bool:
    """Whether any pixel has exactly this colour."""
    wanted = tuple(bytes.fromhex(color.removeprefix("#")))
    colors = image.getcolors(image.width * image.height)
    assert colors is not None
    return any(found == wanted for _, found in colors)


@pytest.mark.parametrize("language", ["ko", "en"])
@pytest.mark.parametrize("name", MANY)
def test_any_votes_make_a_picture(name: str, language: Language) -> None:
    """A glyph that the font lacks would be a warning, and warnings are errors here. Nothing is cut off at the edge."""
    png = draw(MANY[name], language)
    assert len(png) <= MAX_BYTES
    image = picture(png)
    assert image.size == SIZE
    drawn = ImageChops.difference(image, Image.new("RGB", SIZE, "white")).getbbox()
    assert drawn is not None
    assert min(drawn[0], drawn[1], SIZE[0] - drawn[2], SIZE[1] - drawn[3]) > 2


@pytest.mark.parametrize("threshold", [0.001, 0.005, 0.05, 0.125, 0.5, 0.999])
def test_any_threshold_is_drawn(threshold: float) -> None:
    upper = picture(draw(MANY["nobody voted"], threshold=threshold)).crop((LEFT, 180, RIGHT - 40, 405))
    assert has(upper, INK)


def test_there_is_no_chart_of_no_days() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        draw([])


def test_a_day_without_votes_is_a_gap_and_not_a_zero() -> None:
    image = picture(example())
    width = (RIGHT - LEFT) / 30

    def column(number: int) -> Image.Image:
        return image.crop((round(LEFT + number * width) + 1, 180, round(LEFT + (number + 1) * width) - 1, MIDDLE))

    drawn = {number for number in range(30) if has(column(number), DISLIKES)}
    assert drawn == set(range(30)) - set(NO_VOTES)
    assert not any(has(column(number), DISLIKES_BEFORE) for number in NO_VOTES)
    assert has(column(28), DISLIKES_BEFORE)


def test_the_last_day_s_figures_stand_beside_it() -> None:
    beside = (RIGHT + 4, 180, SIZE[0], 680)
    assert has(picture(example()).crop(beside), INK)
    without = [*days(getting_worse)[:-1], DayVotes(day=LAST, votes=Votes())]
    assert not has(picture(draw(without)).crop(beside), INK)


def test_the_order_of_days_does_not_matter_nor_that_one_without_votes_is_left_out() -> None:
    ordered = days(getting_worse)
    shuffled = ordered.copy()
    random.Random(1).shuffle(shuffled)
    assert draw(shuffled) == draw(ordered)
    assert draw([day for day in ordered if day.votes.total]) == draw(ordered)


def test_another_vote_is_another_picture() -> None:
    ordered = days(getting_worse)
    one_more = [*ordered[:-1], replace(ordered[-1], votes=Votes(likes=59, dislikes=42))]
    assert len({draw(ordered), draw(one_more), draw(ordered, "en"), draw(ordered, threshold=0.25)}) == 4


def test_threads_do_not_disturb_each_other() -> None:
    names = ["getting worse", "one day", "huge"] * 4
    alone = {name: draw(MANY[name]) for name in set(names)}
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda name: draw(MANY[name]), names))
    assert together == [alone[name] for name in names]


def test_nothing_is_set_for_the_whole_process() -> None:
    before = dict(matplotlib.rcParams)
    example()
    assert dict(matplotlib.rcParams) == before


PROGRAM = """
import hashlib, sys
from tests.charts.example import example
png = example()
assert not {"matplotlib.pyplot", "koreanize_matplotlib"} & set(sys.modules)
print(hashlib.sha256(png).hexdigest())
"""


@pytest.mark.parametrize(
    "given",
    [
        {"TZ": "America/New_York", "LC_ALL": "C"},
        {"TZ": "Asia/Seoul", "LC_ALL": "C.UTF-8", "MPLBACKEND": "svg", "PYTHONHASHSEED": "7"},
    ],
    ids=["C", "UTF-8"],
)
def test_the_same_days_give_the_same_bytes_in_any_process(given: dict[str, str], tmp_path: Path) -> None:
    """A process like Lambda's, too: no home, one directory to write into, and not a word on stderr."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(ROOT / "layers" / "shared"), str(ROOT))),
        "HOME": "/dev/null",
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
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
        assert set(image.info) <= {"dpi"}
