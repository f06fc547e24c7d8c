"""`reembed` as Lambda runs it: through the runtime, by what its rule delivers, against a model that has bad days."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.artefact import ROOT
from local.bedrock import BedrockServer
from local.event_bus import EventBusServer
from local.lambda_runtime import LambdaRuntime
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from tests.handlers import metrics
from tests.handlers.scene import MOMENT, Documents, answer_of
from tests.template.bus import KINDS

_, UNFINISHED = KINDS
ENVELOPE: dict[str, Any] = json.loads((ROOT / "events" / "reembed.json").read_bytes())
SECONDS = 10
"""Of a function whose model never answers: most of it goes into waiting."""


@pytest.fixture
def documents(environment: dict[str, str], s3: EmbeddedS3) -> Documents:
    return Documents("reembed", metrics.measured(environment), s3)


@pytest.fixture
def warm(documents: Documents) -> Iterator[LambdaRuntime]:
    """The function in one environment for the whole test."""
    with documents.runtime() as runtime:
        yield runtime


def text_of(documents: Documents, number: int) -> str:
    """What the model is shown of a document, by the policy."""
    ((title, content),) = documents.sql(f"SELECT title, content FROM document WHERE id = {number}")
    return f"{title}\n\n{content}"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["reembed.json", "reembed.dry_run.json"])
def test_the_events_that_come_along_do_what_they_say(
    documents: Documents, warm: LambdaRuntime, bedrock: BedrockServer, path: str
) -> None:
    dry = "dry_run" in path
    answer = answer_of(warm.invoke((ROOT / "events" / path).read_bytes()))
    (table,) = answer["tables"]
    assert (answer["job"], answer["as_of"]) == ("reembed", "2025-10-17T00:00:00Z")
    assert (answer["status"], answer["complete"]) == (("dry_run", False) if dry else ("ok", True))
    assert (table["scope"], table["embedded"], table["left"]) == ("stale", documents.count, 0)
    assert answer["decision"] == (None if dry else ENVELOPE["detail"]["decision"])
    assert (documents.untouched(), bedrock.calls) == ((True, 0) if dry else (False, documents.count))
    assert documents.done() is not dry


@pytest.mark.slow
def test_an_event_that_is_delivered_twice_costs_nothing_the_second_time(
    documents: Documents, warm: LambdaRuntime, bedrock: BedrockServer, slack: SlackServer
) -> None:
    first, second = warm.invoke(ENVELOPE), warm.invoke(ENVELOPE)
    assert (first.init_ms is None, second.init_ms is None) == (False, True)
    assert [answer_of(result)["done_before"] for result in (first, second)] == [False, True]
    assert (documents.done(), bedrock.calls) == (True, documents.count)
    assert "🧬" in slack.messages[0].seen


@pytest.mark.slow
def test_what_is_unchanged_costs_nothing_and_what_changed_is_embedded(
    documents: Documents, warm: LambdaRuntime, bedrock: BedrockServer
) -> None:
    answer_of(warm.invoke(documents.event))
    documents.sql("UPDATE document SET content = 'changed', updated_at = updated_at + interval '1 day' WHERE id = 3")
    (table,) = answer_of(warm.invoke({"scheduled_time": "2025-10-14T00:00:00Z"}))["tables"]
    assert (table["embedded"], bedrock.calls) == (1, documents.count + 1)
    assert bedrock.embedded[text_of(documents, 3)] == 1
    assert documents.done()


def test_a_run_without_time_goes_on_by_an_event(
    documents: Documents, bus: EventBusServer, bedrock: BedrockServer
) -> None:
    """The model has no capacity for the last document until the time is over; the next run finds some."""
    late = text_of(documents, documents.count)
    bedrock.poison(late, "ThrottlingException")
    with documents.runtime(SECONDS, EMBEDDING_BATCH="4", EMBEDDING_WORKERS="1") as runtime:
        answer_of(runtime.invoke({**documents.event, "dry_run": True}))
        answer = answer_of(runtime.invoke(ENVELOPE))
        assert (answer["status"], answer["continues"], answer["tables"][0]["left"]) == ("partial", True, 1)
        (unfinished,) = bus.events
        assert (unfinished["detail-type"], unfinished["time"]) == (UNFINISHED, ENVELOPE["time"])
        assert unfinished["detail"] == {**ENVELOPE["detail"], "scope": "stale", "continuation": 1}
        bedrock.heal()
        assert answer_of(runtime.invoke(unfinished))["complete"] is True
        assert answer_of(runtime.invoke(ENVELOPE))["done_before"] is True
    assert set(bedrock.embedded.values()) == {1}
    assert documents.done()


@pytest.mark.slow
def test_a_model_that_is_down_fails_the_run_and_the_next_one_makes_up_for_it(
    documents: Documents, bus: EventBusServer, bedrock: BedrockServer, slack: SlackServer
) -> None:
    with documents.runtime(SECONDS) as runtime:
        answer_of(runtime.invoke({**documents.event, "dry_run": True}))
        bedrock.fail_next("ServiceUnavailableException", times=10_000)
        failed = runtime.invoke(ENVELOPE)
        assert failed.error_type is not None
        assert bedrock.answers[503] > 0
        assert slack.messages[-1].seen.startswith("🚨")
        assert (bus.requests, documents.state()) == (0, (0, 0))
        bedrock.heal()
        assert answer_of(runtime.invoke(ENVELOPE))["complete"] is True
    assert documents.done()


def test_a_document_that_the_model_does_not_take_is_named_and_stops_nobody(
    documents: Documents, warm: LambdaRuntime, bedrock: BedrockServer, slack: SlackServer
) -> None:
    bedrock.poison(text_of(documents, 5), "ValidationException", "too long")
    result = warm.invoke(ENVELOPE)
    (table,) = answer_of(result)["tables"]
    assert (table["embedded"], table["poisoned"]) == (documents.count - 1, 1)
    assert [one["id"] for one in table["examples"]] == ["5"]
    assert "ValidationException" in table["examples"][0]["reason"]
    assert documents.state() == (documents.count - 1, documents.count - 1)
    assert "ValidationException" in slack.messages[-1].seen
    lines = metrics.written(result)
    facts = {name: line[name] for line in lines for name in line if name[0].isupper()}
    assert facts | {"DocumentsEmbedded": [documents.count - 1], "DocumentsPoisoned": [1]} == facts


def test_an_event_that_is_not_understood_touches_nothing(documents: Documents, warm: LambdaRuntime) -> None:
    unknown = {**ENVELOPE, "detail": {**ENVELOPE["detail"], "surprise": 1}}
    backwards = {"window": {"start": MOMENT, "end": MOMENT}}
    for event in (unknown, {"scope": "some"}, {"dry-run": True}, {"continuation": -1}, backwards, [ENVELOPE]):
        assert warm.invoke(json.dumps(event).encode()).error_type == "InvalidEvent", event
    assert documents.untouched()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"NIGHTSHIFT_CONFIG": ""}, "no policy says what is embedded"),
        ({"EMBEDDING_MODEL": "amazon.titan-embed-text-v1"}, "EMBEDDING_MODEL"),
        ({"EMBEDDING_DIMENSION": "300"}, "EMBEDDING_DIMENSION"),
        ({"EMBEDDING_WORKERS": "0"}, "EMBEDDING_WORKERS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_setting_fails_by_name_and_touches_nothing(
    documents: Documents, slack: SlackServer, wrong: dict[str, str], word: str
) -> None:
    documents.env |= wrong
    with documents.runtime() as runtime:
        result = runtime.invoke(documents.event)
    assert result.error_type == "InvalidSettings"
    assert word in str(result.error_message)
    assert slack.messages[-1].seen.startswith("🚨")
    assert documents.untouched()


@pytest.mark.slow
def test_every_alarm_looks_at_a_metric_that_the_function_writes(documents: Documents) -> None:
    with documents.runtime(SLACK_BOT_TOKEN="xoxb-another") as runtime:
        result = runtime.invoke(documents.event)
    assert answer_of(result)["status"] == "ok"
    assert metrics.alarmed("reembed") == {"DocumentsPoisoned", "NotifyFailed", "RunRefused"}
    assert metrics.alarmed("reembed") <= metrics.names("reembed", metrics.written(result))
