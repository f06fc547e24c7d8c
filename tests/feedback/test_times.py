"""Which votes are the day's, for every kind of time column and on days of every length."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.feedback import DAY, VotingHouse

EDGES = [
    ("2025-10-15 23:59:59.999999", False),
    ("2025-10-16 00:00:00", True),
    ("2025-10-16 23:59:59.999999", True),
    ("2025-10-17 00:00:00", False),
]
"""Seoul's clocks, and whether a vote of that time is the day's."""


def seoul(when: str, unit: int) -> int:
    """The time on Seoul's clocks, in so many parts of a second since 1970."""
    moment = datetime.fromisoformat(f"{when}+09:00")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * unit // 1_000_000


UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
NUMBERS = ["bigint s", "bigint ms", "bigint us", "bigint ns", "numeric us", "float8 s"]


@pytest.mark.parametrize(("epoch", "unit"), [("ms", 1), ("s", 1000), ("us", 10**9)])
def test_another_unit_is_refused(anybody: VotingHouse, epoch: str, unit: int) -> None:
    """Rather than counting no votes, day after day; a single vote in the right unit is enough to go on."""
    anybody.create("bigint")
    anybody.env["FEEDBACK_EPOCH"] = epoch
    insert(anybody, [str(seoul("2025-10-16 12:00", unit))])
    refusal = anybody.run()["refusal"]
    assert refusal["guard"] == "wrong_type" and "FEEDBACK_EPOCH says" in refusal["message"]
    assert "be the unit of the numbers (s, ms, us or ns)" in refusal["hint"]

    anybody.env["FEEDBACK_EPOCH"] = next(name for name, a_second in UNITS.items() if a_second == unit)
    assert anybody.run()["likes"] == 1


def insert(house: VotingHouse, values: list[str]) -> None:
    rows = ", ".join(f"('like', {value})" for value in values)
    house.sql(f"INSERT INTO conversation_log (feedback, created_at) VALUES {rows}")


@pytest.mark.fast_cases("timestamptz", "date", "bigint", "ms")
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "timestamp(3)", "date", *NUMBERS])
def test_the_edges_of_the_day(voters: VotingHouse, kind: str) -> None:
    name, _, epoch = kind.partition(" ")
    voters.create(name)
    if epoch:
        voters.env["FEEDBACK_EPOCH"] = epoch
        values = [str(seoul(when, UNITS[epoch])) for when, _ in EDGES]
    elif name == "timestamptz":
        values = [f"timestamptz '{when}+09'" for when, _ in EDGES]
    elif name == "date":
        values = [f"date '{when[:10]}'" for when, _ in EDGES]
    else:
        # The column would round up what it cannot hold.
        values = [f"timestamp '{when.replace('.999999', '.999')}'" for when, _ in EDGES]
    insert(voters, values)
    if not epoch:
        insert(voters, [f"{name} 'infinity'", f"{name} '-infinity'", "NULL"])
    answer = voters.run()
    assert answer["likes"] == sum(within for _, within in EDGES)
    assert answer["previous"]["likes"] == 1
    assert answer["window"] == {"start": "2025-10-16T00:00:00+09:00", "end": "2025-10-17T00:00:00+09:00"}


@pytest.mark.parametrize("kind", ["timestamp", "text", "integer s", "integer ms"])
def test_the_edges_of_the_day_on_sqlite(sqlite_voters: VotingHouse, kind: str) -> None:
    name, _, epoch = kind.partition(" ")
    sqlite_voters.create(name)
    if epoch:
        sqlite_voters.env["FEEDBACK_EPOCH"] = epoch
        values = [str(seoul(when, 1 if epoch == "s" else 1000)) for when, _ in EDGES]
    else:
        values = [f"'{when}'" for when, _ in EDGES] + ["'2025-10-16T09:00:00'", "'2025-10-16'", "'2025-10-17'", "NULL"]
    insert(sqlite_voters, values)
    answer = sqlite_voters.run()
    assert answer["likes"] == sum(within for _, within in EDGES) + (0 if epoch else 2)
    assert answer["previous"]["likes"] == 1


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date", "bigint"])
def test_the_index_on_the_time_serves(voters: VotingHouse, kind: str) -> None:
    """From the second run on no count reads the whole table, whatever the type of the column."""
    voters.create(kind)
    value = "t" if kind == "timestamptz" else f"(t AT TIME ZONE 'Asia/Seoul')::{kind}"
    if kind == "bigint":
        value = "extract(epoch FROM t)::bigint"
        voters.env["FEEDBACK_EPOCH"] = "s"
    voters.sql(
        f"INSERT INTO conversation_log (feedback, created_at) SELECT 'like', {value} FROM generate_series("
        "timestamptz '2025-09-01 00:00+09', '2025-10-17 23:59+09', interval '3 minutes') t"
    )
    voters.sql("VACUUM ANALYZE conversation_log")
    voters.sql("SELECT pg_stat_force_next_flush()")  # its own scans would be counted a second later
    voters.run()
    scans = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'conversation_log'"
    voters.await_quiet()
    ((whole, by_index),) = voters.sql(scans)
    assert voters.run(scheduled_time="2025-10-18T00:00:00Z")["likes"] == 480
    voters.await_quiet()
    ((whole_now, by_index_now),) = voters.sql(scans)
    assert whole_now == whole
    assert by_index_now >= by_index + 2


