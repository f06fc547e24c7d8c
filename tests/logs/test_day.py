"""What the settings name is saved, and what could not be is told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nightshift.errors import InvalidSettings, StoreError
from nightshift.logs.cloudwatch import RETENTION_DAYS, CloudWatchLogs
from nightshift.logs.day import DayLogs, apply_log_retention, check_settings, save_day
from nightshift.logs.groups import GroupProgress
from nightshift.logs.late import CLOCKS_APART_MS, EarlierLogs
from nightshift.logs.log_uploader import LogUploader
from nightshift.logs.window import day_before
from nightshift.settings import Settings
from nightshift.store import ObjectStore, ObjectWriter, make_client
from tests.logs.conftest import FOLDER, Shelf, logs_client
from tests.support.logs_server import LogsServer, Trouble
from tests.support.s3_faults import access_denied
from tests.support.s3_proxy import S3Proxy

AS_OF = datetime(2025, 10, 20, 15, tzinfo=UTC)
START = day_before(AS_OF, "Asia/Seoul").start_ms
DAY_MS = 86_400_000
DENIED = (
    "CloudWatch Logs: AccessDeniedException: 400 AccessDeniedException (the role needs logs:FilterLogEvents on the"
    " group, and for its retention logs:DescribeLogGroups and logs:PutRetentionPolicy)"
)


def save(
    shelf: Shelf,
    *,
    seconds: float = 60,
    as_of: datetime = AS_OF,
    previous: datetime | None = None,
    before: dict[str, GroupProgress] | None = None,
    earlier: EarlierLogs | None = None,
    **env: str,
) -> DayLogs:
    return save_day(
        Settings.from_env(env),
        shelf.sink,
        as_of=as_of,
        deadline=time.monotonic() + seconds,
        previous=previous,
        earlier=earlier,
        before=before,
        cloudwatch=CloudWatchLogs(logs_client),
    )


def rows_of(day: DayLogs) -> int:
    return sum(part.rows for part in day.parts)


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
    assert (rows_of(day), len(day.parts)) == (4, 4)
    (missing,) = day.missing
    assert missing.startswith("log group /gone is not saved: CloudWatch Logs: ResourceNotFoundException: ")
    assert missing.endswith("(correct BACKUP_LOG_GROUPS: there is no such log group in this region)")
    assert [group.retention for group in logs.groups.values()] == [None, None], "that waits for the manifest"


def test_nothing_is_named_and_nothing_is_done(logs: LogsServer, shelf: Shelf) -> None:
    assert save(shelf) == DayLogs()
    assert logs.requests == []


def test_what_is_left_is_told_and_gone_on_with(logs: LogsServer, shelf: Shelf) -> None:
    event = logs.add("/a", START, "x")
    first = save(shelf, seconds=-1, BACKUP_LOG_GROUPS="/a")
    said = "log group /a from 2025-10-19T15:00:00Z on: the time was over, the next backup goes on there"
    assert first.missing == (said,)
    again = save(shelf, before={mark.group: mark for mark in first.later}, BACKUP_LOG_GROUPS="/a")
    assert [row["event_id"] for row in shelf.rows(again.parts)] == [event["eventId"]] and again.missing == ()


def test_the_next_day_goes_on(logs: LogsServer, make_shelf: Callable[[int], Shelf]) -> None:
    """With every event that is not saved yet, once."""
    shelf = make_shelf(1)  # a part for each page
    events = [logs.add("/a", START + at, str(at))["eventId"] for at in (0, 1, 1, 1, 2, 3)]
    events.append(logs.add("/a", START + DAY_MS, "tomorrow")["eventId"])
    logs.page_size, logs.empty_pages = 3, 0
    logs.fail_next(None, Trouble.DENIED)
    first = save(shelf, BACKUP_LOG_GROUPS="/a")
    assert logs.suffered == [Trouble.DENIED]
    assert first.missing == (f"log group /a is saved in part: {DENIED}",)
    (mark,) = first.later
    assert (mark.parts, mark.last_ms, list(mark.ids)) == ((), START + 1, events[1:3])
    again = save(shelf, as_of=AS_OF + timedelta(days=1), previous=AS_OF, before={"/a": mark}, BACKUP_LOG_GROUPS="/a")
    assert [row["event_id"] for row in shelf.rows([*first.parts, *again.parts])] == events
    assert (again.later, again.missing) == ((), ())


def earlier(*ids: str, start: int = START, read: int = START + DAY_MS, refused: bool = False) -> EarlierLogs:
    """What a backup holds that read at a time."""

    def saved_ids(group: str, since_ms: int) -> frozenset[str]:
        assert (group, since_ms) == ("/a", read - CLOCKS_APART_MS)
        if refused:
            raise StoreError("S3 did not answer")
        return frozenset(ids)

    return EarlierLogs(start, read, saved_ids)


def test_events_that_came_late_are_the_next_backup_s(logs: LogsServer, shelf: Shelf) -> None:
    """By when they were ingested, and by their ids where that is about when the backup before read."""
    hour = 3_600_000
    logs.add("/a", START + 1, "in time")
    near = logs.add("/a", START + 2, "in time, just", delay=DAY_MS - 60_000)
    unseen = logs.add("/a", START + 3, "ingested, not visible yet", delay=DAY_MS - 60_000)
    late = logs.add("/a", START + 4, "late", delay=DAY_MS + hour)
    latest = logs.add("/a", START + DAY_MS - 1, "later", delay=5 * hour)
    logs.add("/a", START - 1, "of another day", delay=2 * DAY_MS)
    today = logs.add("/a", START + DAY_MS, "today")
    asked: dict[str, Any] = {"as_of": AS_OF + timedelta(days=1), "previous": AS_OF, "BACKUP_LOG_GROUPS": "/a"}

    day = save(shelf, earlier=earlier(near["eventId"]), **asked)

    saved = {row["event_id"] for row in shelf.rows(day.parts)}
    assert saved == {one["eventId"] for one in (unseen, late, latest, today)}
    assert (rows_of(day), day.missing, day.warnings) == (4, (), ())
    assert ["/a_late/" in part.key for part in day.parts] == [False, True]


def test_late_events_of_a_backup_that_cannot_be_read_are_saved_again(logs: LogsServer, shelf: Shelf) -> None:
    logs.add("/a", START + 4, "late", delay=DAY_MS)
    asked: dict[str, Any] = {"as_of": AS_OF + timedelta(days=1), "previous": AS_OF, "BACKUP_LOG_GROUPS": "/a"}

    day = save(shelf, earlier=earlier(refused=True), **asked)

    assert rows_of(day) == 1 and day.missing == ()
    (warning,) = day.warnings
    assert warning.startswith("log group /a: events that arrived late may be in two backups:")
    assert warning.endswith("S3 did not answer")


def test_late_events_that_cloudwatch_does_not_tell(logs: LogsServer, shelf: Shelf) -> None:
    logs.add("/a", START + DAY_MS, "today")
    logs.page_size, logs.empty_pages = 10, 0
    logs.fail_next(None, Trouble.DENIED)
    asked: dict[str, Any] = {"as_of": AS_OF + timedelta(days=1), "previous": AS_OF, "BACKUP_LOG_GROUPS": "/a"}

    day = save(shelf, earlier=earlier(), **asked)

    assert logs.suffered == [Trouble.DENIED]
    why = DENIED
    assert rows_of(day) == 1
    assert day.missing == (f"log group /a: late events of the backup before were not all looked for: {why}",)


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_late_events_behind_a_page_that_names_itself_as_the_next(logs: LogsServer, shelf: Shelf, pages: int) -> None:
    """The look ends, and says so: to ask for such a page again and again would cost the night."""
    logs.page_size, logs.empty_pages = 2, 0
    late = [logs.add("/a", START + at, str(at), delay=DAY_MS)["eventId"] for at in range(6)]
    today = logs.add("/a", START + DAY_MS, "today")["eventId"]
    same = [Trouble.SAME_TOKEN] * (1 if pages else 2)
    logs.fail_next(*[None] * (1 + pages), *same)
    asked: dict[str, Any] = {"as_of": AS_OF + timedelta(days=1), "previous": AS_OF, "BACKUP_LOG_GROUPS": "/a"}

    day = save(shelf, earlier=earlier(), **asked)

    assert logs.suffered == same and len(logs.requests) == 1 + pages + len(same)
    assert sorted(row["event_id"] for row in shelf.rows(day.parts)) == sorted([*late[: 2 * pages], today])
    why = "CloudWatch Logs: the same page again and again"
    assert day.missing == (f"log group /a: late events of the backup before were not all looked for: {why}",)


@pytest.mark.parametrize("token", [True, False])
def test_late_events_behind_empty_pages(logs: LogsServer, shelf: Shelf, token: bool) -> None:
    """An empty page with another page's name is none that repeats itself; neither is a full one, whatever it names."""
    logs.page_size, logs.empty_pages = 2, 2 if token else 0
    late = [logs.add("/a", START + at, str(at), delay=DAY_MS)["eventId"] for at in range(6)]
    asked: dict[str, Any] = {"as_of": AS_OF + timedelta(days=1), "previous": AS_OF, "BACKUP_LOG_GROUPS": "/a"}

    day = save(shelf, earlier=earlier(), **asked)

    assert [row["event_id"] for row in shelf.rows(day.parts)] == late and day.missing == ()


