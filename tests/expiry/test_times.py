"""When a row has expired, for every kind of column, whatever the time zones of server, process and policy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.support.expiry_runs import NOW, column, expire, expired, only, refused, script
from tests.support.house import House


@pytest.fixture(params=["Asia/Seoul", "UTC", "America/Los_Angeles"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process's own time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


INFINITE = ["infinity", "-infinity"]
KINDS = [
    # column, its policy's lines, due at 05:00 UTC (14:00 in Seoul) of 15 October, not due
    (
        "timestamptz",
        "",
        ["2025-10-15 04:59:59.999999+00", "0044-03-15 BC"],
        ["2025-10-15 05:00Z", "2025-10-15 14:00+09"],
    ),
    ("timestamp", "", ["2025-10-15 13:59:59.999999", "4713-01-01 BC"], ["2025-10-15 14:00"]),
    ("timestamp", 'timezone = "UTC"', ["2025-10-15 04:59:59.999999"], ["2025-10-15 05:00", "2025-10-15 13:59"]),
    ("timestamp", 'timezone = "America/New_York"', ["2025-10-15 00:59:59"], ["2025-10-15 01:00"]),
    ("date", "", ["2025-10-14", "4713-01-01 BC"], ["2025-10-15"]),
    ("date", 'timezone = "Pacific/Kiritimati"', ["2025-10-14"], ["2025-10-15"]),
    ("date", 'timezone = "America/Los_Angeles"', ["2025-10-13"], ["2025-10-14"]),
    ("int", 'epoch = "s"', ["1760504399", "1000000000"], ["1760504400"]),
    ("bigint", 'epoch = "s"', ["1760504399", "1000000000"], ["1760504400", "9223372036854775807"]),
    ("bigint", 'epoch = "ms"', ["1760504399999"], ["1760504400000", "9223372036854775807", "0", "-1"]),
    ("bigint", 'epoch = "us"', ["1760504399999999"], ["1760504400000000", "1"]),
    ("bigint", 'epoch = "ns"', ["1760504399999999999"], ["1760504400000000000", "0"]),
    ("double precision", 'epoch = "s"', ["1760504399.999999"], ["1760504400", "NaN", *INFINITE, "0"]),
    ("numeric", 'epoch = "s"', ["1760504399.999999999999"], ["1760504400", "NaN", "0"]),
    ("real", 'epoch = "s"', ["1760504000"], ["1760504400", "1760504410", "NaN"]),
]


@pytest.mark.slow
def test_every_kind_of_column(house: House, machine: str) -> None:
    """NULL is no time, and infinity never comes."""
    house.sql(f"ALTER DATABASE {house.database} SET TimeZone = 'Pacific/Kiritimati'")
    house.sql(f"ALTER DATABASE {house.database} SET DateStyle = 'SQL, DMY'")
    policies = ""
    for n, (kind, more, due, later) in enumerate(KINDS):
        never = [] if "epoch" in more else INFINITE
        rows = [f"(1, '{value}')" for value in due] + [f"(2, '{value}')" for value in [*later, *never]] + ["(2, NULL)"]
        house.sql(
            "SET DateStyle = 'ISO, MDY';"
            f"CREATE TABLE job{n} (id int, expires_at {kind}, n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"
            f"INSERT INTO job{n} (id, expires_at) VALUES {', '.join(rows)}"
        )
        policies += f'[[expiry]]\ntable = "job{n}"\n{more}\n'

    answer = expired(house, policies)

    assert [table["expired"] for table in answer["tables"]] == [len(due) for _, _, due, _ in KINDS]
    for n in range(len(KINDS)):
        assert set(column(house, f"job{n}")) == {2}


@pytest.mark.parametrize("declared", ["timestamp", "DATETIME", "TEXT", "date"])
def test_sqlite_text(sqlite_house: House, machine: str, declared: str) -> None:
    """As SQLAlchemy writes it, as SQLite's own functions do, and as a date; on the wall of the policy's zone."""
    script(
        sqlite_house,
        f"""
        CREATE TABLE job (id INTEGER PRIMARY KEY, gone int, expires_at {declared});
        INSERT INTO job (gone, expires_at) VALUES (1, '2025-10-15 13:59:59.999999'), (1, '2025-10-15 13:59:59'),
            (1, '2025-10-15 13:59'), (1, '2025-10-15'), (1, '0001-01-01 00:00:00'), (0, '2025-10-15 14:00:00.000000'),
            (0, '2025-10-15 14:00:00'), (0, '2025-10-15T14:00:00'), (0, '2025-10-16'), (0, '9999-12-31 23:59:59'),
            (0, NULL);
        """,
    )

    assert only(expired(sqlite_house, '[[expiry]]\ntable = "job"'))["expired"] == 5
    assert set(column(sqlite_house, "job", "gone")) == {0}


@pytest.mark.parametrize(("epoch", "unit"), [("s", 1), ("ms", 1000)])
def test_sqlite_integers(sqlite_house: House, epoch: str, unit: int) -> None:
    script(sqlite_house, "CREATE TABLE job (id INTEGER PRIMARY KEY, expires_at INTEGER);")
    now = 1760504400 * unit
    script(sqlite_house, f"INSERT INTO job (expires_at) VALUES ({now - 1}), ({now}), ({now // 2 + now // 4}), (NULL)")

    assert only(expired(sqlite_house, f'[[expiry]]\ntable = "job"\nepoch = "{epoch}"'))["expired"] == 2
    assert column(sqlite_house, "job") == [2, 4]


def test_numbers_in_another_unit(home: House) -> None:
    """Milliseconds as seconds lie far ahead, seconds as milliseconds in 1970; half of them, too."""
    now = 1_760_504_399
    values = [
        ("ms", [now]),
        ("s", [now * 1000]),
        ("us", [now * 10**9]),
        ("ms", [now * 1000, now]),
        ("s", [now, 10**15]),
    ]
    for n, (_, rows) in enumerate(values):
        script(home, f"CREATE TABLE job{n} (id int PRIMARY KEY, expires_at bigint);")
        script(home, "".join(f"INSERT INTO job{n} VALUES ({i}, {value});" for i, value in enumerate(rows)))

    entries = (f'[[expiry]]\ntable = "job{n}"\nepoch = "{epoch}"\n' for n, (epoch, _) in enumerate(values))
    found = refused(home, *entries)

    assert {refusal["guard"] for refusal in found} == {"wrong_type"}
    assert ['epoch = "s"' in found[0]["hint"], 'epoch = "ms"' in found[1]["hint"], 'epoch = "ns"' in found[2]["hint"]]
    assert "seconds beside milliseconds" in found[3]["message"] and "microseconds beside" in found[4]["message"]


def test_marks_among_the_numbers_are_no_times(home: House) -> None:
    """0 and -1 may be meant for never; they stay, hold nothing up, and are not overdue."""
    script(home, "CREATE TABLE job (id int PRIMARY KEY, expires_at bigint);")
    script(home, "INSERT INTO job VALUES (1, 0), (2, -1), (3, 1760504399), (4, 9999999999), (5, 1), (6, 100)")

    answer = only(expired(home, '[[expiry]]\ntable = "job"\nepoch = "s"'))

    assert (answer["expired"], answer["oldest_overdue"]) == (1, None)
    assert answer["warnings"] == ["job.expires_at: values that are no times since 2000 in seconds are left alone"]
    assert column(home, "job") == [1, 2, 4, 5, 6]


@pytest.mark.parametrize("declared", ["DATETIME", "TEXT", "REAL", ""])
def test_sqlite_numbers_in_columns_of_every_affinity(sqlite_house: House, declared: str) -> None:
    """Prisma, for one, keeps milliseconds in a DATETIME."""
    now = 1_760_504_400_000
    script(sqlite_house, f"CREATE TABLE job (id INTEGER PRIMARY KEY, expires_at {declared});")
    script(
        sqlite_house,
        f"INSERT INTO job (expires_at) VALUES ({now - 1}), ({now}), ('{now - 1}'), ('{now}'), (NULL), (0), ('')"
        + ("" if declared else f", ({now - 1}.5), (x'00')"),
    )
    more = "(SELECT 1 UNION ALL SELECT 2)"
    script(
        sqlite_house, "".join(f"INSERT INTO job (expires_at) SELECT {now} FROM {more} a, {more} b;" for _ in range(80))
    )

    assert only(expired(sqlite_house, '[[expiry]]\ntable = "job"\nepoch = "ms"'))["expired"] == (2 if declared else 3)
    assert column(sqlite_house, "job WHERE id < 10")[:3] == [2, 4, 5]


ZONES = [
    ("America/New_York", "2025-11-02T06:00", "an hour comes twice"),
    ("America/New_York", "2025-03-09T07:00", "an hour is left out"),
    ("Australia/Lord_Howe", "2025-04-05T15:00", "half an hour comes twice"),
    ("America/St_Johns", "2010-11-07T02:31", "an hour comes twice, over midnight"),
    ("Pacific/Apia", "2011-12-30T10:00", "a day is left out"),
    ("Europe/Dublin", "2025-10-26T01:00", "an hour comes twice, and winter is the exception"),
]


@pytest.mark.fast_cases("America/New_York: an hour comes twice")
@pytest.mark.parametrize(("zone", "change"), [case[:2] for case in ZONES], ids=[f"{c[0]}: {c[2]}" for c in ZONES])
def test_with_or_without_a_zone_the_same_jobs_expire(house: House, zone: str, change: str) -> None:
    """Every quarter of an hour on the wall around a change of the clocks, those that never were among them, beside what
    PostgreSQL takes each for."""
    middle = datetime.fromisoformat(change).replace(tzinfo=UTC)
    walls = {
        (middle + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).replace(tzinfo=None) - timedelta(hours=hours + 26)
        for hours in (-26, 26)
    }
    starts = ", ".join(f"(timestamp '{wall}')" for wall in walls)
    house.sql(
        "CREATE TABLE naive (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, expires_at timestamp);"
        "INSERT INTO naive (expires_at) SELECT DISTINCT start + n * interval '15 minutes'"
        f" FROM (VALUES {starts}) s(start), generate_series(0, 4 * 52) n;"
        f"CREATE TABLE aware AS SELECT id, expires_at AT TIME ZONE '{zone}' AS expires_at FROM naive;"
        "ALTER TABLE aware ADD PRIMARY KEY (id)"
    )
    house.policies("".join(f'[[expiry]]\ntable = "{name}"\ntimezone = "{zone}"\n' for name in ("naive", "aware")))

    for minutes in (-61, -30, 0, 1, 20, 45, 61, 90, 1380):
        as_of = (middle + timedelta(minutes=minutes)).isoformat()
        left = column(house, f"naive WHERE expires_at AT TIME ZONE '{zone}' >= '{as_of}'")
        expire(house, scheduled_time=as_of)
        assert column(house, "naive") == column(house, "aware") == left, as_of


def test_the_scheduled_time_counts_not_the_clock(house: House) -> None:
    """A retry takes what the first attempt would have taken; a run of long ago takes nothing of today's."""
    house.sql(
        "CREATE TABLE job (id int PRIMARY KEY, expires_at timestamptz);"
        "INSERT INTO job VALUES (1, '2025-10-15 03:59Z'), (2, '2025-10-15 04:59Z'), (3, '2025-10-15 05:59Z')"
    )
    house.policies('[[expiry]]\ntable = "job"')

    counts = [
        only(expire(house, scheduled_time=moment))["expired"]
        for moment in ("2020-01-01T00:00:00Z", "2025-10-15T04:00:00Z", NOW, "2025-10-15T04:00:00Z", NOW)
    ]

    assert counts == [0, 1, 1, 0, 0]
    assert column(house, "job") == [3]


def test_the_oldest_overdue_row_is_told(house: House) -> None:
    """In a dry run, and where a run could not delete it."""
    house.sql(
        "CREATE TABLE job (id int PRIMARY KEY, expires_at timestamp);"
        "INSERT INTO job VALUES (1, '2025-10-15 03:00'), (2, '2025-10-15 04:00'), (3, NULL), (4, '-infinity');"
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';"
        "CREATE TRIGGER no AFTER DELETE ON job FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION no()"
    )
    house.policies('[[expiry]]\ntable = "job"')

    told = [only(expire(house, dry_run=dry_run)) for dry_run in (True, False)]

    assert [table["oldest_overdue"] for table in told] == ["2025-10-15T03:00:00+09:00"] * 2
    assert (told[1]["expired"], told[1]["failed"], told[1]["status"]) == (1, 1, "partial")
