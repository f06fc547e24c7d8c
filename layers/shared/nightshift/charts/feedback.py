"""The chart of `feedback`: how users liked the answers, day by day, as a PNG.

Above, the negative ratio against the threshold; below, the votes that it is made of, for a high ratio of three votes
is none. The days share one axis and the last one, which the report is about, stands out. A day without votes has no
ratio: the line breaks there rather than touch zero.

The same days give the same bytes, whatever the process's locale, time zone and other threads: nothing is drawn through
pyplot, nothing is set for the process, and the PNG carries neither time nor version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from io import BytesIO
from math import ceil, isclose, isnan, nan

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from nightshift.charts.fonts import font
from nightshift.charts.words import WORDS, Language, Words
from nightshift.results import DayVotes, Votes

ByPlace = Mapping[int, Votes]
"""Votes of a day, by its distance from the last one: 0, -1, …"""
WIDTH, HEIGHT, DPI = 8.0, 5.0, 150
"""1200 x 750 pixels: words can still be read where Slack shows the picture at a third of that."""
MIN_DAYS = 7
"""The axis has room for this many days at least: one day alone would be one bar as wide as the chart."""
MAX_DATES = 6
MANY_DAYS = 45
"""From here on, dots would hide the line."""
EXACT = 100_000
"""Counts below are told to the last vote."""

MARGIN = 0.028
TITLE, TEXT, SMALL = 15.0, 11.0, 10.0
INK, MUTED, GRID, BACKGROUND = "#222222", "#5C5C5C", "#E4E4E4", "#F1F1EE"
# Blue and vermilion of Okabe and Ito's palette, told apart by colour-blind readers, and by their lightness in grey.
LIKES, LIKES_BEFORE = "#56A0D3", "#B9D6EA"
DISLIKES, DISLIKES_BEFORE = "#D55E00", "#EDA67C"


def feedback_chart(days: Sequence[DayVotes], *, threshold: float, language: Language) -> bytes:
    """Draw the days.

    Args:
        days: the last one is the report's own; in any order, and a day that is left out had no votes.
        threshold: the negative ratio above which something is wrong, 0 to 1.
        language: `ko` or `en`.

    Returns:
        A PNG.

    Raises:
        ValueError: there are no days.
        NightshiftError: the font is not installed.
    """
    if not days:
        raise ValueError("a chart needs at least one day")
    last = max(one.day for one in days)
    by_place = {(one.day - last).days: one.votes for one in days}
    words = WORDS[language]
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (11, 9)})
    figure.subplots_adjust(left=0.09, right=0.9, top=0.76, bottom=0.085, hspace=0.4)
    _titles(figure, last, by_place, words)
    _dates(below, last, min(by_place), words)
    _panel(above, words.ratio)
    _ratios(above, by_place, threshold, words)
    _panel(below, words.votes)
    _votes(below, by_place, words)
    png = BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _titles(figure: Figure, last: date, by_place: ByPlace, words: Words) -> None:
    """What is drawn, and the last day in words."""
    days = 1 - min(by_place)
    title = words.title.format(days=days) if days > 1 else words.title_of_one
    figure.text(MARGIN, 0.955, title, font=font(TITLE), color=INK, va="top")
    votes = by_place[0]
    told = [words.no_votes]
    if votes.ratio is not None:
        told = [
            f"{words.likes} {_count(votes.likes, words)}",
            f"{words.dislikes} {_count(votes.dislikes, words)}",
            f"{words.ratio} {votes.ratio:.1%}",
        ]
    line = "  ·  ".join([words.long_day(last), *told])
    figure.text(MARGIN, 0.888, line, font=font(TEXT), color=MUTED, va="top")


def _dates(axes: Axes, last: date, first: int, words: Words) -> None:
    """Dates at even distances, counted back from the last day; whole weeks where there are many."""
    span = max(1 - first, MIN_DAYS)
    step = 1 if span <= MIN_DAYS else max(7, ceil(span / MAX_DATES))
    places = range(0, first - 1, -step)
    axes.set_xlim(0.5 - span, 0.5)
    axes.set_xticks(places, [words.day(last + timedelta(days=place)) for place in places], font=font(SMALL))
    axes.get_xticklabels()[0].set_color(INK)


def _panel(axes: Axes, title: str) -> None:
    """A panel with little more than its data: a title, horizontal lines, the last day's background."""
    axes.annotate(
        title,
        (MARGIN, 1),
        xycoords=("figure fraction", "axes fraction"),
        xytext=(0, 9),
        textcoords="offset points",
        font=font(TEXT),
        color=INK,
        annotation_clip=False,
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.axvspan(-0.5, 0.5, color=BACKGROUND, linewidth=0, zorder=0)
    axes.tick_params(axis="both", length=0, pad=6, labelcolor=MUTED)


def _ratios(axes: Axes, by_place: ByPlace, threshold: float, words: Words) -> None:
    """The line of ratios, and the threshold."""
    places = range(min(by_place), 1)
    ratios = [_ratio(by_place.get(place)) for place in places]
    known = [ratio for ratio in ratios if not isnan(ratio)]
    top = min(1.1, 1.25 * max(*known, threshold, 0.01))
    step = next((step for step in (0.01, 0.02, 0.05, 0.1) if top / step < 6), 0.25)
    ticks = [n * step for n in range(6) if n * step <= min(top, 1.0)]
    axes.set_ylim(0, top)
    axes.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks], font=font(SMALL))
    label = words.threshold.format(threshold=_percent(threshold))
    dashed = axes.axhline(threshold, color=INK, linewidth=1.3, dashes=(4, 3), zorder=2)
    axes.plot(places, ratios, color=DISLIKES_BEFORE, linewidth=1.8, zorder=3)
    size = 4 if len(places) < MANY_DAYS else 2
    axes.plot(places, ratios, "o", color=DISLIKES, markersize=size, zorder=4, clip_on=False)
    if not isnan(ratios[-1]):
        axes.plot([0], [ratios[-1]], "o", color=DISLIKES, markersize=9, zorder=5, clip_on=False)
        _value(axes, f"{ratios[-1]:.1%}", ratios[-1])
    _legend(axes, [dashed], [label], handlelength=2.2)


