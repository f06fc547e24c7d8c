"""Policies: what is due, from a file or the defaults."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.errors import InvalidSettings
from nightshift.policy.file import load_policies, parse_policies
from nightshift.policy.retention import RetentionPolicy
from nightshift.settings import Settings
from tests.support.attempts import attempt
from tests.support.engine import policy_for

SETTINGS = Settings.from_env({"LOG_RETENTION_DAYS": "45", "TIMEZONE": "Europe/Berlin"})


def parse(text: str) -> tuple[RetentionPolicy, ...]:
    return parse_policies(text, SETTINGS, source="policies.toml").retention


def test_without_a_file_it_is_the_conversation_log() -> None:
    (policy,) = load_policies(SETTINGS, lambda source: pytest.fail(f"nothing to read at {source}")).retention

    assert policy == policy_for("conversation_log", "created_at", 45, timezone="Europe/Berlin")


def test_a_file_says_it_all() -> None:
    settings = Settings.from_env({"NIGHTSHIFT_CONFIG": "s3://bucket/policies.toml"})
    text = (
        '[[retention]]\ntable = "app.events"\ntimestamp = "at"\nkeep_days = 7\ntimezone = "UTC"\nepoch = "ms"\n'
        'max_share = 0.5\n[[retention]]\ntable = "other"\n'
    )
    asked: list[str] = []

    def fetch(source: str) -> str:
        asked.append(source)
        return text

    events, other = load_policies(settings, fetch).retention

    assert asked == ["s3://bucket/policies.toml"]
    assert (events.table, events.keep_days, events.epoch, events.max_share) == ("app.events", 7, "ms", 0.5)
    assert (other.timestamp, other.keep_days, other.timezone) == ("created_at", 30, "Asia/Seoul")


def test_every_mistake_is_listed() -> None:
    with pytest.raises(InvalidSettings) as refused:
        parse(
            '[[retention]]\ntable = "a"\nkeep_days = 0\nzone = "UTC"\n[[retention]]\ntable = "b"\nmax_share = 2.0\n'
            '[[retention]]\ntable = "c"\n[[retention]]\ntable = "c"'
        )

    detail = str(refused.value.detail)
    for part in (
        "[[retention]] 1 (a): keep_days",
        "(a): zone: unknown key",
        "2 (b): max_share",
        "table c has more than",
    ):
        assert part in detail


@pytest.mark.parametrize(
    ("zone", "as_of", "cutoff"),
    [
        ("Asia/Seoul", "2025-10-15T00:00:00Z", "2025-09-15T00:00:00+09:00"),
        ("Asia/Seoul", "2025-10-14T14:59:59Z", "2025-09-14T00:00:00+09:00"),
        ("Asia/Seoul", "2025-10-14T15:00:00Z", "2025-09-15T00:00:00+09:00"),
        ("UTC", "2025-10-15T00:00:00Z", "2025-09-15T00:00:00+00:00"),
        ("America/New_York", "2025-03-20T12:00:00Z", "2025-02-18T00:00:00-05:00"),
        ("America/Sao_Paulo", "2018-12-04T12:00:00Z", "2018-11-04T00:00:00-03:00"),
    ],
)
def test_the_cutoff_begins_a_day_of_the_policy_s_zone(zone: str, as_of: str, cutoff: str) -> None:
    policy = policy_for("log", timezone=zone)

    assert policy.cutoff(datetime.fromisoformat(as_of)).isoformat() == cutoff


@given(
    st.datetimes(),
    st.integers(1, 36_500),
    st.sampled_from(["Asia/Seoul", "UTC"]),
)
def test_any_time_has_a_cutoff_or_is_refused(wall: datetime, keep_days: int, zone: str) -> None:
    as_of = wall.replace(tzinfo=UTC)
    policy = policy_for("log", keep_days=keep_days, timezone=zone)
    cutoff = attempt(InvalidSettings, lambda: policy.cutoff(as_of))
    if isinstance(cutoff, InvalidSettings):
        assert wall.year <= 102
        return
    assert cutoff.tzinfo == ZoneInfo(zone)
    assert (cutoff.hour, cutoff.minute, cutoff.second, cutoff.microsecond) == (0, 0, 0, 0)
    assert cutoff.date() == as_of.astimezone(ZoneInfo(zone)).date() - timedelta(days=keep_days)


@given(st.text())
def test_any_text_is_policies_or_refused(text: str) -> None:
    outcome = attempt(InvalidSettings, lambda: parse(text))

    assert "policies.toml" in str(outcome) if isinstance(outcome, InvalidSettings) else outcome


toml_values = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda f: repr(f) if "e" not in repr(f) else "1.5"),
    st.booleans().map(lambda b: str(b).lower()),
    st.dates(date(1970, 1, 1), date(2100, 1, 1)).map(str),
    st.sampled_from(['"Asia/Seoul"', '"a"', '"s"', '""', "[]", "{}", "{a = 1}", '["x"]', "inf", "nan"]),
)
keys = st.sampled_from(["table", "timestamp", "keep_days", "timezone", "epoch", "max_share", "odd"])


@given(st.lists(st.dictionaries(keys, toml_values), min_size=1, max_size=3))
def test_any_entries_are_policies_or_refused_by_key(entries: list[dict[str, str]]) -> None:
    text = "\n".join("[[retention]]\n" + "\n".join(f"{k} = {v}" for k, v in entry.items()) for entry in entries)
    policies = attempt(InvalidSettings, lambda: parse(text))
    if isinstance(policies, InvalidSettings):
        assert str(policies.detail).startswith("policies.toml: ")
        return
    assert len(policies) == len(entries)
    for policy, entry in zip(policies, entries, strict=True):
        assert "odd" not in entry
        assert policy.keep_days >= 1
        assert policy.max_share is None or 0 < policy.max_share <= 1
