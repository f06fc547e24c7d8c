"""Both languages say the same things, and numbers and times read well in each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest

from nightshift import slack
from nightshift.results.units import format_size, format_usd
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.phrases.catalog import MessageCatalog
from nightshift.slack.phrases.forms import Phrase, PluralForms
from tests.support.guards import all_guards

HANGUL = re.compile("[가-힣]")
SEOUL = ZoneInfo("Asia/Seoul")
KOREAN, ENGLISH = MessageCatalog("ko"), MessageCatalog("en")
KEYS = sorted(
    name for part in MessageCatalog.__mro__ for name, value in vars(part).items() if isinstance(value, Phrase)
)
KOREAN_ALONE = "guard_reasons"
"""In English the refusal's message is its reason."""
NAMES = [name for name in KEYS if isinstance(getattr(ENGLISH, name), Mapping) and name != KOREAN_ALONE]
SOURCES = "".join(path.read_text(encoding="utf-8") for path in Path(slack.__file__).parent.glob("*.py"))


def spoken(phrases: MessageCatalog, name: str) -> list[str]:
    value = getattr(phrases, name)
    if isinstance(value, PluralForms):
        return list(value)
    return list(value.values()) if isinstance(value, Mapping) else [value]


def blanks(phrase: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(phrase) if name}


@pytest.mark.parametrize("name", KEYS)
def test_both_languages_fill_the_same_blanks(name: str) -> None:
    korean, english = spoken(KOREAN, name), spoken(ENGLISH, name)
    if name != KOREAN_ALONE:
        assert [blanks(phrase) for phrase in korean] == [blanks(phrase) for phrase in english]
    assert all(phrase.strip() for phrase in korean + english)
    assert not any(HANGUL.search(phrase) for phrase in english)


@pytest.mark.parametrize("name", KEYS)
def test_every_phrase_is_shown_somewhere(name: str) -> None:
    assert re.search(rf"(words|self)\.{name}\b", SOURCES)


def test_names_are_known_in_both_languages() -> None:
    assert set(NAMES) == {"damages", "guards", "jobs", "states", "verdicts"}
    for name in NAMES:
        assert getattr(KOREAN, name).keys() == getattr(ENGLISH, name).keys()


def test_every_guard_of_the_product_has_a_name_and_a_reason() -> None:
    raised = all_guards()
    assert len(raised) > 40
    assert raised == KOREAN.guards.keys() == ENGLISH.guards.keys() == KOREAN.guard_reasons.keys()
    assert all(HANGUL.search(told) for told in [*KOREAN.guards.values(), *KOREAN.guard_reasons.values()])
    assert all(reason.endswith("니다.") for reason in KOREAN.guard_reasons.values())
    assert ENGLISH.guard_reasons == {}


@pytest.mark.parametrize(
    ("seconds", "korean", "english"),
    [
        (0, "0.0초", "0.0 s"),
        (9.94, "9.9초", "9.9 s"),
        (9.96, "10초", "10 s"),
        (59.4, "59초", "59 s"),
        (59.6, "1분 0초", "1 min 0 s"),
        (3599.4, "59분 59초", "59 min 59 s"),
        (3599.6, "1시간 0분", "1 h 0 min"),
        (7384, "2시간 3분", "2 h 3 min"),
        (172_799.4, "47시간 59분", "47 h 59 min"),
        (172_799.6, "2일 0시간", "2 d 0 h"),
        (1000 * 86_400, "1,000일 0시간", "1,000 d 0 h"),
    ],
)
def test_durations(seconds: float, korean: str, english: str) -> None:
    assert MessageFormatter("ko", UTC).format_duration(seconds) == korean
    assert MessageFormatter("en", UTC).format_duration(seconds) == english


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (999_949, "999.9 KB"),
        (999_950, "1.0 MB"),
        (13_240_000, "13.2 MB"),
        (5 * 10**9, "5.0 GB"),
        (7 * 10**15, "7,000.0 TB"),
    ],
)
def test_sizes(count: int, expected: str) -> None:
    assert format_size(count) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, "$0.00"), (0.00001, "< $0.0001"), (0.00123, "$0.0012"), (0.5, "$0.5000"), (1234.5, "$1,234.50")],
)
def test_costs(amount: float, expected: str) -> None:
    assert format_usd(amount) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (datetime(2025, 10, 15, tzinfo=UTC), "2025-10-15 09:00:00 KST"),
        (datetime(2025, 10, 15, 0, 0, 0, 999_999, tzinfo=UTC), "2025-10-15 09:00:00 KST"),
        (datetime(2025, 10, 15), "2025-10-15 00:00:00"),  # noqa: DTZ001 - a column without a zone
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "9999-12-31 23:00:00 UTC"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "0001-01-01 00:00:00 UTC+14:00"),
    ],
)
def test_moments(when: datetime, expected: str) -> None:
    assert MessageFormatter("ko", SEOUL).format_moment(when) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (datetime(2025, 10, 15, 5, 0, 59, tzinfo=UTC), "14:00 KST"),
        (datetime(2025, 10, 15, 5, 30), "05:30"),  # noqa: DTZ001 - of no zone
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "23:00 UTC"),
    ],
)
def test_times_of_the_clock(when: datetime, expected: str) -> None:
    assert MessageFormatter("ko", SEOUL).format_clock(when) == expected


def test_one_and_many() -> None:
    assert [MessageFormatter("en", UTC).format_rows(count) for count in (0, 1, 1234)] == [
        "0 rows",
        "1 row",
        "1,234 rows",
    ]
    assert MessageFormatter("ko", UTC).format_rows(1) == "1 rows"
