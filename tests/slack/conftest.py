"""A Slack per test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.slack import SlackServer
from tests.slack.support import TOKEN, Sender

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A Slack that knows one token and one channel."""
    with SlackServer(token=TOKEN) as server:
        yield server


@pytest.fixture
def sender(slack: SlackServer) -> Sender:
    return Sender(slack.url)
