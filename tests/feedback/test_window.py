"""The day before, by the calendar of the zone, whatever its clocks did."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from nightshift.errors import InvalidEvent
from nightshift.feedback.windows import window_of

HOUR = timedelta(hours=1)


def test_nine_in_seoul_reports_the_day_before() -> None:
    window = window_of(datetime(2025, 10, 17, tzinfo=UTC), ZoneInfo("Asia/Seoul"))
    assert window.start.isoformat() == "2025-10-16T00:00:00+09:00"
    assert window.end.isoformat() == "2025-10-17T00:00:00+09:00"


@pytest.mark.parametrize("as_of", ["2025-10-16T15:00:00+00:00", "2025-10-17T14:59:59.999999+00:00"])
def test_any_time_of_the_day_reports_the_same(as_of: str) -> None:
    assert window_of(datetime.fromisoformat(as_of), ZoneInfo("Asia/Seoul")).day == date(2025, 10, 16)


@pytest.mark.parametrize(
    ("zone", "day", "hours", "start"),
    [
        ("Europe/Berlin", "2025-10-26", 25, "2025-10-25T22:00:00+00:00"),
        ("Europe/Berlin", "2025-03-30", 23, "2025-03-29T23:00:00+00:00"),
        ("America/New_York", "2025-11-02", 25, "2025-11-02T04:00:00+00:00"),
        ("America/New_York", "2025-03-09", 23, "2025-03-09T05:00:00+00:00"),
        ("Australia/Lord_Howe", "2025-04-06", 24.5, "2025-04-05T13:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", 23, "2018-11-04T03:00:00+00:00"),  # has no midnight
        ("America/Havana", "2025-11-02", 25, "2025-11-02T04:00:00+00:00"),  # has two of them
        ("Africa/Cairo", "2025-04-25", 23, "2025-04-24T22:00:00+00:00"),  # has no midnight
        ("Pacific/Apia", "2011-12-30", 0, "2011-12-30T10:00:00+00:00"),  # was left out
        ("Asia/Seoul", "2025-10-16", 24, "2025-10-15T15:00:00+00:00"),
    ],
)
def test_a_day_is_as_long_as_it_was(zone: str, day: str, hours: float, start: str) -> None:
    place = ZoneInfo(zone)
    following = date.fromisoformat(day) + timedelta(days=1)
    noon = datetime(following.year, following.month, following.day, 12, tzinfo=place)
    window = window_of(noon, place)
    begin, end = (moment.astimezone(UTC) for moment in (window.start, window.end))
    assert window.day == date.fromisoformat(day)
    assert (begin.isoformat(), end - begin) == (start, hours * HOUR)
    assert window.before_by_days(1).end.astimezone(UTC) == begin


def test_weeks_and_months_are_days_of_the_calendar() -> None:
    window = window_of(datetime(2025, 3, 31, 12, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert window.week_window == tuple(date(2025, 3, day) for day in range(23, 30))
    assert (window.chart_days[0], window.chart_days[-1], len(window.chart_days)) == (
        date(2025, 3, 1),
        date(2025, 3, 30),
        30,
    )


def test_before_the_calendar_there_is_no_day() -> None:
    for as_of in (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 20, tzinfo=UTC)):
        with pytest.raises(InvalidEvent, match="out of range"):
            window_of(as_of, ZoneInfo("America/New_York"))
