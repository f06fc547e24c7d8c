"""Slack cannot be told: the archive is done all the same, and the run's record says so."""

from __future__ import annotations

import logging

import pytest

from local.slack import SlackServer
from tests.support.handler import Context
from tests.support.scene import Scene

POST = "chat.postMessage"


def warned(caplog: pytest.LogCaptureFixture) -> bool:
    return any(r.levelno == logging.WARNING and r.getMessage() == "Slack was not told" for r in caplog.records)


@pytest.mark.fast_cases("ok: false")
@pytest.mark.parametrize("how", ["gone", "500", "429 for an hour", "ok: false"])
def test_the_run_is_ok_without_slack(
    scene: Scene, slack: SlackServer, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    scene.fill(300)
    match how:
        case "gone":
            slack.fail_next(POST, drop=True, times=4)
        case "500":
            slack.fail_next(POST, status=500, times=4)
        case "429 for an hour":
            slack.fail_next(POST, status=429, headers={"Retry-After": "3600"}, times=4)
        case "ok: false":
            slack.fail_next(POST, body={"ok": False, "error": "channel_not_found"}, times=4)
    # A short run: patience with Slack ends with its deadline.
    answer = scene.run_with({}, Context(seconds=5.0))
    assert POST in slack.requests and slack.messages == []
    assert warned(caplog)
    assert (answer["status"], answer["complete"]) == ("ok", True)
    assert [run["status"] for run in scene.runs()] == ["ok"]
    assert scene.archived_rows() == scene.due.total()
    assert scene.converge()["status"] == "nothing"


def test_a_rate_limit_that_passes_is_waited_for(
    scene: Scene, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    scene.fill(300)
    slack.fail_next(POST, status=429, headers={"Retry-After": "1"})
    assert scene.run()["status"] == "ok"
    assert slack.requests.count(POST) == 2
    assert len(slack.messages) == 1
    assert not warned(caplog)


def test_a_failed_run_stays_failed_without_slack(
    scene: Scene, slack: SlackServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure itself is raised, not Slack's."""
    scene.fill(300)
    slack.fail_next(POST, body={"ok": False, "error": "channel_not_found"})
    with pytest.raises(Exception, match="NoSuchBucket"):
        scene.run_with({"ARCHIVE_BUCKET": "no-such-bucket"})
    assert slack.requests == [POST]
    assert warned(caplog)
    assert [run["status"] for run in scene.runs()] == ["failed"]
    scene.converge()
