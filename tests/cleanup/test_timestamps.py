"""Retention by the policy's time zone, for every kind of timestamp column, whatever the zones of server and process.

What is due and which day a row belongs to is worked out here by brute force: every half minute around the cutoff is
asked for its local date.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.support.house import AS_OF, House

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
HOUR = 3600 * SECOND
HALF_MINUTE = 30 * SECOND


@dataclass(frozen=True)
class Midnight:
    """A zone, and a local day on whose beginning the cutoff falls."""

    zone: str
    day: date
    what: str

    @property
    def keep_days(self) -> int:
        """The retention that puts the cutoff of a run at `AS_OF` there."""
        return (datetime.fromisoformat(AS_OF).astimezone(ZoneInfo(self.zone)).date() - self.day).days

    def local_days(self) -> dict[int, date]:
        """The local day of every half minute (UTC, microseconds) of the four days around. A day is never reopened:
        where clocks go back over midnight, the minutes that come again belong to the day that had begun.
        """
        start = int((datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) - EPOCH).total_seconds())
        days: dict[int, date] = {}
        latest = date.min
        for second in range(start - 2 * 86_400, start + 2 * 86_400, 30):
            local = (EPOCH + timedelta(seconds=second)).astimezone(ZoneInfo(self.zone)).date()
            latest = max(latest, local)
            days[second * SECOND] = latest
        return days


MIDNIGHTS = [
    Midnight("Asia/Seoul", date(2025, 9, 15), "ahead of UTC"),
    Midnight("UTC", date(2025, 9, 15), "UTC"),
    Midnight("America/New_York", date(2025, 3, 10), "after a day of 23 hours"),
    Midnight("America/New_York", date(2024, 11, 4), "after a day of 25 hours"),
    Midnight("America/Sao_Paulo", date(2018, 11, 4), "a midnight that DST skips"),
    Midnight("America/Havana", date(2024, 11, 3), "a midnight that comes twice"),
    Midnight("America/St_Johns", date(2010, 11, 8), "clocks went back over midnight the day before"),
    Midnight("Pacific/Apia", date(2011, 12, 31), "after a day that never was"),
    Midnight("Africa/Monrovia", date(1971, 6, 1), "44 minutes and 30 seconds behind"),
]


@dataclass(frozen=True)
class Kind:
    """A kind of timestamp column.

    Attributes:
        type: its SQL type.
        epoch: the policy's line for it, if it needs one.
        sql: makes the column's value from the point of a row: microseconds since 1970, UTC or on the wall.
        unit: of the column, in microseconds.
        wall: the column holds the wall clock of the policy's zone.
        oldest: a legal value long before all others.
        never: legal values that have no age.
    """

    type: str
    sql: str
    unit: int
    oldest: str
    never: tuple[str, ...]
    wall: bool = False
    epoch: str = ""


INFINITE = ("'-infinity'", "'infinity'", "NULL")
MARKS = ("NULL", "0", "-1", "1")
NO_NUMBERS = ("'NaN'", "'-Infinity'", "'Infinity'", *MARKS)
Y2K = str(946_684_800)
"""The first number that is a time."""
KINDS = {
    "timestamptz": Kind(
        "timestamptz", "timestamptz 'epoch' + interval '{0} microseconds'", 1, "'4713-01-01 00:00:00+00 BC'", INFINITE
    ),
    "timestamp": Kind(
        "timestamp", "timestamp 'epoch' + interval '{0} microseconds'", 1, "'0044-03-15 BC'", INFINITE, wall=True
    ),
    "date": Kind("date", "date '1970-01-01' + {0}", 86_400 * SECOND, "'4713-01-01 BC'", INFINITE, wall=True),
    "int4_s": Kind("int4", "{0}", SECOND, Y2K, ("-2147483648", *MARKS), epoch='epoch = "s"'),
    "int8_s": Kind("int8", "{0}", SECOND, Y2K, ("-99999999999999", "9999999999", *MARKS), epoch='epoch = "s"'),
    "int8_ms": Kind(
        "int8", "{0}", 1000, Y2K + "000", ("-9223372036854775808", "2147483647", *MARKS), epoch='epoch = "ms"'
    ),
    "int8_us": Kind("int8", "{0}", 1, Y2K + "000000", MARKS, epoch='epoch = "us"'),
    "int8_ns": Kind("int8", "{0}000", 1, Y2K + "000000000", ("9223372036854775807", *MARKS), epoch='epoch = "ns"'),
    "float8_s": Kind("float8", "{0} / 1e6::float8", 1, Y2K, NO_NUMBERS, epoch='epoch = "s"'),
    "float8_ms": Kind("float8", "{0} / 1e3::float8", 1, Y2K + "000", NO_NUMBERS, epoch='epoch = "ms"'),
    "float8_ns": Kind("float8", "{0}000", 1, Y2K + "000000000", NO_NUMBERS, epoch='epoch = "ns"'),
    "numeric_s": Kind("numeric", "{0} / 1e6", 1, Y2K, ("'NaN'", *MARKS), epoch='epoch = "s"'),
    "decimal_s": Kind("numeric(20, 6)", "{0} / 1e6", 1, Y2K, ("'NaN'", *MARKS), epoch='epoch = "s"'),
}


@pytest.fixture
def foreign_zone(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Neither the process nor the server keeps a time zone or a style that is of use to anybody."""
    for name, value in {
        "TimeZone": "Pacific/Kiritimati",
        "DateStyle": "SQL, DMY",
        "IntervalStyle": "iso_8601",
        "extra_float_digits": "-5",
    }.items():
        house.sql(f"ALTER DATABASE {house.database} SET {name} = '{value}'")
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    yield house
    monkeypatch.undo()
    time.tzset()


