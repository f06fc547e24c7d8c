"""CloudWatch log groups: every event of the day is saved once, whatever CloudWatch answers, whenever we are stopped."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nightshift.logs import cloudwatch
from nightshift.logs.cloudwatch import TRIES, CloudWatchLogs
from nightshift.logs.day import DayLogs, apply_log_retention
from nightshift.logs.groups import GroupProgress, GroupsSaved, save_groups
from nightshift.logs.log_uploader import LogUploader, SavedPart
from nightshift.logs.window import day_before
from nightshift.rows.parquet import ParquetFile
from nightshift.rows.reader import ArchiveFile
from nightshift.settings import Settings
from tests.logs.conftest import FOLDER, Shelf, logs_client
from tests.support.logs_server import LogsServer, Trouble

GROUP = "/aws/lambda/app"
WINDOW = day_before(datetime(2025, 10, 20, 15, tzinfo=UTC), "Asia/Seoul")
START, END = WINDOW.start_ms, WINDOW.end_ms
GONE = (
    "CloudWatch Logs: ResourceNotFoundException: The specified log group does not exist."
    " (correct BACKUP_LOG_GROUPS: there is no such log group in this region)"
)


def save(shelf: Shelf, *groups: str, slept: list[float] | None = None, seconds: float = 60, **more: Any) -> GroupsSaved:
    asked = CloudWatchLogs(logs_client, sleep=(slept if slept is not None else []).append)
    deadline = time.monotonic() + seconds
    return save_groups(asked, shelf.sink, groups or (GROUP,), WINDOW, deadline=deadline, **more)


def fill(logs: LogsServer, count: int, *, group: str = GROUP, seed: int = 1) -> list[str]:
    """Events all over the day, many of one millisecond; their ids, sorted."""
    chance = random.Random(seed)
    times = [chance.randrange(START, END, 3_600_000) + chance.randrange(3) for _ in range(count)]
    return sorted(logs.add(group, at, f"event {n}", stream=f"s{n % 3}")["eventId"] for n, at in enumerate(times))


def ids(shelf: Shelf, saved: GroupsSaved) -> list[str]:
    return sorted(row["event_id"] for row in shelf.rows(saved.parts))


def test_the_day_before_in_the_zone() -> None:
    assert (WINDOW.start.isoformat(), WINDOW.end.isoformat()) == (
        "2025-10-19T15:00:00+00:00",
        "2025-10-20T15:00:00+00:00",
    )
    assert START == 1_760_886_000_000
    long_day = day_before(datetime(2025, 10, 27, tzinfo=UTC), "Europe/Berlin")
    assert long_day.end - long_day.start == timedelta(hours=25)


def test_an_event_comes_as_it_was(logs: LogsServer, shelf: Shelf) -> None:
    event = logs.add(GROUP, START + 1, "안녕 \ud800 \x00\n", stream="2025/10/20/[$LATEST]a", delay=70)

    saved = save(shelf)

    (row,) = shelf.rows(saved.parts)
    assert row == {
        "timestamp": datetime.fromtimestamp((START + 1) / 1000, UTC),
        "stream": "2025/10/20/[$LATEST]a",
        "message": "안녕 \ufffd \x00\n",
        "ingestion_time": datetime.fromtimestamp((START + 71) / 1000, UTC),
        "event_id": event["eventId"],
    }
    (part,) = saved.parts
    assert part.key.startswith("0199/logs/aws_lambda_app/part-00001-") and part.rows == 1
    file = ArchiveFile(shelf.sink.writer.store.get_object(FOLDER + part.key))
    assert file.columns[0].type_name == "timestamp(3) with time zone"
    assert file.metadata["nightshift.log_group"] == GROUP


def test_the_day_s_first_and_last_millisecond_and_nothing_beside(logs: LogsServer, shelf: Shelf) -> None:
    """`endTime` belongs to FilterLogEvents' range: the next night's run has the midnight."""
    inside = [logs.add(GROUP, at, "in")["eventId"] for at in (START, END - 1)]
    for at in (START - 1, END):
        logs.add(GROUP, at, "out")
    assert ids(shelf, save(shelf)) == inside


def test_many_pages_some_of_them_empty(logs: LogsServer, shelf: Shelf) -> None:
    expected = fill(logs, 200)
    saved = save(shelf)
    assert ids(shelf, saved) == expected
    assert len(saved.parts) == 1 and saved.left == saved.missing == ()
    assert len(logs.requests) > 25, "pages were empty in between"
    times = [row["timestamp"] for row in shelf.rows(saved.parts)]
    assert times == sorted(times)


def test_parts_are_bounded(logs: LogsServer, make_shelf: Callable[[int], Shelf]) -> None:
    shelf = make_shelf(4000)
    expected = fill(logs, 200)
    saved = save(shelf)
    assert ids(shelf, saved) == expected
    assert len(saved.parts) > 5 and max(part.rows for part in saved.parts) <= 40
    assert len({part.key for part in saved.parts}) == len(saved.parts)


def test_a_group_without_events(logs: LogsServer, shelf: Shelf) -> None:
    logs.add(GROUP, START - 1, "yesterday's")
    saved = save(shelf)
    assert (saved.parts, saved.left, saved.missing, saved.groups[0].done) == ((), (), (), True)


def test_a_group_that_cannot_be_read_does_not_stop_the_others(logs: LogsServer, shelf: Shelf) -> None:
    expected = fill(logs, 3)
    saved = save(shelf, "/app/gone", GROUP)
    assert ids(shelf, saved) == expected and saved.left == ()
    assert saved.missing == (f"log group /app/gone is not saved: {GONE}",)


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.UNAVAILABLE, Trouble.CUT, Trouble.GARBLED])
def test_what_passes_is_waited_for(logs: LogsServer, shelf: Shelf, trouble: Trouble) -> None:
    expected = fill(logs, 30)
    slept: list[float] = []
    logs.fail_next(None, trouble, trouble, trouble)

    saved = save(shelf, slept=slept)

    assert logs.suffered == [trouble] * 3
    assert slept == [0.5, 1.0, 2.0]
    assert ids(shelf, saved) == expected


def test_patience_ends(logs: LogsServer, make_shelf: Callable[[int], Shelf]) -> None:
    """What was read before is saved all the same, and it is told that there was more."""
    fill(logs, 100)
    shelf = make_shelf(1000)
    slept: list[float] = []
    logs.fail_next(*[None] * 4, *[Trouble.THROTTLED] * TRIES)

    saved = save(shelf, slept=slept)

    assert len(logs.suffered) == TRIES == len(slept) + 1
    (missing,) = saved.missing
    assert missing.startswith(f"log group {GROUP} is saved in part: CloudWatch Logs: ThrottlingException: ")
    assert missing.endswith("(the next run tries again)")
    assert 0 < sum(part.rows for part in saved.parts) < 100 and saved.left == ()


def test_a_refusal_is_not_asked_twice(logs: LogsServer, shelf: Shelf) -> None:
    fill(logs, 1)
    logs.fail_next(Trouble.DENIED)
    assert "AccessDeniedException" in save(shelf).missing[0]
    assert len(logs.requests) == 1


def test_a_page_that_names_itself_is_no_way_on(logs: LogsServer, shelf: Shelf) -> None:
    fill(logs, 100)
    logs.fail_next(None, *[Trouble.SAME_TOKEN] * 2)
    (missing,) = save(shelf).missing
    assert "the same page again and again" in missing


def test_throttled_at_the_deadline_the_next_invocation_goes_on(
    logs: LogsServer, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fill(logs, 100)
    logs.fail_next(None, None, Trouble.THROTTLED)
    with monkeypatch.context() as patience:
        patience.setattr(cloudwatch, "PAUSE_S", 3600.0)  # more than is left
        first = save(shelf)

    assert logs.suffered == [Trouble.THROTTLED] and first.left == (GROUP,)
    assert 0 < sum(part.rows for part in first.parts) < 100
    again = save(shelf, before={GROUP: first.groups[0].later(START)})
    assert again.left == () and sorted([*ids(shelf, first), *ids(shelf, again)]) == expected


@dataclass(frozen=True, slots=True)
class ForgetfulUploader(LogUploader):
    """Has CloudWatch forget every token once a part of one of these numbers is saved, the first time; None: at all."""

    logs: LogsServer | None = None
    after: set[int] | None = None

    def upload_part(self, name: str, number: int, file: ParquetFile) -> SavedPart:
        assert self.logs is not None
        part = LogUploader.upload_part(self, name, number, file)
        if self.after is None or number in self.after:
            self.logs.expire_tokens()
            (self.after or set()).discard(number)
        return part


def forgetful(shelf: Shelf, logs: LogsServer, after: set[int] | None) -> Shelf:
    sink = shelf.sink
    return Shelf(ForgetfulUploader(sink.writer, sink.folder, sink.below, sink.part_bytes, logs, after), shelf.s3)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_lost_token_is_gone_on_from_behind_the_last_part(
    logs: LogsServer, make_shelf: Callable[[int], Shelf], parts: int
) -> None:
    """By time: of one millisecond's events some are saved and some are not."""
    shelf = make_shelf(3000)
    expected = fill(logs, 300)

    saved = save(forgetful(shelf, logs, {parts}))

    assert ids(shelf, saved) == expected
    began, again = dict.fromkeys(given["startTime"] for _, given in logs.requests)
    assert (began, saved.missing) == (START, ())
    assert again == max(row["timestamp"].timestamp() * 1000 for row in shelf.rows(saved.parts[:parts]))


