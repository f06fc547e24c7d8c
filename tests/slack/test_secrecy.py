"""The token is in no error, no log and no repr, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback

import pytest

from local.slack import SlackServer
from nightshift.errors import NotifyError
from nightshift.slack.retry_budget import MAX_TRIES
from tests.slack.support import POST, STEPS, TOKEN, Sender, csv


@pytest.mark.parametrize("token", ["xoxb-with\nnewline", "xoxb-with space", "xoxb-키", "\x7f"])
def test_a_token_that_is_not_one_is_not_quoted(slack: SlackServer, token: str) -> None:
    with pytest.raises(NotifyError, match="is not one") as caught:
        Sender(slack.url, token=token).send()
    assert token not in whole_story(caught.value)
    assert caught.value.hint == "check SLACK_BOT_TOKEN or the secret's contents"
    assert slack.requests == []


def test_blanks_around_a_token_do_no_harm(slack: SlackServer) -> None:
    Sender(slack.url, token=f" {TOKEN}\n").send()
    assert len(slack.messages) == 1


def whole_story(error: BaseException) -> str:
    """All that a log could ever show of an error, its causes and their attributes included."""
    story = "".join(traceback.format_exception(error))
    while error.__context__ is not None:
        error = error.__context__
        story += repr(vars(error))
    return story


FAULTS = [
    {"status": 429, "headers": {"Retry-After": "900"}},
    {"status": 500},
    {"status": 404, "body": f"no such thing for {TOKEN}".encode()},
    {"drop": True},
    {"body": {"ok": False, "error": "invalid_auth"}},
    {"body": {"ok": False, "error": TOKEN, "needed": TOKEN}},
    {"body": b"[]"},
]


@pytest.mark.parametrize("path", [POST, *STEPS])
@pytest.mark.parametrize("fault", FAULTS, ids="-".join)
def test_the_token_is_nowhere(
    slack: SlackServer, sender: Sender, caplog: pytest.LogCaptureFixture, path: str, fault: dict[str, object]
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.fail_next(path, times=MAX_TRIES, **fault)  # type: ignore[arg-type]
    with pytest.raises(NotifyError) as caught:
        sender.send(csv())
    assert TOKEN not in whole_story(caught.value)
    assert caught.value.__context__ is None
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(sender.notifier) + repr(vars(sender.notifier))
