"""Which times on a wall have passed: beside a definition that asks the time-zone database for each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nightshift.expiry.due import ambiguous_wall_clock_window

CHANGES = {
    "America/New_York": ["2025-03-09T07:00", "2025-11-02T06:00"],
    "Europe/Berlin": ["2025-03-30T01:00", "2025-10-26T01:00"],
    "Europe/Dublin": ["2025-03-30T01:00", "2025-10-26T01:00"],
    "Australia/Lord_Howe": ["2025-04-05T15:00", "2025-10-04T15:30"],
    "America/St_Johns": ["2010-03-14T03:31", "2010-11-07T02:31"],
    "Pacific/Apia": ["2011-12-30T10:00", "2011-09-24T14:00"],
    "Pacific/Kwajalein": ["1993-08-21T12:00"],
    "Africa/Casablanca": ["2025-02-23T02:00", "2025-04-06T02:00"],
    "Africa/Monrovia": ["1972-01-07T00:44:30"],
    "Asia/Pyongyang": ["2015-08-14T15:00", "2018-05-04T15:00"],
    "Asia/Seoul": ["1988-10-08T17:00", "2025-10-15T05:00"],
    "UTC": ["2025-10-15T05:00"],
}
"""Moments (UTC) at which clocks were changed, of zones that are odd in ways of their own; Seoul's no longer are."""


def passed(wall: datetime, zone: ZoneInfo, as_of: datetime) -> bool:
    """Returns whether the later of the moments for which a wall's time can stand lies before `as_of`."""
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)) < as_of


def taken(wall: datetime, zone: ZoneInfo, as_of: datetime) -> bool:
    """Returns whether a run at `as_of` takes it."""
    window = ambiguous_wall_clock_window(zone, as_of)
    return wall < as_of.astimezone(zone).replace(tzinfo=None) and not (window and window[0] <= wall < window[1])


zones_and_moments = st.sampled_from([(zone, at) for zone, moments in CHANGES.items() for at in moments])
near = st.one_of(
    st.timedeltas(timedelta(hours=-50), timedelta(hours=50)),
    st.integers(-200, 200).map(lambda n: timedelta(minutes=15 * n)),
    st.integers(-3, 3).map(lambda n: timedelta(microseconds=n)),
)


@given(zones_and_moments, near, near)
@example(("America/New_York", "2025-11-02T06:00"), timedelta(minutes=-30), timedelta(minutes=-45))
@example(("Pacific/Apia", "2011-12-30T10:00"), timedelta(hours=3), timedelta(hours=-9))
def test_every_time_is_taken_once_it_has_passed_for_certain(
    place: tuple[str, str], run: timedelta, row: timedelta
) -> None:
    zone, change = ZoneInfo(place[0]), datetime.fromisoformat(place[1]).replace(tzinfo=UTC)
    as_of = change + run
    # On the wall as of either side of the change, so that times that never were are tried, too.
    for side in (change - timedelta(days=2), change + timedelta(days=2)):
        wall = (change + row + (side.astimezone(zone).utcoffset() or timedelta())).replace(tzinfo=None)
        assert taken(wall, zone, as_of) == passed(wall, zone, as_of), wall


@pytest.mark.fast_cases("New_York-2025-11", "Apia-2011-12", "UTC-")
@pytest.mark.parametrize(("zone", "change"), [(zone, at) for zone, moments in CHANGES.items() for at in moments])
def test_every_quarter_of_an_hour_around_a_change(zone: str, change: str) -> None:
    """Whatever chance leaves out, on this grid nothing is."""
    place, middle = ZoneInfo(zone), datetime.fromisoformat(change).replace(tzinfo=UTC)
    quarters = [timedelta(minutes=15 * n) for n in range(-4 * 28, 4 * 28)]
    for run in quarters[::3]:
        as_of = middle + run
        for wall in ((middle + row).astimezone(place).replace(tzinfo=None) for row in quarters):
            assert taken(wall, place, as_of) == passed(wall, place, as_of), (as_of, wall)
