"""Shapes are where they should be, smooth where they should be smooth, and in the colour that was asked for."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from nightshift.charts.canvas import ChartCanvas, PixelBox

PAPER, RED, BLUE = "#FFFFFF", "#D55E00", "#56A0D3"
SIDE = 40


@pytest.fixture
def canvas() -> ChartCanvas:
    return ChartCanvas(SIDE, SIDE, PAPER)


def shown(canvas: ChartCanvas) -> Image.Image:
    with Image.open(BytesIO(canvas.to_png())) as image:
        image.load()
        return image.convert("RGB")


def darkness(canvas: ChartCanvas) -> Image.Image:
    """0 for paper, 255 for black."""
    return shown(canvas).convert("L").point(lambda level: 255 - level)


def at(canvas: ChartCanvas, x: int, y: int) -> str:
    color = shown(canvas).getpixel((x, y))
    assert isinstance(color, tuple)
    return "#{:02X}{:02X}{:02X}".format(*color)


def mean_place(image: Image.Image) -> tuple[float, float]:
    """Where the middle of all that is drawn lies."""
    weights = [(x, y, image.getpixel((x, y))) for x in range(SIDE) for y in range(SIDE)]
    drawn = [(x, y, level) for x, y, level in weights if isinstance(level, int | float)]
    total = sum(level for *_, level in drawn)
    return sum((x + 0.5) * level for x, _, level in drawn) / total, sum(
        (y + 0.5) * level for _, y, level in drawn
    ) / total


def test_a_rectangle_covers_its_pixels_and_no_others(canvas: ChartCanvas) -> None:
    canvas.draw_rectangle(PixelBox(3, 5, 9, 6), RED)
    assert darkness(canvas).getbbox() == (3, 5, 9, 6)
    assert {at(canvas, x, 5) for x in range(3, 9)} == {RED}


def test_an_empty_rectangle_is_none(canvas: ChartCanvas) -> None:
    canvas.draw_rectangle(PixelBox(3, 5, 3, 9), RED)
    assert darkness(canvas).getbbox() is None


def test_dashes_begin_with_one_and_end_where_they_should(canvas: ChartCanvas) -> None:
    canvas.draw_dashes(2, 19, 10, RED, dash=5, gap=3, width=2)
    drawn = [x for x in range(SIDE) if at(canvas, x, 10) == RED]
    assert drawn == [*range(2, 7), *range(10, 15), 18]
    assert darkness(canvas).getbbox() == (2, 10, 19, 12)


@pytest.mark.parametrize("center", [(20.5, 20.5), (20.0, 20.0), (19.75, 20.25), (12.0, 27.5)])
@pytest.mark.parametrize("diameter", [4, 7, 15])
def test_a_dot_lies_where_it_should_and_is_smooth(
    canvas: ChartCanvas, center: tuple[float, float], diameter: int
) -> None:
    canvas.draw_dots([center], RED, diameter=diameter)
    x, y = mean_place(darkness(canvas))
    assert (x, y) == pytest.approx(center, abs=0.15)
    assert at(canvas, int(center[0]), int(center[1])) == RED
    colors = shown(canvas).getcolors()
    assert colors is not None
    assert len(colors) > 2, "an edge has shades"


@pytest.mark.parametrize("width", [2, 2.5, 3])
@pytest.mark.parametrize("end", [(30.5, 20.5), (5.5, 30.5), (30.5, 35.5)], ids=["flat", "steep", "slanting"])
def test_a_line_goes_through_its_points(canvas: ChartCanvas, end: tuple[float, float], width: float) -> None:
    start = (5.5, 20.5) if end[1] == 20.5 else (5.5, 5.5)
    canvas.draw_line([start, end], RED, width=width)
    x, y = ((a + b) / 2 for a, b in zip(start, end, strict=True))
    assert mean_place(darkness(canvas)) == pytest.approx((x, y), abs=0.2)
    for x, y in (start, end):
        assert at(canvas, int(x), int(y)) == RED


def test_a_steep_line_is_as_wide_as_a_flat_one(canvas: ChartCanvas) -> None:
    flat = ChartCanvas(SIDE, SIDE, PAPER)
    flat.draw_line([(10, 20), (30, 20)], RED, width=3)
    canvas.draw_line([(20, 10), (20, 30)], RED, width=3)
    turned = darkness(canvas).transpose(Image.Transpose.TRANSPOSE)
    ink = [sum(image.tobytes()) for image in (darkness(flat), turned)]
    assert ink[0] == pytest.approx(ink[1], rel=0.05)


def test_no_points_are_no_shape(canvas: ChartCanvas) -> None:
    canvas.draw_line([], RED, width=3)
    canvas.draw_dots([], RED, diameter=3)
    assert darkness(canvas).getbbox() is None


def test_a_single_point_of_a_line_is_a_dot(canvas: ChartCanvas) -> None:
    canvas.draw_line([(20.5, 20.5)], RED, width=5)
    assert at(canvas, 20, 20) == RED


@pytest.mark.parametrize(("anchor", "left", "right"), [("ls", 20, 40), ("rs", 0, 20), ("ms", 10, 30)])
def test_text_stands_on_its_base_line_beside_its_point(canvas: ChartCanvas, anchor: str, left: int, right: int) -> None:
    canvas.draw_text((20.2, 24.8), "일", "#222222", size=16, anchor=anchor)  # type: ignore[arg-type]
    box = darkness(canvas).getbbox()
    assert box is not None
    assert left <= box[0] < box[2] <= right
    assert box[1] < 20 < box[3] <= 29


def test_a_text_is_as_wide_as_it_is_said_to_be(canvas: ChartCanvas) -> None:
    canvas.draw_text((2, 20), "12K", "#222222", size=16, anchor="ls")
    box = darkness(canvas).getbbox()
    assert box is not None
    assert abs(box[2] - box[0] - canvas.text_width("12K", 16)) <= 3


def test_colours_stay_exact_however_many_there_are(canvas: ChartCanvas) -> None:
    """Shades of smooth shapes never stand in for a colour that means something."""
    greys = [f"#{level:02X}{level:02X}{level:02X}" for level in range(0, 256, 8)]
    for y, color in enumerate(greys):
        canvas.draw_rectangle(PixelBox(0, y, 10, y + 1), color)
    for number, color in enumerate((RED, BLUE, "#222222", *greys[1:8])):
        canvas.draw_dots([(12.5 + 2 * number, 20)], color, diameter=3)
    assert [at(canvas, 3, y) for y in range(len(greys))] == greys


def test_the_same_shapes_are_the_same_bytes() -> None:
    pictures = set()
    for _ in range(2):
        canvas = ChartCanvas(SIDE, SIDE, PAPER)
        canvas.draw_line([(1, 2), (30, 20)], BLUE, width=2.5)
        canvas.draw_text((5, 30), "가", RED, size=16, anchor="ls")
        pictures.add(canvas.to_png())
    assert len(pictures) == 1


def test_a_png_is_valid_and_carries_neither_time_nor_version(canvas: ChartCanvas) -> None:
    png = canvas.to_png()
    assert [kind for kind in (b"tEXt", b"tIME", b"pHYs") if kind in png] == []
    with Image.open(BytesIO(png)) as image:
        image.verify()