CHANGES: list[tuple[str, str, int]] = [
    ("Europe/Berlin", "2025-10-26", 25),
    ("Europe/Berlin", "2025-03-30", 23),
    ("America/New_York", "2025-11-02", 25),
    ("America/New_York", "2025-03-09", 23),
    ("America/Sao_Paulo", "2018-11-04", 23),
    ("America/Havana", "2025-11-02", 25),
]


@pytest.mark.parametrize(("zone", "day", "hours"), CHANGES, ids=[f"{zone} {day}" for zone, day, _ in CHANGES])
def test_a_day_on_which_the_clocks_change(voters: VotingHouse, zone: str, day: str, hours: int) -> None:
    """A vote every half an hour, of which the day has two for each of its hours; dislikes are the days beside it."""
    voters.create()
    voters.env["TIMEZONE"] = zone
    voters.sql(
        "INSERT INTO conversation_log (created_at, feedback)"
        f" SELECT t, CASE WHEN (t AT TIME ZONE '{zone}')::date = '{day}' THEN 'like' ELSE 'dislike' END"
        f" FROM generate_series(timestamptz '{day} 00:15+00' - interval '36 hours',"
        f" timestamptz '{day} 00:15+00' + interval '60 hours', interval '30 minutes') t"
    )
    answer: dict[str, Any] = voters.run(scheduled_time=f"{day}T12:00:00Z")
    before = answer["total"], answer["window"]["end"]
    answer = voters.run(scheduled_time=(datetime.fromisoformat(f"{day}T15:00:00Z") + timedelta(days=1)).isoformat())
    assert (answer["likes"], answer["dislikes"]) == (2 * hours, 0)
    assert answer["state"] == "healthy"
    assert answer["window"]["start"] == before[1]
    assert answer["previous"]["total"] == before[0] == 48
    # The reader sees how long the day was.
    assert f"{hours}시간" in voters.message()


def test_a_wall_clocks_day_has_both_of_its_hours(voters: VotingHouse) -> None:
    voters.create("timestamp")
    voters.env["TIMEZONE"] = "Europe/Berlin"
    insert(voters, ["'2025-10-26 02:30'"] * 2 + ["'2025-10-26 00:00'", "'2025-10-26 23:59:59'", "'2025-10-27 00:00'"])
    assert voters.run(scheduled_time="2025-10-27T08:00:00Z")["likes"] == 4


def test_a_wall_clocks_day_without_a_midnight_begins_at_it_all_the_same(voters: VotingHouse) -> None:
    """What a clock never showed may have been computed: it is of that day, and of no other."""
    voters.create("timestamp")
    voters.env["TIMEZONE"] = "America/Sao_Paulo"
    insert(voters, ["'2018-11-03 23:59:59'", "'2018-11-04 00:00'", "'2018-11-04 00:30'", "'2018-11-04 01:00'"])
    answer = voters.run(scheduled_time="2018-11-05T12:00:00Z")
    assert (answer["likes"], answer["previous"]["likes"]) == (3, 1)


def test_a_day_that_was_left_out_has_no_votes(voters: VotingHouse) -> None:
    voters.create()
    voters.env["TIMEZONE"] = "Pacific/Apia"
    insert(voters, ["'2011-12-30 09:59:59+00'", "'2011-12-30 10:00:00+00'"])
    answer = voters.run(scheduled_time="2011-12-30T22:00:00Z")
    assert (answer["total"], answer["previous"]["likes"], answer["status"]) == (0, 1, "nothing")


def test_a_retry_hours_later_reports_the_same_day(anybody: VotingHouse) -> None:
    anybody.create()
    anybody.vote(DAY, 50, 5)
    answers = [anybody.run(scheduled_time=f"2025-10-{time}Z") for time in ("17T00:00:00", "17T05:00:00")]
    assert len({(a["decision"], a["likes"], a["window"]["start"]) for a in answers}) == 1
    assert [a["decided_before"] for a in answers] == [False, True]
