"""Sending, over the real SDK, to a server that is as strict as Slack and fails when told to."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest
from pydantic import SecretStr

from local.slack import CHANNEL, UPLOAD, SlackServer
from nightshift.errors import NotifyError
from nightshift.slack.notifier import SlackNotifier
from nightshift.slack.retry_budget import HINTS, MAX_TRIES
from tests.slack.support import MESSAGE, POST, STEPS, TOKEN, Sender, csv


def test_a_message_arrives(slack: SlackServer, sender: Sender) -> None:
    sender.send()
    (message,) = slack.messages
    assert message.seen == "💾 DB Cleanup Report\n- 백업 수: 124 rows"
    assert message.text == message.seen
    assert slack.requests == [POST]


@pytest.mark.parametrize("channel", [CHANNEL, f"#{CHANNEL}", "C000000001"])
def test_a_file_goes_to_the_thread_by_the_channels_id(slack: SlackServer, channel: str) -> None:
    Sender(slack.url, channel).send(csv())
    (message,), (file,) = slack.messages, slack.files
    assert (file.channel, file.thread_ts) == (message.channel, message.ts)
    assert file.content == csv().content
    assert file.filename == file.title == "conversation_log_backup_20250915.csv"
    assert file.comment == ""
    assert slack.requests == [POST, *STEPS]


def test_every_file_goes(slack: SlackServer, sender: Sender) -> None:
    sender.send(csv("a.csv"), csv("b.csv"))
    assert [file.filename for file in slack.files] == ["a.csv", "b.csv"]


def test_a_file_that_was_cut_says_so(slack: SlackServer, sender: Sender) -> None:
    sender.send(csv(rows=1000, total_rows=12_345))
    assert slack.files[0].comment == "전체 12,345행 중 처음 1,000행"


def test_a_rate_limit_is_waited_for_as_long_as_slack_says(slack: SlackServer) -> None:
    slack.fail_next(POST, status=429, headers={"Retry-After": "1"}, body={"ok": False, "error": "ratelimited"})
    started = time.monotonic()
    SlackNotifier(SecretStr(TOKEN), CHANNEL, api_url=slack.url).send(MESSAGE, deadline=started + 30)
    assert time.monotonic() - started >= 1
    assert len(slack.messages) == 1


@pytest.mark.parametrize("path", [POST, *STEPS])
def test_each_request_is_asked_again_after_a_rate_limit(slack: SlackServer, sender: Sender, path: str) -> None:
    slack.fail_next(path, status=429, headers={"retry-after": "7"})
    sender.send(csv())
    assert sender.slept == [7.0]
    assert (len(slack.messages), len(slack.files)) == (1, 1)


@pytest.mark.parametrize("path", [POST, UPLOAD])
def test_a_rate_limit_beyond_the_deadline_is_not_slept_through(slack: SlackServer, sender: Sender, path: str) -> None:
    slack.fail_next(path, status=429, headers={"Retry-After": "30"})
    with pytest.raises(NotifyError, match="past the deadline") as caught:
        sender.send(csv(), seconds=20)
    assert sender.slept == []
    assert "wait 30 s" in str(caught.value)


def test_a_wait_of_hours_is_refused_even_without_a_deadline(slack: SlackServer, sender: Sender) -> None:
    slack.fail_next(POST, status=429, headers={"Retry-After": "7200"})
    with pytest.raises(NotifyError, match="past the deadline"):
        sender.send(seconds=24 * 3600)
    assert sender.slept == []


@pytest.mark.parametrize("header", ["soon", "-1", "inf", ""])
def test_a_retry_after_that_is_no_number_is_a_short_wait(slack: SlackServer, sender: Sender, header: str) -> None:
    slack.fail_next(POST, status=429, headers={"Retry-After": header})
    sender.send()
    assert sender.slept == [0.5]


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("path", [POST, *STEPS])
def test_server_errors_pass(slack: SlackServer, sender: Sender, path: str, status: int) -> None:
    slack.fail_next(path, status=status, body=b"<html>bad gateway</html>", times=2)
    sender.send(csv())
    assert sender.slept == [0.5, 1.0]
    assert (len(slack.messages), len(slack.files)) == (1, 1)


@pytest.mark.parametrize("path", [POST, *STEPS])
def test_lost_connections_pass(slack: SlackServer, sender: Sender, path: str) -> None:
    slack.fail_next(path, drop=True)
    sender.send(csv())
    assert sender.slept == [0.5]
    assert (len(slack.messages), len(slack.files)) == (1, 1)


@pytest.mark.parametrize("error", ["internal_error", "service_unavailable", "ratelimited"])
def test_errors_that_slack_calls_its_own_pass(slack: SlackServer, sender: Sender, error: str) -> None:
    slack.fail_next(POST, body={"ok": False, "error": error})
    sender.send()
    assert len(slack.messages) == 1


def test_trouble_that_does_not_pass_is_given_up(slack: SlackServer, sender: Sender) -> None:
    slack.fail_next(POST, status=500, times=MAX_TRIES)
    with pytest.raises(NotifyError) as caught:
        sender.send(seconds=600)
    assert slack.requests == [POST] * MAX_TRIES
    assert sender.slept == [0.5, 1.0, 2.0, 4.0]
    assert caught.value.detail == "chat.postMessage: HTTP 500"


@pytest.mark.parametrize("path", STEPS)
def test_a_file_that_cannot_go_does_not_take_the_message_with_it(slack: SlackServer, sender: Sender, path: str) -> None:
    slack.fail_next(path, status=500, times=MAX_TRIES)
    with pytest.raises(NotifyError, match=r"upload of conversation_log_backup_20250915\.csv: HTTP 500"):
        sender.send(csv())
    assert (len(slack.messages), len(slack.files)) == (1, 0)


@pytest.mark.parametrize("path", [STEPS[0], STEPS[2]])
def test_a_scope_that_is_missing_for_files_is_named(slack: SlackServer, sender: Sender, path: str) -> None:
    slack.fail_next(path, body={"ok": False, "error": "missing_scope", "needed": "files:write"})
    with pytest.raises(NotifyError, match="missing_scope, needed: files:write") as caught:
        sender.send(csv())
    assert caught.value.hint == "give the bot the scopes chat:write and files:write, then install it again"
    assert sender.slept == []
    assert len(slack.messages) == 1


@pytest.mark.parametrize("status", [204, 400, 403, 413])
def test_bytes_that_are_not_taken_are_a_failure(slack: SlackServer, sender: Sender, status: int) -> None:
    slack.fail_next(UPLOAD, status=status)
    with pytest.raises(NotifyError, match="upload of"):
        sender.send(csv())
    assert (len(slack.messages), slack.files, sender.slept) == (1, [], [])


@pytest.mark.parametrize("error", sorted(HINTS))
def test_what_slack_refuses_is_named_with_a_hint(slack: SlackServer, sender: Sender, error: str) -> None:
    slack.fail_next(POST, body={"ok": False, "error": error})
    with pytest.raises(NotifyError) as caught:
        sender.send()
    assert caught.value.detail == f"chat.postMessage: {error}"
    assert caught.value.hint == HINTS[error]
    assert slack.requests == [POST]


def test_slack_itself_refuses_a_wrong_token_and_channel(slack: SlackServer) -> None:
    with pytest.raises(NotifyError, match="invalid_auth"):
        Sender(slack.url, token="xoxb-another").send()
    with pytest.raises(NotifyError, match="channel_not_found"):
        Sender(slack.url, "ai-report").send()


@pytest.mark.parametrize("body", [b"<html>log in first</html>", b"", b"[]", b"\xff", b'{"ok": false}', b'{"ok": 0}'])
def test_an_answer_that_is_not_slacks(slack: SlackServer, sender: Sender, body: bytes) -> None:
    slack.fail_next(POST, body=body, times=MAX_TRIES)
    with pytest.raises(NotifyError, match=POST) as caught:
        sender.send()
    assert caught.value.hint == "another server answers: check SLACK_API_URL and any proxy"
    assert slack.messages == []


def test_no_connection() -> None:
    with SlackServer() as gone:
        url = gone.url
    sender = Sender(url)
    with pytest.raises(NotifyError, match=r"no connection.*refused") as caught:
        sender.send()
    assert len(sender.slept) == MAX_TRIES - 1
    assert "check SLACK_API_URL and any proxy; in a VPC the function" in str(caught.value.hint)


def test_a_slack_that_never_answers_is_left_by_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = Sender(f"http://127.0.0.1:{silent.getsockname()[1]}/api/")
        with pytest.raises(NotifyError, match="past the deadline"):
            sender.send(seconds=1.5)


def test_a_page_of_a_proxys_until_the_deadline(slack: SlackServer, sender: Sender) -> None:
    """What is wrong is told, though it was asked only once."""
    slack.fail_next(POST, body=b"<html>log in first</html>")
    with pytest.raises(NotifyError, match="past the deadline") as caught:
        sender.send(seconds=1.4)
    assert slack.requests == [POST]
    assert caught.value.hint == "another server answers: check SLACK_API_URL and any proxy"


def test_with_no_time_left_nobody_is_asked(slack: SlackServer, sender: Sender) -> None:
    with pytest.raises(NotifyError, match="no time left"):
        sender.send(seconds=0.5)
    assert slack.requests == []


def test_a_message_too_long_for_slack_is_refused_by_the_server(slack: SlackServer, sender: Sender) -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    with pytest.raises(NotifyError, match="invalid_blocks"):
        sender.send(message=replace(MESSAGE, blocks=(block,)))
