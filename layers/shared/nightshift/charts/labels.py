"""Texts of the charts, in Korean and English, with formats of dates, because `strftime` uses the process's locale.

The texts have no emoji. The font has no emoji, and a missing glyph appears as an empty box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Literal, NamedTuple

Language = Literal["ko", "en"]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class ChartLabels(NamedTuple):
    """Texts in one language."""

    title: str
    title_of_one: str
    likes: str
    dislikes: str
    ratio: str
    votes: str
    threshold: str
    no_votes: str
    weekdays: str
    day: Callable[[date], str]
    full_day: Callable[[date, str], str]
    units: tuple[tuple[int, str], ...]
    """Units of abbreviated counts, with their abbreviations, largest first."""

    def long_day(self, day: date) -> str:
        """Returns a date with its weekday and year."""
        return self.full_day(day, self.weekdays.split()[day.weekday()])

    def in_short(self, count: float) -> str:
        """Returns an abbreviated count, e.g. `870`, `9,500`, `1.2만` or `12K`."""
        for size, unit in self.units:
            if count >= size:
                value = count / size
                return f"{value:,.0f}{unit}" if value >= 100 or value == int(value) else f"{value:.1f}{unit}"
        return f"{count:,.0f}"


WORDS: Mapping[Language, ChartLabels] = {
    "ko": ChartLabels(
        title="AI 피드백, 최근 {days}일",
        title_of_one="AI 피드백",
        likes="좋아요",
        dislikes="싫어요",
        ratio="부정 비율",
        votes="피드백 수",
        threshold="기준 {threshold}",
        no_votes="피드백 없음",
        weekdays="월 화 수 목 금 토 일",
        day=lambda day: f"{day.month}/{day.day}",
        full_day=lambda day, weekday: f"{day.year}년 {day.month}월 {day.day}일 ({weekday})",
        units=((10**16, "경"), (10**12, "조"), (10**8, "억"), (10**4, "만")),
    ),
    "en": ChartLabels(
        title="AI feedback, last {days} days",
        title_of_one="AI feedback",
        likes="Likes",
        dislikes="Dislikes",
        ratio="Negative ratio",
        votes="Votes",
        threshold="Threshold {threshold}",
        no_votes="no votes",
        weekdays="Mon Tue Wed Thu Fri Sat Sun",
        day=lambda day: f"{MONTHS[day.month - 1]} {day.day}",
        full_day=lambda day, weekday: f"{weekday}, {MONTHS[day.month - 1]} {day.day}, {day.year}",
        units=((10**15, "Q"), (10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")),
    ),
}
