"""Retention: what stays is what the rules name, and never is the last backup that is known to come back deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.backup.retention import BackupRetention, RetentionCandidate, apply_retention
from tests.backup.year import KEEP, NIGHTS, Year

SEOUL = "Asia/Seoul"
NOW = datetime(2025, 10, 20, 15, tzinfo=UTC)
"""Midnight of 21 October in Seoul."""
LATER = NOW + timedelta(days=2)
ONE_DAY = BackupRetention(daily=1, weekly=0, monthly=0, zone=SEOUL)

candidates = st.lists(
    st.builds(
        RetentionCandidate,
        name=st.text("abcdef", min_size=1, max_size=4),
        as_of=st.datetimes(datetime(2023, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
        proven=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda one: one.name,
)
keeps = st.builds(
    BackupRetention,
    daily=st.integers(1, 10),
    weekly=st.integers(0, 5),
    monthly=st.integers(0, 13),
    zone=st.sampled_from([SEOUL, "UTC", "America/New_York", "Australia/Lord_Howe"]),
)


def days_ago(days: float, *, proven: bool = False) -> RetentionCandidate:
    return RetentionCandidate(f"{days:g}", NOW - timedelta(days=days), proven)


def kept(
    *backups: RetentionCandidate, keep: BackupRetention = ONE_DAY, now: datetime = NOW
) -> dict[str, tuple[str, ...]]:
    return {verdict.backup.name: verdict.rules for verdict in apply_retention(backups, now, keep) if verdict.is_kept}


@given(backups=candidates, keep=keeps)
def test_what_nobody_may_delete_stays(backups: list[RetentionCandidate], keep: BackupRetention) -> None:
    verdicts = apply_retention(backups, NOW, keep)
    assert sorted(v.backup.name for v in verdicts) == sorted(one.name for one in backups)
    stays = [v.backup for v in verdicts if v.is_kept]
    if backups:
        assert max(one.as_of for one in backups) in [one.as_of for one in stays]
    if proven := [one for one in backups if one.proven]:
        assert max(one.as_of for one in proven) in [one.as_of for one in stays if one.proven]
    assert {one.name for one in backups if one.as_of > NOW} <= {one.name for one in stays}


@given(backups=candidates, keep=keeps)
def test_deciding_again_deletes_nothing_more(backups: list[RetentionCandidate], keep: BackupRetention) -> None:
    """What is left satisfies the same rules: a run that died half-way, and the next one, come to the same end."""
    left = [v.backup for v in apply_retention(backups, NOW, keep) if v.is_kept]
    assert all(v.is_kept for v in apply_retention(left, NOW, keep))


@given(backups=candidates, keep=keeps)
def test_untried_backups_never_push_out_a_proven_one(backups: list[RetentionCandidate], keep: BackupRetention) -> None:
    proven = [one for one in backups if one.proven]
    alone = {name for name, rules in kept(*proven, keep=keep).items() if {*rules} - {"newest", "the only one"}}
    assert alone <= kept(*backups, keep=keep).keys()


@given(backups=candidates, keep=keeps)
def test_each_rule_keeps_the_newest_of_as_many_periods_as_it_may(
    backups: list[RetentionCandidate], keep: BackupRetention
) -> None:
    """Told another way than the code tells it: by groups of days, weeks and months."""
    rules = kept(*backups, keep=keep)
    zone = ZoneInfo(keep.zone)
    for proven in (True, False):
        past = sorted((o for o in backups if o.proven is proven and o.as_of <= NOW), key=lambda o: (o.as_of, o.name))
        for rule, pattern, count in (
            ("daily", "%Y-%m-%d", keep.daily),
            ("weekly", "%G-W%V", keep.weekly),
            ("monthly", "%Y-%m", keep.monthly),
        ):
            groups = groupby(past, key=lambda o: o.as_of.astimezone(zone).strftime(pattern))
            newest = [(period, list(members)[-1].name) for period, members in groups]
            expected = newest[-count:] if count else []
            label = rule if proven else f"unproven {rule}"
            found = [
                (r.removeprefix(f"{label} "), n) for n, rs in rules.items() for r in rs if r.startswith(f"{label} ")
            ]
            assert sorted(found) == sorted(expected)


def test_the_only_one_stays_however_old() -> None:
    assert kept(days_ago(4000)) == {"4000": ("the only one", "unproven daily 2014-11-08")}
    assert kept() == {}


def test_untried_ones_are_counted_apart() -> None:
    untried = [days_ago(n) for n in range(3)]
    assert kept(*untried, days_ago(30, proven=True), days_ago(31, proven=True)) == {
        "0": ("newest", "the last 24 hours", "unproven daily 2025-10-21"),
        "30": ("newest proven", "daily 2025-09-21"),
    }


def test_a_month_of_failures_ages_nothing() -> None:
    """Days are counted where there is a backup, not on the calendar."""
    before = [days_ago(n) for n in range(30, 37)]
    assert len(kept(*before, days_ago(0), keep=BackupRetention(daily=7, weekly=0, monthly=0, zone=SEOUL))) == 7


def test_days_begin_at_the_zone_s_midnight() -> None:
    """An hour apart, and in Seoul on two days."""
    late, early = RetentionCandidate("late", NOW, False), RetentionCandidate("early", NOW - timedelta(hours=1), False)
    two_days = BackupRetention(daily=2, weekly=0, monthly=0, zone=SEOUL)
    assert set(kept(early, late, keep=two_days, now=LATER)) == {"late", "early"}
    assert set(kept(early, late, keep=BackupRetention(daily=2, weekly=0, monthly=0, zone="UTC"), now=LATER)) == {"late"}


def test_of_one_day_the_newest_stays() -> None:
    assert set(kept(days_ago(0), days_ago(-0.2), days_ago(-0.1), now=LATER)) == {"-0.2"}


def test_all_of_the_last_24_hours_stay() -> None:
    """Before a migration and after it, of one afternoon; of the day before, the newest."""
    rules = kept(days_ago(0), days_ago(0.02), days_ago(0.9), days_ago(1), days_ago(1.1))
    assert set(rules) == {"0", "0.02", "0.9"}
    assert rules["0.02"] == ("the last 24 hours",)


def test_what_is_pinned_or_just_made_stays() -> None:
    pinned = replace(days_ago(400), pinned=True)
    assert kept(days_ago(0), pinned, days_ago(500))["400"] == ("pinned",)
    assert [v.rules for v in apply_retention([days_ago(0), days_ago(500)], NOW, ONE_DAY, made="500")][1] == (
        "made by this run",
    )


def test_a_run_for_an_earlier_night_deletes_no_later_backup() -> None:
    later = [days_ago(-n) for n in range(1, 4)]
    rules = kept(*later, days_ago(0), days_ago(1))
    assert rules["-1"] == rules["-2"] == ("later than this run",)
    assert rules["-3"] == ("newest", "later than this run")
    assert set(rules) == {"-1", "-2", "-3", "0"}


@pytest.mark.parametrize("numbers", [(0, 4, 12), (7, -1, 12), (7, 4, -1)])
def test_numbers_that_would_keep_nothing_are_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="at least one day"):
        BackupRetention(*numbers, zone=SEOUL)


@pytest.mark.parametrize("seed", range(5))
def test_a_year_never_leaves_the_house_without_a_proven_backup(seed: int) -> None:
    year = Year(seed)
    proven_once = False
    for now, verdicts in year.nights():
        stays = [v.backup for v in verdicts if v.is_kept]
        proven = [one for one in stays if one.proven]
        proven_once = proven_once or year.rehearsed > 0
        assert bool(proven) is proven_once, now
        assert len(stays) <= 2 * (KEEP.daily + KEEP.weekly + KEEP.monthly)
    assert year.failed > 20 and year.rehearsed > 20, "the year had its troubles"
    assert year.deleted + len(year.stored) + year.failed == NIGHTS


def test_what_a_year_leaves() -> None:
    """Seven days, four weeks and twelve months of each kind; June, when nobody rehearsed, has nothing proven."""
    _, last = list(Year(seed=2025).nights())[-1]
    for proven, label, months in ((True, "", KEEP.monthly - 1), (False, "unproven ", KEEP.monthly)):
        rules = [rule for v in last if v.backup.proven is proven for rule in v.rules]
        for rule, count in (("daily", KEEP.daily), ("weekly", KEEP.weekly), ("monthly", months)):
            assert sum(r.startswith(f"{label}{rule} ") for r in rules) == count, (label, rule)
        assert (f"{label}monthly 2025-06" in rules) is not proven