def test_events_that_came_out_of_order_are_all_looked_at_again() -> None:
    begun = GroupProgress(group="/a", last_ms=START + 9, ids=("x",), ordered=False)
    assert begun.later(START) == GroupProgress(group="/a", last_ms=START)
    assert GroupProgress(group="/a").later(START) == GroupProgress(group="/a", last_ms=START)


def test_nights_without_a_backup(logs: LogsServer, shelf: Shelf, tmp_path: Path) -> None:
    """Their days are saved with the next one's, groups and files alike."""
    days = [logs.add("/a", START - days * DAY_MS, str(days))["eventId"] for days in range(4)]
    (tmp_path / "app.log").write_bytes(b"rotated\n")
    os.utime(tmp_path / "app.log", ns=(0, (START - 2 * DAY_MS) * 1_000_000))
    named: dict[str, Any] = {"BACKUP_LOG_GROUPS": "/a", "BACKUP_LOG_DIRECTORY": str(tmp_path)}
    assert [row["event_id"] for row in shelf.rows(save(shelf, **named).parts)] == days[:1]
    rows = shelf.rows(save(shelf, previous=AS_OF - timedelta(days=3), **named).parts)
    assert sorted(row["event_id"] for row in rows if "event_id" in row) == days[:3]
    assert [row["content"] for row in rows if "content" in row] == [b"rotated\n"]