def test_a_token_that_is_lost_again_and_again_ends_the_group(
    logs: LogsServer, make_shelf: Callable[[int], Shelf]
) -> None:
    """Saved events stay saved, and the next backup continues after the last saved event."""
    shelf = make_shelf(3000)
    expected = fill(logs, 300)
    first = save(forgetful(shelf, logs, None))
    (missing,) = first.missing
    assert missing.startswith(f"log group {GROUP} is saved in part: CloudWatch Logs: InvalidParameterException")
    again = save(shelf, before={GROUP: first.groups[0].later(START)})
    assert sorted([*ids(shelf, first), *ids(shelf, again)]) == expected


def test_events_out_of_order_and_a_lost_token_begin_anew(logs: LogsServer, make_shelf: Callable[[int], Shelf]) -> None:
    shelf = make_shelf(1000)
    fill(logs, 60)
    late = iter([START])

    def arrive(_operation: str) -> None:
        if len(logs.requests) == 6 and (at := next(late, None)) is not None:
            for n in range(10):
                logs.add(GROUP, at, f"late {n}")

    logs.call_before(arrive)
    saved = save(forgetful(shelf, logs, {6}))
    assert len({given["startTime"] for _, given in logs.requests}) == 1
    expected = sorted(event["eventId"] for event in logs.groups[GROUP].events)
    assert ids(shelf, saved) == expected


