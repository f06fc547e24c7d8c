"""`cleanup` as Lambda runs it: through the runtime, by every kind of event that can reach it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.chatlog import TABLE, connect, create_conversation_log
from local.lambda_runtime import InvokeResult, LambdaRuntime
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.handlers import metrics

ROWS = 600
TOKEN = "xoxb-test"
AS_OF = datetime(2025, 10, 13, tzinfo=UTC)
SCHEDULED = {
    "scheduled_time": "2025-10-13T00:00:00Z",
    "schedule_arn": "arn:aws:scheduler:ap-northeast-2:123456789012:schedule/default/nightshift-cleanup",
}
RULE = {
    "version": "0",
    "id": "89d1a02d-5ec7-412e-82f5-13505f849b41",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2025-10-13T00:00:00Z",
    "region": "ap-northeast-2",
    "resources": ["arn:aws:events:ap-northeast-2:123456789012:rule/nightshift"],
    "detail": {},
}


class Deployed:
    """The function on its runtime, with a database of 60 days of conversations, half of them due."""

    def __init__(self, environment: dict[str, str], s3: EmbeddedS3) -> None:
        self.url, self.bucket, self._s3 = environment["DATABASE_URL"], environment["ARCHIVE_BUCKET"], s3
        create_conversation_log(self.url, ROWS, days=60, end=AS_OF)
        self.runtime = LambdaRuntime("cleanup.app.lambda_handler", metrics.measured(environment))

    def invoke(self, event: object) -> InvokeResult:
        return self.runtime.invoke(json.dumps(event).encode())

    def rows(self) -> int:
        return int(self._value(f"SELECT count(*) FROM {TABLE}"))

    def own_tables(self) -> int:
        return int(self._value("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'nightshift%'"))

    def keys(self) -> list[str]:
        return self._s3.keys(self.bucket)

    def _value(self, sql: str) -> Any:
        connection = connect(self.url)
        try:
            return connection.run(sql)[0][0]
        finally:
            connection.close()


@pytest.fixture
def deployed(environment: dict[str, str], s3: EmbeddedS3) -> Iterator[Deployed]:
    function = Deployed(environment, s3)
    with function.runtime:
        yield function


def answer_of(result: InvokeResult) -> dict[str, Any]:
    assert result.error_type is None, result.logs
    answer: dict[str, Any] = result.payload
    return answer


@pytest.mark.fast_cases("schedule")
@pytest.mark.parametrize("event", [SCHEDULED, RULE], ids=["schedule", "rule"])
def test_a_scheduled_run_archives_and_deletes_what_is_due(deployed: Deployed, event: dict[str, Any]) -> None:
    answer = answer_of(deployed.invoke(event))
    (table,) = answer["tables"]
    assert answer | {"job": "cleanup", "status": "ok", "as_of": "2025-10-13T00:00:00Z", "complete": True} == answer
    assert table["table"] == "public.conversation_log"
    assert table["archived_rows"] == table["deleted_rows"] == ROWS - deployed.rows() > 0
    assert table["objects"] == len(deployed.keys()) > 0


@pytest.mark.slow
def test_a_warm_environment_finds_nothing_the_second_time(deployed: Deployed) -> None:
    first = deployed.invoke(SCHEDULED)
    rows, keys = deployed.rows(), deployed.keys()
    second = deployed.invoke(SCHEDULED)
    assert (first.init_ms is None, second.init_ms is None) == (False, True)
    assert answer_of(second)["status"] == "nothing"
    assert (deployed.rows(), deployed.keys()) == (rows, keys)


def test_a_dry_run_writes_nothing(deployed: Deployed) -> None:
    answer = answer_of(deployed.invoke({**SCHEDULED, "dry_run": True}))
    assert answer["status"] == "dry_run"
    assert answer["tables"][0]["estimate"]["rows"] > 0
    assert (deployed.rows(), deployed.keys(), deployed.own_tables()) == (ROWS, [], 0)


@pytest.mark.fast_cases("unknown key]", "future")
@pytest.mark.parametrize(
    "event",
    [
        {**SCHEDULED, "dry-run": True},
        {"scheduled_time": "yesterday"},
        {"scheduled_time": "2999-01-01T00:00:00Z"},
        {"scheduled_time": 1760313600},
        {**RULE, "detail": {"table": "users"}},
        ["scheduled_time"],
        "2025-10-13T00:00:00Z",
    ],
    ids=["unknown key", "no time", "future", "number", "rule with unknown key", "list", "text"],
)
def test_an_event_that_is_not_understood_touches_nothing(deployed: Deployed, event: object) -> None:
    result = deployed.invoke(event)
    assert result.error_type == "InvalidEvent"
    assert (deployed.rows(), deployed.keys(), deployed.own_tables()) == (ROWS, [], 0)


def test_a_wrong_setting_fails_by_name_and_touches_nothing(environment: dict[str, str], s3: EmbeddedS3) -> None:
    function = Deployed({**environment, "LOG_RETENTION_DAYS": "thirty", "SLACK_CSV_ROWS": "0"}, s3)
    with function.runtime:
        result = function.invoke(SCHEDULED)
    assert result.error_type == "InvalidSettings"
    assert "LOG_RETENTION_DAYS" in str(result.error_message)
    assert "SLACK_CSV_ROWS" in str(result.error_message)
    assert (function.rows(), function.keys(), function.own_tables()) == (ROWS, [], 0)


@pytest.mark.slow
def test_the_slack_reader_is_told(environment: dict[str, str], s3: EmbeddedS3) -> None:
    with SlackServer(token=TOKEN) as slack:
        function = Deployed({**environment, **slack_variables(slack)}, s3)
        with function.runtime:
            answer = answer_of(function.invoke(SCHEDULED))
        (message,), (file,) = slack.messages, slack.files
    assert f"{answer['tables'][0]['archived_rows']:,} rows" in message.seen
    assert file.filename == "conversation_log_backup_20250913.csv"


def test_every_alarm_looks_at_a_metric_that_the_function_writes(environment: dict[str, str], s3: EmbeddedS3) -> None:
    with SlackServer(token="xoxb-another") as slack:
        function = Deployed({**environment, **slack_variables(slack)}, s3)
        with function.runtime:
            result = function.invoke(SCHEDULED)
    assert answer_of(result)["status"] == "ok"
    assert metrics.alarmed("cleanup") == {"NotifyFailed", "OldestOverdueSeconds", "RunRefused"}
    assert metrics.alarmed("cleanup") <= metrics.names("cleanup", metrics.written(result))


def slack_variables(slack: SlackServer) -> dict[str, str]:
    return {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": CHANNEL, "SLACK_API_URL": slack.url}
