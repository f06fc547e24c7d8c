"""Which notifier the settings ask for, and what becomes of a message where Slack is not set up."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aws_lambda_powertools import Logger
from pydantic import SecretStr

from local.slack import CHANNEL, SlackServer
from nightshift.settings import Settings
from nightshift.slack.messages import as_text
from nightshift.slack.notifier import ConsoleNotifier, make_notifier
from tests.slack.support import MESSAGE, TOKEN, csv

LAYER = Path(__file__).parents[2] / "layers" / "shared"


def settings(**given: str) -> Settings:
    return Settings.from_env(given)


def test_the_notifier_of_the_settings(slack: SlackServer, caplog: pytest.LogCaptureFixture) -> None:
    notifier = make_notifier(
        settings(SLACK_CHANNEL=f" {CHANNEL} ", SLACK_API_URL=slack.url.rstrip("/"), REPORT_LANGUAGE="en"),
        SecretStr(TOKEN),
        logging.getLogger("test"),
    )
    notifier.send(MESSAGE, [csv(rows=1, total_rows=2)], deadline=time.monotonic() + 30)
    assert slack.files[0].comment == "the first 1 of 2 rows"
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("token", "channel", "missing"),
    [
        (None, CHANNEL, "SLACK_BOT_TOKEN"),
        (SecretStr(" "), CHANNEL, "SLACK_BOT_TOKEN"),
        (SecretStr(TOKEN), "", "SLACK_CHANNEL"),
    ],
)
def test_what_is_missing_is_warned_of_and_the_message_logged(
    token: SecretStr | None, channel: str, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    notifier = make_notifier(settings(SLACK_CHANNEL=channel), token, logging.getLogger("test"))
    assert isinstance(notifier, ConsoleNotifier)
    notifier.send(MESSAGE, [csv()], deadline=time.monotonic())
    warning, message = caplog.records
    assert (warning.levelname, warning.getMessage()) == ("WARNING", f"Slack was not told: {missing} is not set")
    assert message.getMessage() == f"message for Slack:\n{as_text(MESSAGE)}\n[{csv().filename}]"
    assert "안녕" not in caplog.text
    assert TOKEN not in caplog.text


def test_powertools_logger_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleNotifier(Logger(service="test", stream=sys.stdout), "because").send(MESSAGE, deadline=0)
    out = capsys.readouterr().out
    assert "Slack was not told: because" in out
    assert "백업 수: 124 rows" in out


def test_slack_sdk_is_imported_on_the_first_send_only() -> None:
    program = (
        "import sys; from pydantic import SecretStr; from nightshift.slack import renderer, notifier;"
        "notifier.SlackNotifier(SecretStr('x'), 'c'); sys.exit('slack_sdk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, env={"PYTHONPATH": str(LAYER)})
    assert done.returncode == 0