def test_disorder_is_noticed(logs: LogsServer, make_shelf: Callable[[int], Shelf]) -> None:
    """An event that arrives behind us, earlier than what we have seen, shows when a page is asked for again."""
    shelf = make_shelf(1000)
    fill(logs, 60)
    late = iter([START])

    def arrive(_operation: str) -> None:
        if len(logs.requests) == 6 and (at := next(late, None)) is not None:
            for n in range(10):
                logs.add(GROUP, at, f"late {n}")

    logs.call_before(arrive)
    saved = save(shelf)
    assert not saved.groups[0].ordered and saved.groups[0].done


def test_retention_is_set_where_it_differs(logs: LogsServer) -> None:
    for name in (GROUP, f"{GROUP}-2", f"{GROUP}-3", "/app/other"):
        fill(logs, 1, group=name)
    logs.groups["/app/other"].retention = 30
    asked = (GROUP, "/app/other", "/app/gone", f"{GROUP}-3")

    settings = Settings.from_env({"BACKUP_LOG_RETENTION_DAYS": "30"})
    saved = DayLogs(groups=tuple(GroupProgress(group=name, done=True) for name in asked))
    deadline = time.monotonic() + 60
    (warning,) = apply_log_retention(settings, saved, deadline=deadline, cloudwatch=CloudWatchLogs(logs_client))

    assert warning == f"log group /app/gone: its retention was not set: {GONE}"
    assert {name: group.retention for name, group in logs.groups.items()} == {
        GROUP: 30,
        f"{GROUP}-2": None,
        f"{GROUP}-3": 30,
        "/app/other": 30,
    }
    puts = [given["logGroupName"] for operation, given in logs.requests if operation == "PutRetentionPolicy"]
    assert puts == [GROUP, "/app/gone", f"{GROUP}-3"]


def test_no_region_is_told(shelf: Shelf, clean_environment: pytest.MonkeyPatch) -> None:
    shelf.sink.writer.store.connect()  # S3 has its client already
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        clean_environment.delenv(name)
    saved = save_groups(CloudWatchLogs(), shelf.sink, [GROUP], WINDOW, deadline=time.monotonic() + 60)
    (missing,) = saved.missing
    assert missing.startswith(f"log group {GROUP} is not saved: CloudWatch Logs: NoRegionError: ")
    assert "set AWS_DEFAULT_REGION" in missing


def test_an_empty_window_asks_for_nothing_impossible(logs: LogsServer, shelf: Shelf) -> None:
    """A day that a zone left out (Apia, 30 December 2011)."""
    window = day_before(datetime(2011, 12, 31, tzinfo=UTC), "Pacific/Apia")
    assert window.start_ms == window.end_ms
    saved = save_groups(CloudWatchLogs(), shelf.sink, [GROUP], window, deadline=time.monotonic() + 60)
    assert saved.groups[0].done and saved.missing == () and logs.requests == []
