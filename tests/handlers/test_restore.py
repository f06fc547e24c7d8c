"""`restore` as Lambda runs it: through the runtime, by the events that an operator would send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from local.artefact import ROOT
from local.chatlog import TABLE, connect, create_conversation_log
from local.lambda_runtime import InvokeResult, LambdaRuntime
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from tests.support.handler import run_cleanup
from tests.support.s3_proxy import S3Proxy

ROWS = 600
COPY = f"{TABLE}_restored"
AS_OF = datetime(2025, 10, 13, tzinfo=UTC)
EVENT = {"table": TABLE}
HANDLER = "restore.app.lambda_handler"


class Archive:
    """Sixty days of conversations, the older half archived by `cleanup`, and `restore` to be invoked."""

    def __init__(self, environment: dict[str, str], s3: EmbeddedS3, slack: SlackServer) -> None:
        self.url, self.bucket, self.s3, self.slack = (
            environment["DATABASE_URL"],
            environment["ARCHIVE_BUCKET"],
            s3,
            slack,
        )
        create_conversation_log(self.url, ROWS, days=60, end=AS_OF)
        self.sql(f"CREATE TABLE before AS TABLE {TABLE}")
        self.clean()
        self.left = self.rows(TABLE)
        slack.messages.clear()
        self.env = {name: value for name, value in environment.items() if name != "POWERTOOLS_METRICS_DISABLED"}

    def clean(self) -> dict[str, Any]:
        return run_cleanup({}, {"scheduled_time": AS_OF.isoformat()})

    def invoke(self, event: object, *, endpoint: str | None = None) -> InvokeResult:
        """One call in an environment of its own."""
        with LambdaRuntime(HANDLER, {**self.env, "AWS_ENDPOINT_URL": endpoint or self.s3.endpoint}) as runtime:
            return runtime.invoke(json.dumps(event).encode())

    def restore(self, **event: object) -> dict[str, Any]:
        """The answer to an event that the function does not fail on."""
        return answer_of(self.invoke({**EVENT, **event}))

    def sql(self, statement: str) -> list[Any]:
        with closing(connect(self.url)) as connection:
            return list(connection.run(statement) or ())

    def rows(self, table: str) -> int:
        return int(self.sql(f"SELECT count(*) FROM {table}")[0][0])

    def exists(self, table: str) -> bool:
        return bool(self.sql(f"SELECT to_regclass('{table}') IS NOT NULL")[0][0])

    def untouched(self) -> bool:
        """Nothing was restored, nor the archive changed."""
        recorded = self.rows("nightshift_restored_object")
        moved = self.rows("nightshift_archive_object WHERE state <> 'archived'")
        return (self.rows(TABLE), self.exists(COPY), recorded, moved) == (self.left, False, 0, 0)

    def differences(self, whole: str) -> int:
        """How many rows of the log as it was are not in `whole` exactly once, and the other way round."""
        one, other = f"SELECT * FROM before EXCEPT ALL ({whole})", f"({whole}) EXCEPT ALL SELECT * FROM before"
        return self.rows(f"(({one}) UNION ALL ({other})) t")


@pytest.fixture
def archive(environment: dict[str, str], s3: EmbeddedS3, slack: SlackServer) -> Archive:
    return Archive(environment, s3, slack)


@pytest.fixture
def warm(archive: Archive) -> Iterator[LambdaRuntime]:
    """The function in one environment for the whole test."""
    with LambdaRuntime(HANDLER, archive.env) as runtime:
        yield runtime


def answer_of(result: InvokeResult) -> dict[str, Any]:
    assert result.error_type is None, result.logs
    answer: dict[str, Any] = result.payload
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("path", ["restore.json", "restore.dry_run.json"])
def test_the_events_that_come_along_do_what_they_say(archive: Archive, path: str) -> None:
    answer = answer_of(archive.invoke(json.loads((ROOT / "events" / path).read_bytes())))
    assert answer["job"] == "restore"
    assert answer["into"] == f"public.{COPY}"
    assert answer["restored_rows"] == ROWS - archive.left > 0
    assert answer["status"] == ("dry_run" if "dry_run" in path else "ok")
    assert answer["complete"] is ("dry_run" not in path)
    assert archive.untouched() is ("dry_run" in path)


def test_archived_rows_come_back_as_they_were_and_slack_is_told(archive: Archive) -> None:
    answer = archive.restore()
    assert archive.differences(f"TABLE {TABLE} UNION ALL TABLE {COPY}") == 0
    (message,) = archive.slack.messages
    assert message.seen.startswith("♻️ DB Restore Report\n")
    assert f"- 복원 수: {answer['restored_rows']:,} rows" in message.seen


def test_a_warm_environment_adds_nothing_the_second_time(archive: Archive, warm: LambdaRuntime) -> None:
    first, second = warm.invoke(EVENT), warm.invoke(EVENT)
    assert (first.init_ms is None, second.init_ms is None) == (False, True)
    assert answer_of(second)["status"] == "nothing"
    assert answer_of(second)["already"] == answer_of(first)["objects"] > 0
    assert archive.rows(COPY) == answer_of(first)["restored_rows"]
    assert archive.slack.messages[-1].seen.startswith("✅ 복원할 객체가 없습니다.")


@pytest.mark.slow
def test_rows_back_in_their_table_are_held_from_the_next_cleanup(archive: Archive) -> None:
    answer = archive.restore(into_original=True, hold="7d")
    assert archive.differences(f"TABLE {TABLE}") == 0
    assert datetime.fromisoformat(answer["hold_until"]) > datetime.now(UTC)
    assert "보류 기간" in archive.slack.messages[-1].seen
    assert archive.clean()["tables"][0]["deleted_rows"] == 0
    assert archive.differences(f"TABLE {TABLE}") == 0


@pytest.mark.slow
def test_the_role_allows_all_that_is_asked_of_s3(archive: Archive) -> None:
    """The role may get objects and list; a request of any other kind would be refused by AWS, not by this S3."""
    archive.s3.client().delete_object(Bucket=archive.bucket, Key=archive.s3.keys(archive.bucket)[0])
    with S3Proxy(archive.s3.endpoint) as proxy:
        answer = answer_of(archive.invoke(EVENT, endpoint=proxy.endpoint))
        assert len(proxy.seen) > answer["objects"] > 0
        assert {method for method, _ in proxy.seen} == {"GET"}
        assert all(target.startswith(f"{archive.bucket}/archive/") for _, target in proxy.seen)


@pytest.mark.slow
def test_a_damaged_object_is_named_and_the_others_come_back(archive: Archive) -> None:
    key, body = next(iter(archive.s3.objects(archive.bucket).items()))
    archive.s3.client().put_object(Bucket=archive.bucket, Key=key, Body=body[:-1] + b"X")
    answer = archive.restore()
    assert (answer["status"], answer["complete"]) == ("partial", False)
    assert [(one["key"], one["damage"]) for one in answer["damaged"]] == [(key, "altered")]
    assert 0 < archive.rows(COPY) == answer["restored_rows"] < ROWS - archive.left
    assert f"• {key}: 내용 변경됨" in archive.slack.messages[-1].seen


@pytest.mark.slow
def test_an_archive_that_is_gone_fails_by_name_and_changes_nothing(archive: Archive) -> None:
    for key in archive.s3.keys(archive.bucket):
        archive.s3.client().delete_object(Bucket=archive.bucket, Key=key)
    result = archive.invoke(EVENT)
    assert result.error_type == "ArchiveMismatch"
    assert archive.untouched()
    assert archive.slack.messages[-1].seen.startswith("🚨 DB Restore 실행 실패\n")


@pytest.mark.slow
def test_a_table_that_was_never_archived_is_refused(archive: Archive) -> None:
    answer = archive.restore(table="users")
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "unknown_table")
    assert archive.untouched()
    assert "⛔" in archive.slack.messages[-1].seen


def test_an_event_that_is_not_understood_touches_nothing(archive: Archive, warm: LambdaRuntime) -> None:
    for event in (
        {},
        {"scheduled_time": "2025-10-13T00:00:00Z"},
        {**EVENT, "dry-run": True},
        {**EVENT, "since": "last week"},
        {**EVENT, "since": "2025-09-02", "until": "2025-09-01"},
        {**EVENT, "into": "elsewhere", "into_original": True},
        {**EVENT, "hold": "7d"},
        {**EVENT, "into_original": True, "hold": "a week"},
        [EVENT],
    ):
        assert warm.invoke(json.dumps(event).encode()).error_type == "InvalidEvent", event
    assert archive.untouched()


@pytest.mark.slow
def test_its_metrics_are_its_own(archive: Archive) -> None:
    archive.env["POWERTOOLS_METRICS_NAMESPACE"] = "nightshift/teststack"
    result = archive.invoke(EVENT)
    assert answer_of(result)["status"] == "ok"
    (written,) = (json.loads(line) for line in result.logs.splitlines() if line.startswith('{"_aws"'))
    assert (written["service"], written["RunFailed"], written["RunPartial"]) == ("restore", [0.0], [0.0])
    assert written["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "nightshift/teststack"
