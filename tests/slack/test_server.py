"""The Slack of the tests refuses what Slack refuses; otherwise the other tests would prove little."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from local.slack import CHANNEL, SlackServer
from tests.slack.support import TOKEN

CHANNEL_ID = "C000000001"


def call(slack: SlackServer, method: str, given: Mapping[str, Any], token: str | None = TOKEN) -> dict[str, Any]:
    """One call, as JSON, without the SDK."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(slack.url + method, json.dumps(given).encode(), headers)
    with urllib.request.urlopen(request) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def form(slack: SlackServer, method: str, given: Mapping[str, str]) -> dict[str, Any]:
    with urllib.request.urlopen(slack.url + method, urlencode(given).encode()) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def title(text: str, kind: str = "plain_text") -> dict[str, Any]:
    return {"type": "header", "text": {"type": kind, "text": text}}


@pytest.mark.parametrize(("token", "error"), [(None, "not_authed"), ("", "not_authed"), ("xoxb-no", "invalid_auth")])
def test_tokens(slack: SlackServer, token: str | None, error: str) -> None:
    assert call(slack, "auth.test", {}, token) == {"ok": False, "error": error}
    assert call(slack, "auth.test", {})["ok"] is True


def test_a_token_may_come_in_the_form(slack: SlackServer) -> None:
    answer = form(slack, "chat.postMessage", {"token": TOKEN, "channel": CHANNEL, "text": "a", "blocks": "[]"})
    assert (answer["ok"], answer["channel"]) == (True, CHANNEL_ID)


def test_any_token_will_do_where_none_is_set() -> None:
    with SlackServer() as slack:
        assert call(slack, "auth.test", {}, "anything")["ok"] is True


def test_unknown_methods_and_paths(slack: SlackServer) -> None:
    assert call(slack, "files.upload", {})["error"] == "unknown_method"
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(slack.url.replace("/api/", "/other"), b"")
    caught.value.close()


@pytest.mark.parametrize("channel", ["nowhere", "C999999999", ""])
def test_channels(slack: SlackServer, channel: str) -> None:
    assert call(slack, "chat.postMessage", {"channel": channel, "text": "a"})["error"] == "channel_not_found"


@pytest.mark.parametrize(
    ("text", "blocks", "error"),
    [
        ("", [], "no_text"),
        ("x" * 40_001, [], "msg_too_long"),
        ("a", [section("x")] * 51, "invalid_blocks"),
        ("a", [section("x" * 3001)], "invalid_blocks"),
        ("a", [section("")], "invalid_blocks"),
        ("a", [title("x" * 151)], "invalid_blocks"),
        ("a", [title("x", "mrkdwn")], "invalid_blocks"),
        ("a", [{"type": "section", "fields": [section("x")["text"]] * 11}], "invalid_blocks"),
        ("a", [{"type": "section", "fields": [section("x" * 2001)["text"]]}], "invalid_blocks"),
        ("a", [{"type": "section"}], "invalid_blocks"),
        ("a", [{"type": "context", "elements": []}], "invalid_blocks"),
        ("a", [{"type": "marquee"}], "invalid_blocks"),
        ("a", ["x"], "invalid_blocks"),
        ("a", {"type": "section"}, "invalid_blocks"),
        ("a", [section("x" * 3000)] * 4, "msg_blocks_too_long"),
    ],
)
def test_messages_that_slack_refuses(slack: SlackServer, text: str, blocks: object, error: str) -> None:
    answer = call(slack, "chat.postMessage", {"channel": CHANNEL, "text": text, "blocks": blocks})
    assert (answer["ok"], answer["error"]) == (False, error)
    assert slack.messages == []


def test_messages_at_the_limits(slack: SlackServer) -> None:
    context = {"type": "context", "elements": [section("x")["text"]] * 10}
    fields = {"type": "section", "fields": [section("x")["text"]] * 10}
    blocks = [title("x" * 150), section("x" * 3000), {"type": "divider"}, context, fields, *[section("x")] * 45]
    assert call(slack, "chat.postMessage", {"channel": CHANNEL, "blocks": blocks})["ok"] is True
    assert slack.messages[0].blocks == tuple(blocks)


def start_upload(slack: SlackServer, length: int) -> tuple[str, str]:
    given = {"filename": "a.csv", "length": str(length)}
    answer = call(slack, "files.getUploadURLExternal", given)
    return answer["upload_url"], answer["file_id"]


def complete(slack: SlackServer, file_id: str, channel: str) -> dict[str, Any]:
    given = {"files": [{"id": file_id, "title": "a"}], "channel_id": channel}
    return call(slack, "files.completeUploadExternal", given)


def test_a_file_needs_all_three_steps(slack: SlackServer) -> None:
    assert complete(slack, "F404", CHANNEL_ID)["error"] == "file_not_found"
    url, file_id = start_upload(slack, 3)
    assert complete(slack, file_id, CHANNEL_ID)["error"] == "file_not_found"
    urllib.request.urlopen(url, b"abc").close()
    assert slack.files == []
    assert complete(slack, file_id, CHANNEL)["error"] == "invalid_arguments"
    assert complete(slack, file_id, "C999999999")["error"] == "channel_not_found"
    assert complete(slack, file_id, CHANNEL_ID)["ok"] is True
    assert complete(slack, file_id, CHANNEL_ID)["error"] == "file_not_found"
    assert [file.content for file in slack.files] == [b"abc"]


@pytest.mark.parametrize("sent", [b"ab", b"abcd"])
def test_a_file_has_as_many_bytes_as_announced(slack: SlackServer, sent: bytes) -> None:
    url, _ = start_upload(slack, 3)
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        urllib.request.urlopen(url, sent)
    caught.value.close()


def test_an_empty_file_is_refused(slack: SlackServer) -> None:
    answer = call(slack, "files.getUploadURLExternal", {"filename": "a.csv", "length": "0"})
    assert answer["error"] == "invalid_arguments"


def test_nonsense_is_answered(slack: SlackServer) -> None:
    request = urllib.request.Request(slack.url + "auth.test", b"{", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        assert json.load(response)["error"] == "invalid_json"
    with urllib.request.urlopen(slack.url + "auth.test", b"nonsense") as response:
        assert json.load(response)["error"] == "invalid_form_data"


def test_faults_come_once_and_in_order(slack: SlackServer) -> None:
    slack.fail_next("auth.test", body={"ok": False, "error": "one"})
    slack.fail_next("auth.test", body={"ok": False, "error": "two"})
    assert [call(slack, "auth.test", {}).get("error") for _ in range(3)] == ["one", "two", None]
    assert slack.requests == ["auth.test"] * 3
