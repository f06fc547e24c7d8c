"""Draws the chart of `feedback` as a PNG: the likes and dislikes of each day.

The upper panel shows the negative ratio (the share of dislikes) and the threshold. The lower panel shows the numbers of
votes, because a high ratio of a few votes means nothing. Both panels share the axis of days. The last day, which is the
day of the report, is highlighted. A day without votes has no ratio, so the line has a gap on this day.

The same days always give the same bytes. The chart does not depend on the process's locale, time zone or other
threads. The module changes no setting of the process, and the PNG has no time and no version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from math import isclose

from nightshift.charts.canvas import ChartCanvas, Point
from nightshift.charts.labels import WORDS, ChartLabels, Language
from nightshift.charts.panel import (
    DISLIKES,
    DISLIKES_BEFORE,
    INK,
    LIKES,
    LIKES_BEFORE,
    MARGIN,
    MUTED,
    PAPER,
    SMALL,
    TEXT,
    ChartKey,
    ChartPanel,
)
from nightshift.charts.scales import DayScale, ValueScale, count_ticks, share_ticks
from nightshift.results.feedback import DayVotes, VoteTotals

ByPlace = Mapping[int, VoteTotals]
"""Votes by day. The key is the day's distance from the last day: 0, -1, …"""
WIDTH, HEIGHT = 960, 600
"""Size in pixels. Text stays readable if Slack shows the picture at a third of this size."""
LEFT, RIGHT = 90, 870
"""Edges of the axis of days: 780 pixels, so that each of thirty days has 26 pixels."""
RATIOS, VOTES = (144, 330), (397, 549)
"""Pixel rows of the upper limit and of zero, for each panel."""
TITLE = 26
TITLE_BASE, SUMMARY_BASE, DATES_BASE = 48, 83, 574
MIN_DAYS = 7
"""Minimum number of days of the axis. Without a minimum, a single day's bar would be as wide as the chart."""
MANY_DAYS = 45
"""Number of days from which dots are smaller, because large dots would hide the line."""
LINE, DOT, SMALL_DOT, LAST_DOT = 3, 7, 4, 15
ROOM_FOR_RATIOS, ROOM_FOR_VOTES = 1.25, 1.12
"""Upper limit of each panel, as a multiple of the largest value."""
EXACT = 100_000
"""Smaller counts are shown exactly. Larger counts are abbreviated."""


def feedback_chart(days: Sequence[DayVotes], *, threshold: float, language: Language) -> bytes:
    """Returns the chart as a PNG.

    Args:
        days: the days in any order. The latest day is the day of the report. A missing day has no votes.
        threshold: negative ratio above which re-embedding may start, 0 to 1.

    Raises:
        ValueError: there are no days.
        NightshiftError: the font is not installed.
    """
    if not days:
        raise ValueError("a chart needs at least one day")
    last = max(entry.day for entry in days)
    by_place = {(entry.day - last).days: entry.votes for entry in days}
    words, axis = WORDS[language], DayScale(LEFT, RIGHT, max(MIN_DAYS, 1 - min(by_place)))
    canvas = ChartCanvas(WIDTH, HEIGHT, PAPER)
    _titles(canvas, last, by_place, words)
    _ratios(canvas, axis, by_place, threshold, words)
    _votes(canvas, axis, by_place, words)
    _dates(canvas, axis, last, min(by_place), words)
    return canvas.to_png()


def _titles(canvas: ChartCanvas, last: date, by_place: ByPlace, words: ChartLabels) -> None:
    days = 1 - min(by_place)
    title = words.title.format(days=days) if days > 1 else words.title_of_one
    canvas.draw_text((MARGIN, TITLE_BASE), title, INK, size=TITLE, anchor="ls")
    votes = by_place[0]
    facts = [words.no_votes]
    if votes.ratio is not None:
        facts = [
            f"{words.likes} {_count(votes.likes, words)}",
            f"{words.dislikes} {_count(votes.dislikes, words)}",
            f"{words.ratio} {votes.ratio:.1%}",
        ]
    line = "  ·  ".join([words.long_day(last), *facts])
    canvas.draw_text((MARGIN, SUMMARY_BASE), line, MUTED, size=TEXT, anchor="ls")


def _ratios(canvas: ChartCanvas, axis: DayScale, by_place: ByPlace, threshold: float, words: ChartLabels) -> None:
    """Draws the upper panel: the line of ratios, and the threshold."""
    known = [votes.ratio for votes in by_place.values() if votes.ratio is not None]
    limit = min(1.1, ROOM_FOR_RATIOS * max(*known, threshold, 0.01))
    panel = ChartPanel(canvas, axis, ValueScale(*RATIOS, limit))
    panel.draw_frame(words.ratio, {tick: f"{tick:.0%}" for tick in share_ticks(limit)})
    panel.draw_key(ChartKey(words.threshold.format(threshold=_percent(threshold)), INK, dashed=True))
    panel.draw_threshold(threshold, INK)
    pieces = list(_unbroken(panel, by_place))
    for piece in pieces:
        canvas.draw_line(piece, DISLIKES_BEFORE, width=LINE)
    dot = DOT if 1 - min(by_place) < MANY_DAYS else SMALL_DOT
    canvas.draw_dots([point for piece in pieces for point in piece], DISLIKES, diameter=dot)
    ratio = by_place[0].ratio
    if ratio is not None:
        canvas.draw_dots([panel.draw_point(0, ratio)], DISLIKES, diameter=LAST_DOT)
        panel.draw_figure(f"{ratio:.1%}", ratio)


def _unbroken(panel: ChartPanel, by_place: ByPlace) -> Iterator[list[Point]]:
    """Yields the points of the ratios, in pieces of consecutive days that have votes."""
    piece: list[Point] = []
    for place in range(min(by_place), 1):
        votes = by_place.get(place)
        if votes is not None and votes.ratio is not None:
            piece.append(panel.draw_point(place, votes.ratio))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _votes(canvas: ChartCanvas, axis: DayScale, by_place: ByPlace, words: ChartLabels) -> None:
    """Draws the lower panel: a stacked bar per day. Dislikes are at the bottom, so that readers can compare them."""
    limit = ROOM_FOR_VOTES * max(1, *(votes.total for votes in by_place.values()))
    panel = ChartPanel(canvas, axis, ValueScale(*VOTES, limit))
    panel.draw_frame(words.votes, {tick: words.in_short(tick) for tick in count_ticks(limit)})
    panel.draw_key(ChartKey(words.likes, LIKES), ChartKey(words.dislikes, DISLIKES))
    for place, votes in by_place.items():
        bad, good = (DISLIKES_BEFORE, LIKES_BEFORE) if place else (DISLIKES, LIKES)
        panel.draw_bar(place, (votes.dislikes, bad), (votes.likes, good))
    total = by_place[0].total
    if total:
        panel.draw_figure(_count(total, words), total)


def _dates(canvas: ChartCanvas, axis: DayScale, last: date, first: int, words: ChartLabels) -> None:
    """Draws dates at equal distances, counted back from the last day."""
    for place in axis.labelled_days(first):
        day, color = words.day(last + timedelta(days=place)), MUTED if place else INK
        canvas.draw_text((axis.center_of(place), DATES_BASE), day, color, size=SMALL, anchor="ms")


def _count(count: int, words: ChartLabels) -> str:
    return f"{count:,}" if count < EXACT else words.in_short(count)


def _percent(share: float) -> str:
    return f"{share:.0%}" if isclose(share * 100, round(share * 100)) else f"{share * 100:.4g}%"