def _votes(axes: Axes, by_place: ByPlace, words: Words) -> None:
    """The votes, stacked: dislikes at the bottom, where they can be compared."""
    before = [place for place in sorted(by_place) if place]
    _bars(axes, before, by_place, DISLIKES_BEFORE, LIKES_BEFORE)
    bad, good = _bars(axes, [0], by_place, DISLIKES, LIKES)
    axes.set_ylim(0, 1.12 * max(1, *(votes.total for votes in by_place.values())))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: words.in_short(count)))
    for label in axes.get_yticklabels():
        label.set_fontproperties(font(SMALL))
    total = by_place[0].total
    if total:
        _value(axes, _count(total, words), total)
    _legend(axes, [good, bad], [words.likes, words.dislikes], handlelength=0.9)


def _bars(
    axes: Axes, places: Sequence[int], by_place: ByPlace, dislikes: str, likes: str
) -> tuple[BarContainer, BarContainer]:
    """Bars in these two colours."""
    bad, good = [by_place[place].dislikes for place in places], [by_place[place].likes for place in places]
    below = axes.bar(places, bad, color=dislikes, width=0.78, edgecolor="white", linewidth=0.5)
    above = axes.bar(places, good, bottom=bad, color=likes, width=0.78, edgecolor="white", linewidth=0.5)
    return below, above


def _legend(
    axes: Axes, handles: Sequence[Artist | BarContainer], labels: Sequence[str], *, handlelength: float
) -> None:
    """On the line of the panel's title, where no data can be below it."""
    axes.legend(
        handles,
        labels,
        ncols=len(handles),
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.25,
        borderpad=0.3,
        frameon=False,
        prop=font(SMALL),
        labelcolor=INK,
        handlelength=handlelength,
        handleheight=0.9,
        handletextpad=0.6,
        columnspacing=1.4,
    )


def _value(axes: Axes, text: str, height: float) -> None:
    """The last day's figure, beside what it tells of: out there, nothing can run through it."""
    axes.annotate(
        text,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        font=font(TEXT),
        color=INK,
        va="center",
        annotation_clip=False,
    )


def _ratio(votes: Votes | None) -> float:
    """For Matplotlib, which breaks a line at `nan`."""
    return nan if votes is None or votes.ratio is None else votes.ratio


def _count(count: int, words: Words) -> str:
    return f"{count:,}" if count < EXACT else words.in_short(count)


def _percent(share: float) -> str:
    return f"{share:.0%}" if isclose(share * 100, round(share * 100)) else f"{share * 100:.4g}%"