def make_table(house: House, name: str, kind: Kind, points: list[int], *, indexed: bool) -> None:
    """A table with a row a point, `id` its place in the list; 1,000 is the oldest, from 2,000 on they have no age."""
    rows = [f"({n}, {kind.sql.format(point // kind.unit)})" for n, point in enumerate(points)]
    rows.append(f"(1000, {kind.oldest})")
    rows += [f"({n}, {value})" for n, value in enumerate(kind.never, 2000)]
    house.sql(f"CREATE TABLE {name} (id int, at {kind.type})")
    house.sql(f"INSERT INTO {name} VALUES {', '.join(rows)}")
    if indexed:
        house.sql(f"CREATE INDEX ON {name} (at)")
        house.sql(f"ANALYZE {name}")


def instants(midnight: Midnight) -> tuple[list[int], Callable[[int], date]]:
    """Points around the cutoff in UTC, each side of it to the microsecond, and the local day of each."""
    days = midnight.local_days()
    begins = min(point for point, day in days.items() if day >= midnight.day)
    points = [begins - 1, begins, begins + 1, *range(begins - 30 * HOUR, begins + 3 * HOUR, HOUR // 2)]
    return points, lambda point: days[point - point % HALF_MINUTE]


def wall_points(midnight: Midnight) -> tuple[list[int], Callable[[int], date]]:
    """The same on the wall: the calendar alone counts."""
    begins = (midnight.day - EPOCH.date()).days * 24 * HOUR
    points = [begins - 1, begins, begins + 1, *range(begins - 30 * HOUR, begins + 3 * HOUR, HOUR // 2)]
    return points, lambda point: EPOCH.date() + timedelta(days=point // (24 * HOUR))


@pytest.mark.fast_cases("by index")
@pytest.mark.parametrize("indexed", [False, True], ids=["by page", "by index"])
def test_every_kind_of_column(foreign_zone: House, indexed: bool) -> None:
    assert_days_are_right(foreign_zone, MIDNIGHTS[2], tuple(KINDS), indexed=indexed)


@pytest.mark.fast_cases("Havana", "Apia")
@pytest.mark.parametrize("midnight", MIDNIGHTS, ids=lambda m: f"{m.zone}: {m.what}")
def test_every_zone(foreign_zone: House, midnight: Midnight) -> None:
    # No number is a time before the year 2000.
    kinds = ("timestamptz", "int8_ms", "float8_s") if midnight.day.year >= 2000 else ("timestamptz",)
    assert_days_are_right(foreign_zone, midnight, kinds, indexed=MIDNIGHTS.index(midnight) % 2 == 0)


def assert_days_are_right(house: House, midnight: Midnight, kinds: tuple[str, ...], *, indexed: bool) -> None:
    """Make a table of each kind, run once, and compare every row with what was worked out here."""
    policies, due, dt = [], {}, {}
    for name in kinds:
        kind = KINDS[name]
        points, local_day = (wall_points if kind.wall else instants)(midnight)
        make_table(house, name, kind, points, indexed=indexed)
        days = {n: local_day(point - point % kind.unit) for n, point in enumerate(points)}
        due[name] = {n for n, day in days.items() if day < midnight.day} | {1000}
        dt[name] = {n: str(day) for n, day in days.items() if n in due[name]}
        policies.append(
            f'[[retention]]\ntable = "{name}"\ntimestamp = "at"\nkeep_days = {midnight.keep_days}\n'
            f'timezone = "{midnight.zone}"\n{kind.epoch}\n'
        )
    house.policies("\n".join(policies))

    answer = house.run()

    for table in answer["tables"]:
        name = table["table"].removeprefix("public.")
        archived = house.archived_days(table["table"])
        assert set(archived) == due[name], name
        assert {n: day for n, day in archived.items() if n != 1000} == dt[name], name
        first = datetime(2000, 1, 1, tzinfo=UTC).astimezone(ZoneInfo(midnight.zone)).date()
        assert archived[1000] == (str(first) if KINDS[name].epoch else "0001-01-01"), name
        assert table["archived_rows"] == len(due[name])
        assert table["oldest_overdue"] is None
        assert table["cutoff"].startswith(str(midnight.day))
        left = {int(n) for n in house.texts(name, "id")}
        assert left >= {2000 + n for n in range(len(KINDS[name].never))}, "what has no age stays"
        assert not left & due[name]
    assert house.run()["status"] == "nothing"
