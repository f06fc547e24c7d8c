"""Events: every shape that is understood, and for any other JSON one clear refusal."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.errors import InvalidEvent
from nightshift.run import LOCAL_BUDGET_S, JobRun, parse_event
from tests.support.attempts import attempt
from tests.support.handler import Context

NOW = datetime(2025, 10, 15, 0, 3, 7, tzinfo=UTC)
SCHEDULED = datetime(2025, 10, 15, tzinfo=UTC)
KEYS = {"scheduled_time", "dry_run", "force", "schedule_arn"}


def parse(event: object, context: Context | None = None) -> JobRun:
    return parse_event("cleanup", event, context, now=NOW)


@pytest.mark.parametrize(
    "event",
    [
        {"scheduled_time": "2025-10-15T00:00:00Z"},
        {"scheduled_time": "2025-10-15T09:00:00+09:00", "schedule_arn": "arn:aws:scheduler:…"},
        {"detail-type": "Scheduled Event", "time": "2025-10-15T00:00:00Z", "source": "aws.events", "detail": {}},
        {"detail-type": "X", "time": "2020-01-01T00:00:00Z", "detail": {"scheduled_time": "2025-10-15T00:00:00Z"}},
        {"requestContext": {"http": {}}, "body": '{"scheduled_time": "2025-10-15T00:00:00Z"}'},
        {
            "requestContext": {},
            "isBase64Encoded": True,
            "body": base64.b64encode(b'{"scheduled_time": "2025-10-15T00:00:00Z"}').decode(),
        },
    ],
    ids=["schedule", "another zone", "rule", "rule with detail", "request", "request in base64"],
)
def test_the_time_is_the_scheduled_one(event: object) -> None:
    assert parse(event).as_of == SCHEDULED


@pytest.mark.parametrize("event", [None, {}, {"scheduled_time": None}, {"requestContext": {}, "body": "{}"}])
def test_without_a_time_it_is_now(event: object) -> None:
    run = parse(event)

    assert run.as_of == NOW
    assert (run.dry_run, run.force, run.attempt) == (False, False, 1)


FAILED: dict[str, Any] = {
    "version": "1.0",
    "timestamp": "2025-10-15T00:02:00.000Z",
    "requestContext": {"requestId": "r", "functionArn": "arn:…", "condition": "RetriesExhausted"},
    "requestPayload": {"scheduled_time": "2025-10-15T00:00:00Z", "dry_run": True},
    "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
    "responsePayload": {"errorMessage": "…"},
}
RULE: dict[str, Any] = {"detail-type": "Scheduled Event", "time": "2025-10-15T00:00:00Z", "source": "aws.events"}
POST: dict[str, Any] = {"version": "2.0", "rawPath": "/", "rawQueryString": "", "requestContext": {"http": {}}}
DRY = '{"scheduled_time": "2025-10-15T00:00:00Z", "dry_run": true}'


@pytest.mark.parametrize(
    "event",
    [
        FAILED,
        {**RULE, "detail-type": "Lambda Function Invocation Result - Failure", "detail": FAILED},
        {**FAILED, "requestPayload": {**RULE, "detail": {"dry_run": True}}},
        {**FAILED, "requestPayload": {**POST, "body": DRY}},
        {**RULE, "source": "aws.scheduler", "detail": DRY},
        {**RULE, "replay-name": "again", "detail": {"dry_run": True}},
        {"httpMethod": "POST", "path": "/", "requestContext": {"elb": {}}, "body": DRY, "queryStringParameters": {}},
    ],
    ids=["record", "record by EventBridge", "rule in a record", "request in a record", "text", "replay", "balancer"],
)
def test_a_dry_run_in_an_envelope_is_a_dry_run(event: object) -> None:
    run = parse(event)

    assert (run.dry_run, run.as_of) == (True, SCHEDULED)


@pytest.mark.parametrize(
    ("event", "named", "hint"),
    [
        ({**RULE, "detail": {}, "dry_run": True}, "dry_run: unknown key", 'is not read; put it into "detail"'),
        ({**RULE, "detail": {}, "dry-run": True}, "dry-run: unknown key", ""),
        ({**RULE, "detail": [{"dry_run": True}]}, "got: list", ""),
        ({**RULE, "detail": []}, "got: list", ""),
        ({**RULE, "detail": "dry_run"}, "the envelope's detail is not JSON", ""),
        ({**POST, "body": "{}", "dry_run": True}, "dry_run: unknown key", "is not read; put it into the JSON body"),
        ({**POST, "body": "{}", "rawQueryString": "x=1", "queryStringParameters": {"dry_run": "true"}}, "dry_run", ""),
        ({**POST, "body": "{}", "multiValueQueryStringParameters": {"dry-run": ["1"]}}, "dry-run", ""),
        ({**POST, "body": "{}", "rawQueryString": "dry_run"}, "query string", "keys are read from the JSON body alone"),
        ({**POST, "rawPath": "/favicon.ico"}, "no body", "POST {} to run the job"),
        (
            {**POST, "body": "{}", "pathParameters": {"dry-run": "true"}},
            "pathParameters: dry-run",
            "keys are read from the JSON body alone",
        ),
        ({**POST, "body": "{}", "stageVariables": {"dryRun": "true"}}, "stageVariables: dryRun", ""),
        ({**POST, "body": None}, "no body", ""),
        ({**POST, "body": '{"dry_run": true, "dry_run": false}'}, "repeated: dry_run", ""),
        ({**POST, "body": "null"}, "got: NoneType", ""),
        ({**FAILED, "dry_run": True}, "dry_run: unknown key", "a key beside the envelope's own is not read"),
        ({**FAILED, "requestPayload": None}, "holds no event", "send the event by itself"),
        ({**FAILED, "requestContext": {"condition": "Success"}}, "succeeded", "send its requestPayload by itself"),
        (
            {**FAILED, "requestPayload": {**FAILED, "requestPayload": {**FAILED, "requestPayload": FAILED}}},
            "deeply",
            "send the innermost event by itself",
        ),
        (
            {"Records": [{"eventSource": "aws:sqs", "body": DRY}]},
            "Records: unknown key",
            "known keys: scheduled_time, dry_run, force",
        ),
        ({"key1": "value1", "key2": "value2", "key3": "value3"}, "key1: unknown key", ""),
    ],
)
def test_a_key_outside_its_place_or_an_unknown_shape_is_refused(event: object, named: str, hint: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse(event)

    assert named in str(refused.value)
    assert hint in str(refused.value.hint)


def test_a_token_in_a_query_string_is_not_repeated() -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse({**POST, "body": "{}", "rawQueryString": "t=s3cret", "queryStringParameters": {"t": "s3cret"}})

    assert "s3cret" not in str(refused.value)


def test_clocks_differ_a_little() -> None:
    near = NOW + timedelta(minutes=4)
    assert parse({"scheduled_time": near.isoformat()}).as_of == near
    with pytest.raises(InvalidEvent, match="a future time would move the cutoff past rows that are not due"):
        parse({"scheduled_time": (NOW + timedelta(minutes=6)).isoformat()})


def test_switches() -> None:
    run = parse({"dry_run": True, "force": True})
    assert run.dry_run and run.force


def test_the_deadline_is_lambda_s() -> None:
    assert 0 < parse({}, Context(seconds=60)).remaining() <= 60
    assert LOCAL_BUDGET_S - 60 < parse({}).remaining() <= LOCAL_BUDGET_S
    assert JobRun("cleanup", NOW, deadline=time.monotonic() - 1).remaining() < 0


def test_each_run_has_a_name_of_its_own() -> None:
    assert parse({}).run_id != parse({}).run_id


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
times = st.datetimes(timezones=st.none() | st.timezones()).map(lambda m: m.isoformat()) | json_values
inputs = st.dictionaries(st.sampled_from(sorted(KEYS)), times | st.booleans()) | st.dictionaries(
    st.sampled_from([*sorted(KEYS), "dry-run", "Force", ""]) | st.text(), json_values
)
envelopes = st.one_of(
    json_values,
    inputs,
    st.fixed_dictionaries({"detail-type": json_values}, optional={"time": times, "detail": inputs | json_values}),
    st.fixed_dictionaries(
        {"requestContext": json_values},
        optional={
            "body": json_values | inputs.map(json.dumps) | st.text(),
            "isBase64Encoded": json_values,
            "queryStringParameters": json_values,
            "pathParameters": json_values,
        },
    ),
    st.fixed_dictionaries({"requestPayload": json_values | inputs}, optional={"requestContext": json_values}),
)


@given(envelopes)
def test_any_json_is_a_run_or_refused(event: Any) -> None:
    run = attempt(InvalidEvent, lambda: parse(event))
    if isinstance(run, InvalidEvent):
        assert run.message
        assert isinstance(event, dict) or run.hint == 'send {} or {"scheduled_time": "2025-10-15T00:00:00Z"}'
        return
    assert run.as_of.tzinfo is UTC
    assert run.as_of <= NOW + timedelta(minutes=5)
    assert {type(run.dry_run), type(run.force)} == {bool}


@given(inputs, st.text(min_size=1, max_size=60).filter(lambda key: key not in KEYS), json_values)
def test_an_unknown_key_is_refused_by_name(given_: dict[str, Any], key: str, value: Any) -> None:
    event = {**{name: v for name, v in given_.items() if name in KEYS and name != "scheduled_time"}, key: value}
    if key in ("detail-type", "requestContext", "requestPayload"):
        return
    with pytest.raises(InvalidEvent) as refused:
        parse(event)

    assert f"{key}: unknown key" in str(refused.value.detail)
    assert "scheduled_time, dry_run, force, schedule_arn" in str(refused.value.hint)


@pytest.mark.parametrize("time", ["2025-10-15T00:00:00", "2025-10-15", "2025-10-15 09:00"])
def test_a_time_without_a_zone_is_refused(time: str) -> None:
    """The zone of the house would be a guess: the schedule's is UTC."""
    with pytest.raises(InvalidEvent, match="scheduled_time has no time zone") as raised:
        parse({"scheduled_time": time})
    assert raised.value.hint == 'write it like "2025-10-15T00:00:00Z"'


@given(st.floats() | st.integers() | st.booleans() | st.integers().map(str) | st.floats().map(str))
def test_a_number_is_no_time(value: object) -> None:
    with pytest.raises(InvalidEvent, match='is a number\nhint: write it like "2025-10-15T00:00:00Z"'):
        parse({"scheduled_time": value})


def test_json_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        parse({"requestContext": {}, "body": "[" * 200_000})