def test_a_directory_that_ran_out_of_time(logs: LogsServer, shelf: Shelf, tmp_path: Path) -> None:
    """The next day takes files that nobody has written to since."""
    (tmp_path / "app.log").write_bytes(b"one\n")
    os.utime(tmp_path / "app.log", ns=(0, START * 1_000_000))
    first = save(shelf, seconds=-1, BACKUP_LOG_DIRECTORY=str(tmp_path))
    before = {mark.group: mark for mark in first.later}
    again = save(
        shelf, as_of=AS_OF + timedelta(days=1), previous=AS_OF, before=before, BACKUP_LOG_DIRECTORY=str(tmp_path)
    )
    assert (rows_of(first), rows_of(again), again.later) == (0, 1, ())


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
        writer = ObjectWriter(ObjectStore(cache(make_client), shelf.sink.writer.store.bucket))
        behind = LogUploader(writer, FOLDER, "0199/logs")
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
    deadline, asked = time.monotonic() + 60, CloudWatchLogs(logs_client)
    warnings = apply_log_retention(settings, day, deadline=deadline, cloudwatch=asked)

    assert logs.suffered == [Trouble.DENIED] * 2
    assert {name: group.retention for name, group in logs.groups.items()} == {"/a": 30, "/b": None, "/c": None}
    assert warnings == (f"log group /c: its retention was not set: {DENIED}",)
    assert apply_log_retention(Settings.from_env({}), day, deadline=deadline) == ()


def test_days_that_cloudwatch_does_not_take_are_refused_before_anything_happens() -> None:
    for days in RETENTION_DAYS:
        check_settings(Settings.from_env({"BACKUP_LOG_RETENTION_DAYS": str(days)}))
    with pytest.raises(InvalidSettings, match="should be one of 1, 3, 5") as raised:
        check_settings(Settings.from_env({"BACKUP_LOG_RETENTION_DAYS": str(31)}))
    assert "CloudWatch Logs takes no other" in str(raised.value.hint)
