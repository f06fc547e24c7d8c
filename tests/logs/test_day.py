"""What the settings name is saved, and what could not be is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from nightshift.errors import InvalidSettings, StoreError
from nightshift.logs.cloudwatch import CloudWatch
from nightshift.logs.day import DayLogs, retain, save_day
from nightshift.logs.groups import GroupProgress
from nightshift.logs.sink import Sink
from nightshift.logs.window import day_before
from nightshift.settings import Settings
from nightshift.store import Store, make_client
from tests.logs.conftest import FOLDER, Shelf, logs_client
from tests.support.logs_server import LogsServer, Trouble
from tests.support.s3_faults import access_denied
from tests.support.s3_proxy import S3Proxy

AS_OF = datetime(2025, 10, 20, 15, tzinfo=UTC)
START = day_before(AS_OF, "Asia/Seoul").start_ms


def save(shelf: Shelf, *, seconds: float = 60, before: dict[str, GroupProgress] | None = None, **env: str) -> DayLogs:
    settings, deadline = Settings.from_env(env), time.monotonic() + seconds
    cloudwatch = CloudWatch(logs_client)
    return save_day(settings, shelf.sink, as_of=AS_OF, deadline=deadline, before=before, cloudwatch=cloudwatch)


def test_groups_and_files(logs: LogsServer, shelf: Shelf, tmp_path: Path) -> None:
    for group in ("/a", "/b"):
        logs.add(group, START, group)
    (tmp_path / "app.log").write_bytes(b"one\ntwo\n")

    day = save(
        shelf, BACKUP_LOG_GROUPS="/a, /b, /gone", BACKUP_LOG_DIRECTORY=str(tmp_path), BACKUP_LOG_RETENTION_DAYS="30"
    )

    rows = shelf.rows(day.parts)
    assert [row["message"] for row in rows if "message" in row] == ["/a", "/b"]
    assert [row["content"] for row in rows if "content" in row] == [b"one\n", b"two\n"]
    assert (day.events, len(day.parts)) == (4, 4)
    assert day.missing == ("log group /gone is not saved: CloudWatch Logs: ResourceNotFoundException",)
    assert [group.retention for group in logs.groups.values()] == [None, None], "that waits for the manifest"


def test_nothing_is_named_and_nothing_is_done(logs: LogsServer, shelf: Shelf) -> None:
    assert save(shelf) == DayLogs()
    assert logs.requests == []


def test_what_is_left_is_told_and_gone_on_with(logs: LogsServer, shelf: Shelf) -> None:
    event = logs.add("/a", START, "x")
    first = save(shelf, seconds=-1, BACKUP_LOG_GROUPS="/a")
    assert first.missing == ("log group /a is not saved whole: the time was over",) and first.left == ("/a",)
    again = save(shelf, before={group.group: group for group in first.groups}, BACKUP_LOG_GROUPS="/a")
    assert [row["event_id"] for row in shelf.rows(again.parts)] == [event["eventId"]] and again.missing == ()


def test_an_impossible_retention_is_refused_before_anything_is_saved(logs: LogsServer, shelf: Shelf) -> None:
    logs.add("/a", START, "x")
    with pytest.raises(InvalidSettings):
        save(shelf, BACKUP_LOG_GROUPS="/a", BACKUP_LOG_RETENTION_DAYS="31")
    assert logs.requests == []


def test_an_s3_that_refuses_is_no_missing_log(
    logs: LogsServer, shelf: Shelf, clean_environment: pytest.MonkeyPatch
) -> None:
    """Where logs cannot be written, neither can the manifest: the run fails, and is repeated."""
    logs.add("/a", START, "x")
    with S3Proxy(shelf.s3.endpoint) as proxy:
        clean_environment.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        denied = proxy.inject(access_denied(), method="PUT")
        behind = Sink(Store(cache(make_client), shelf.sink.store.bucket), FOLDER, "0199/logs")
        with pytest.raises(StoreError):
            save(Shelf(behind, shelf.s3), BACKUP_LOG_GROUPS="/a")
        assert denied.fired == 1


def test_retention_is_for_groups_whose_day_was_saved(logs: LogsServer, shelf: Shelf) -> None:
    for group in ("/a", "/b", "/c"):
        logs.add(group, START, group)
    settings = Settings.from_env({"BACKUP_LOG_RETENTION_DAYS": "30"})
    logs.fail_next(None, Trouble.DENIED)  # of /b
    day = save(shelf, BACKUP_LOG_GROUPS="/a,/b,/c")

    logs.fail_next(None, None, Trouble.DENIED)  # /a is looked up and set, /c is not looked up
    deadline, asked = time.monotonic() + 60, CloudWatch(logs_client)
    warnings = retain(settings, day, deadline=deadline, cloudwatch=asked)

    assert logs.suffered == [Trouble.DENIED] * 2
    assert {name: group.retention for name, group in logs.groups.items()} == {"/a": 30, "/b": None, "/c": None}
    assert warnings == ("log group /c: its retention was not set: CloudWatch Logs: AccessDeniedException",)
    assert retain(Settings.from_env({}), day, deadline=deadline) == ()
