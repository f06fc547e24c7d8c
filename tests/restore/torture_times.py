"""Values of the types of time, over each type's whole extent: years before Christ, infinities, 24:00, odd offsets."""

from __future__ import annotations

from functools import partial
from random import Random

from tests.restore.torture_kind import Draw, Kind

EVER = ("infinity", "-infinity")
DATES = (
    *("4714-11-24 BC", "4713-01-01 BC", "0001-12-31 BC", "0001-01-01", "1582-10-15", "1969-12-31", "1970-01-01"),
    *("2000-02-29", "9999-12-31", "10000-01-01"),
)
LATE = (
    "294245-12-31 23:59:59.999999",
    "294246-01-01 00:00:00",
    "294247-01-10 04:00:54.775808",
    "294276-12-31 23:59:59.999999",
)
TIMES = ("00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.000001")


def day(random: Random, last: int = 294_275) -> tuple[str, str]:
    """A day, and the era behind it: half of them as in daily life, the others anywhere."""
    year = random.randint(1990, 2040) if random.random() < 0.5 else random.randint(-4700, random.choice((3000, last)))
    era = " BC" if year < 1 else ""
    return f"{year if year > 0 else 1 - year:04}-{random.randint(1, 12):02}-{random.randint(1, 28):02}", era


def clock(random: Random) -> str:
    fraction = random.choice(("", f".{random.randrange(10**6):06}", f".{random.randrange(1000):03}"))
    return f"{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}{fraction}"


def offset(random: Random) -> str:
    hours, minutes = random.randint(0, 14), random.randrange(60)
    return f"{random.choice('+-')}{hours:02}:{minutes:02}" + random.choice(("", f":{random.randrange(60):02}"))


def date(random: Random) -> str:
    return "".join(day(random, 5_874_896))


def timestamp(random: Random) -> str:
    when, era = day(random)
    return f"{when} {clock(random)}{era}"


def timestamptz(random: Random) -> str:
    when, era = day(random)
    return f"{when} {clock(random)}{offset(random)}{era}"


def span(random: Random, most: int = 9) -> str:
    """An interval whose parts have signs and sizes of their own."""

    def part(limit: int) -> int:
        return random.randint(-limit, limit) if random.random() < 0.7 else 0

    big = random.random() < 0.2
    years, days, micros = (178_000_000, 2_147_483_647, 1 << 62) if big else (most, 40, 10**11)
    return f"{part(years)} years {part(11)} mons {part(days)} days {part(micros)} microseconds"


def _moments(zone: str) -> tuple[str, ...]:
    """Awkward timestamps; `zone` goes between the time and the era."""
    days = tuple(f"{date.removesuffix(' BC')} 00:00:00{zone}{' BC' * date.endswith(' BC')}" for date in DATES)
    return (*EVER, *days, *(late + zone for late in LATE), f"2025-10-15 09:00:00.123456{zone}")


def times(version: int) -> list[Kind]:
    """Dates, times, timestamps, intervals, with and without their precision."""
    forever = EVER if version >= 17 else ()
    spans = (
        *("0", "1 year -2 mons +3 days -04:05:06.000007", "-1 day +23:59:59", "1 mon -1 days", "00:00:00.000001"),
        *("178956970 years 7 mons", "-178956970 years -8 mons", "2147483647 days", "-2147483648 days"),
        *("2562047788:00:54.775807", "-2562047788:00:54.775807", *forever),
    )
    stamps, zoned = _moments(""), (*_moments("+00"), "0044-03-15 12:00:00+00:49:56 BC", "2025-10-15 09:00:00-15:59:59")
    zones = tuple(time + zone for time, zone in zip(TIMES, ("+00", "-15:59:59", "+15:59:59", "+09:30:15"), strict=True))

    def limited(name: str, values: tuple[str, ...], draw: Draw) -> list[Kind]:
        # What would round past the end of the type is out of range.
        return [Kind(name.format(f"({n})"), tuple(v for v in values if "294276" not in v), draw) for n in (0, 3)]

    zoned_clock: Draw = lambda random: clock(random) + offset(random)  # noqa: E731
    return [
        Kind("date", (*EVER, *DATES, "5874897-12-31"), date),
        *[Kind("time without time zone", TIMES, clock), *limited("time{} without time zone", TIMES, clock)],
        *[Kind("time with time zone", zones, zoned_clock), *limited("time{} with time zone", zones, zoned_clock)],
        Kind("timestamp without time zone", stamps, timestamp),
        *limited("timestamp{} without time zone", stamps, timestamp),
        Kind("timestamp with time zone", zoned, timestamptz),
        *limited("timestamp{} with time zone", zoned, timestamptz),
        Kind("interval", spans, span),
        *(
            Kind(f"interval {fields}", ("0", "1 year 2 mons -3 days 04:05:06.789"), partial(span, most=99))
            for fields in _FIELDS
        ),
    ]


_FIELDS = ("year", "year to month", "month", "day", "day to second", "day to second(3)", "hour to minute", "second(2)")
