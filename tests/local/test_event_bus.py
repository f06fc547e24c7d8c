"""The event bus on loopback is as strict as EventBridge, and its troubles are those of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.event_bus import EventBusServer, Trouble
from nightshift.errors import BusError
from nightshift.event_bus import EventBus

TIME = datetime(2025, 10, 17, tzinfo=UTC)
KIND = "FeedbackThresholdExceeded"
CODES = {
    Trouble.ENTRY: "InternalFailure",
    Trouble.INTERNAL: "InternalFailure",
    Trouble.DENIED: "AccessDeniedException",
    Trouble.CUT: "ConnectionClosedError",
}


@pytest.fixture
def server(clean_environment: pytest.MonkeyPatch) -> Iterator[EventBusServer]:
    with EventBusServer() as bus:
        for name, value in bus.env.items():
            clean_environment.setenv(name, value)
        yield bus


def entry(**changed: Any) -> dict[str, Any]:
    return {"Source": "nightshift", "DetailType": KIND, "Detail": '{"likes": 3}', **changed}


def put(*entries: Any) -> Any:
    return boto3.session.Session().client("events").put_events(Entries=list(entries))


def test_an_event_is_kept_as_a_rules_target_gets_it(server: EventBusServer) -> None:
    sent = EventBus("default").put_events(KIND, {"likes": 3, "zone": "서울"}, time=TIME)
    assert server.events == [
        {
            "version": "0",
            "id": sent,
            "detail-type": KIND,
            "source": "nightshift",
            "account": "123456789012",
            "time": "2025-10-17T00:00:00Z",
            "region": "ap-northeast-2",
            "resources": [],
            "detail": {"likes": 3, "zone": "서울"},
        }
    ]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"Source": ""}, "InvalidArgument"),
        ({"DetailType": ""}, "InvalidArgument"),
        ({"Detail": ""}, "InvalidArgument"),
        ({"Detail": "[1]"}, "MalformedDetail"),
        ({"Detail": "{"}, "MalformedDetail"),
        ({"Source": "aws.events"}, "NotAuthorizedForSource"),
    ],
)
def test_an_entry_fails_alone(server: EventBusServer, changed: dict[str, Any], code: str) -> None:
    answer = put(entry(), entry(**changed), entry())
    assert answer["FailedEntryCount"] == 1
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [None, code, None]
    assert len(server.events) == 2


@pytest.mark.parametrize(
    "entries",
    [[entry()] * 11, [entry(Detail='{"x": "' + "가" * 90_000 + '"}')]],
    ids=["too many", "too large"],
)
def test_a_request_over_the_limits_is_refused(server: EventBusServer, entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        put(*entries)
    assert server.events == []


@pytest.mark.parametrize("trouble", CODES)
def test_a_trouble_that_stays_is_told_and_nothing_is_taken(server: EventBusServer, trouble: Trouble) -> None:
    server.fail_next(trouble, times=9)
    with pytest.raises(BusError, match=CODES[trouble]):
        EventBus("default").put_events(KIND, {}, time=TIME)
    assert set(server.suffered) == {trouble}
    assert server.events == []
    server.heal()
    assert EventBus("default").put_events(KIND, {}, time=TIME) == server.events[0]["id"]


def test_a_throttled_request_is_sent_again(server: EventBusServer) -> None:
    server.fail_next(Trouble.THROTTLED)
    EventBus("default").put_events(KIND, {}, time=TIME)
    assert (server.suffered, server.requests, len(server.events)) == ([Trouble.THROTTLED], 2, 1)


def test_a_lost_answer_makes_two_events_of_one(server: EventBusServer) -> None:
    server.fail_next(Trouble.LOST)
    EventBus("default").put_events(KIND, {"decision": "one"}, time=TIME)
    assert (server.suffered, server.requests) == ([Trouble.LOST], 2)
    assert [event["detail"] for event in server.events] == [{"decision": "one"}] * 2
    assert len({event["id"] for event in server.events}) == 2


def test_subscribers_get_what_they_asked_for_and_what_follows_from_it(server: EventBusServer) -> None:
    heard: list[tuple[str, str]] = []

    def target(event: dict[str, Any]) -> None:
        heard.append((event["id"], event["detail-type"]))
        if event["detail-type"] == KIND:
            EventBus("default").put_events("ReembedUnfinished", {}, time=TIME)

    server.subscribe(target, [KIND, "ReembedUnfinished"])
    EventBus("default").put_events(KIND, {}, time=TIME)
    EventBus("default").put_events("Other", {}, time=TIME)
    assert heard == []
    assert server.deliver() == 2
    assert [kind for _, kind in heard] == [KIND, "ReembedUnfinished"]
    server.repeat(server.events[-1])
    assert server.deliver() == 1
    assert heard[-1] == heard[-2]


def test_an_event_whose_target_fails_waits_for_the_next_delivery(server: EventBusServer) -> None:
    calls: list[str] = []

    def target(event: dict[str, Any]) -> None:
        calls.append(event["id"])
        if len(calls) == 1:
            raise RuntimeError("not now")

    server.subscribe(target, [KIND])
    sent = EventBus("default").put_events(KIND, {}, time=TIME)
    with pytest.raises(RuntimeError, match="not now"):
        server.deliver()
    assert server.deliver() == 1
    assert calls == [sent, sent]


def test_a_hook_runs_before_anything_is_taken(server: EventBusServer) -> None:
    seen: list[int] = []
    server.call_next(lambda: seen.append(len(server.events)))
    EventBus("default").put_events(KIND, {}, time=TIME)
    assert (seen, len(server.events)) == ([0], 1)
