"""The one link that a message has leads where the settings say, and nothing in an address leaves it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nightshift.slack.markup import format_link, plain_text
from tests.slack.feedback_facts import HEALTHY, message, told


def test_the_dashboard_is_a_link_that_nothing_can_leave() -> None:
    (_, form, _) = message(HEALTHY).blocks
    assert form["text"]["text"].splitlines()[-1] == (
        "<https://example.com/board?from=a&amp;to=%3Cb%3E%7Cc|📊 실시간 Dashboard 보기>"
    )
    assert "Dashboard" not in told(replace(HEALTHY, dashboard_url=None))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.com", "https://example.com"),
        ("http://127.0.0.1:3000/d/1?a=1#b", "http://127.0.0.1:3000/d/1?a=1#b"),
        (" https://example.com/보드 a`b\n", "https://example.com/%EB%B3%B4%EB%93%9C%20a%60b"),
        ("https://example.com/\ud800", "https://example.com/?"),
    ],
)
def test_addresses_are_encoded(url: str, address: str) -> None:
    assert format_link(url, "보기") == f"<{address}|보기>"
    assert plain_text(format_link(url, "보기")) == "보기"


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "mailto:a@b.c", "https:///x", "!channel", "https://" + "a" * 2000]
)
def test_what_is_no_address_is_no_link(url: str) -> None:
    assert format_link(url, "보기") == "보기"
