"""`feedback` as Lambda runs it: through the runtime, by its own events, to Slack, to the bus, and on to `reembed`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.artefact import ROOT
from local.bedrock import BedrockServer
from local.event_bus import EventBusServer, Trouble
from local.lambda_runtime import LambdaRuntime
from local.s3 import EmbeddedS3
from local.slack import SlackServer
from tests.handlers import metrics
from tests.handlers.scene import MOMENT, Documents, Votes, answer_of
from tests.template.bus import KINDS

EXCEEDED, _ = KINDS
PNG = b"\x89PNG\r\n\x1a\n"
CHART = "feedback_2025-10-12.png"
LARGEST_CHART = 200_000
FORM = """\
- 👍 좋아요: 87
- 👎 싫어요: 13
- 총 피드백: 100
- 부정 비율: 13.0%
- 상태: ✅ 정상 유지
- 생성 시각: 2025-10-13 09:00"""


class GoodDay(Votes):
    """The example of the report: 13 of 100 dislike."""

    votes = (87, 13)

    def done(self) -> bool:
        return self.state() == (("healthy", False),)


class BadDay(Votes):
    """41 of 100 dislike; the documents behind the answers can be embedded."""

    def fill(self) -> None:
        super().fill()
        self.documents = Documents("reembed", self.env, self.s3)


@pytest.fixture
def good(environment: dict[str, str], s3: EmbeddedS3) -> GoodDay:
    return GoodDay("feedback", metrics.measured(environment), s3)


@pytest.fixture
def bad(environment: dict[str, str], s3: EmbeddedS3) -> BadDay:
    return BadDay("feedback", metrics.measured(environment), s3)


@pytest.fixture
def warm(good: GoodDay) -> Iterator[LambdaRuntime]:
    """The function in one environment for the whole test."""
    with good.runtime() as runtime:
        yield runtime


@pytest.mark.parametrize("dry", [False, True])
def test_a_good_day_is_reported_with_its_chart(
    good: GoodDay, warm: LambdaRuntime, bus: EventBusServer, slack: SlackServer, dry: bool
) -> None:
    answer = answer_of(warm.invoke({**good.event, "dry_run": dry}))
    assert (answer["job"], answer["status"], answer["as_of"]) == ("feedback", "dry_run" if dry else "ok", MOMENT)
    assert (answer["likes"], answer["dislikes"], answer["total"], answer["ratio"]) == (87, 13, 100, 0.13)
    assert (answer["state"], answer["started"], answer.get("warnings")) == ("healthy", False, None)
    assert good.untouched() is dry
    assert good.done() is not dry
    assert bus.requests == 0
    message, chart = slack.messages[0], slack.files[0]
    assert FORM in message.seen
    assert (chart.filename, chart.thread_ts, chart.content[:8]) == (CHART, message.ts, PNG)
    assert len(chart.content) <= LARGEST_CHART


@pytest.mark.fast_cases("feedback.json")
@pytest.mark.parametrize("path", ["feedback.json", "feedback.dry_run.json"])
def test_the_events_that_come_along_are_understood(good: GoodDay, warm: LambdaRuntime, path: str) -> None:
    """Of a day on which nobody voted."""
    answer = answer_of(warm.invoke((ROOT / "events" / path).read_bytes()))
    assert (answer["as_of"], answer["state"], answer["reason"]) == ("2025-10-17T00:00:00Z", "too_few_votes", "no_votes")
    assert answer["window"] == {"start": "2025-10-16T00:00:00+09:00", "end": "2025-10-17T00:00:00+09:00"}
    assert good.untouched() is ("dry_run" in path)


def test_a_warm_environment_draws_the_same_chart_again(warm: LambdaRuntime, good: GoodDay, slack: SlackServer) -> None:
    first, second = warm.invoke(good.event), warm.invoke(good.event)
    assert (first.init_ms is None, second.init_ms is None) == (False, True)
    assert [answer_of(result)["decided_before"] for result in (first, second)] == [False, True]
    before, after = slack.files
    assert before.content == after.content


def test_the_smallest_memory_is_enough_for_the_chart(good: GoodDay, slack: SlackServer) -> None:
    with good.runtime(cap_mb=good.least_mb) as runtime:
        assert "warnings" not in answer_of(runtime.invoke(good.event))
    assert [chart.filename for chart in slack.files] == [CHART]


def test_a_bad_day_starts_reembedding_once_however_often_it_is_told(
    bad: BadDay, bus: EventBusServer, bedrock: BedrockServer, slack: SlackServer
) -> None:
    """Both functions as deployed; each of their events is delivered twice."""
    embedded: list[dict[str, Any]] = []
    with bad.runtime() as feedback, bad.documents.runtime() as reembed:
        bus.subscribe(lambda event: embedded.append(answer_of(reembed.invoke(event))), KINDS)
        first, second = (answer_of(feedback.invoke(bad.event)) for _ in range(2))
        (exceeded,) = bus.events
        bus.repeat(exceeded)
        assert bus.deliver() == 2
    assert [answer["started"] for answer in (first, second)] == [True, False]
    assert (exceeded["detail-type"], exceeded["source"], exceeded["time"]) == (EXCEEDED, "nightshift", MOMENT)
    assert exceeded["detail"] | {"likes": 59, "dislikes": 41, "ratio": 0.41} == exceeded["detail"]
    assert exceeded["detail"]["decision"] == first["decision"] == second["decision"]
    assert [(answer["status"], answer["done_before"]) for answer in embedded] == [("ok", False), ("nothing", True)]
    assert embedded[0]["tables"][0]["scope"] == "disliked"
    disliked = bad.number("SELECT count(DISTINCT document_id) FROM answer_feedback WHERE rating = 'dislike'")
    assert bad.documents.state() == (disliked, disliked)
    assert set(bedrock.embedded.values()) == {1}
    assert bad.done()
    seen = [message.seen for message in slack.messages]
    assert sum("재학습 시작" in text for text in seen) == 2
    assert ["이전 실행에서 이미" in text for text in seen[:2]] == [False, True]


@pytest.mark.slow
def test_a_bus_that_says_no_fails_the_run_and_hears_of_it_by_the_next(
    bad: BadDay, bus: EventBusServer, slack: SlackServer
) -> None:
    with bad.runtime() as runtime:
        bus.fail_next(Trouble.DENIED)
        refused = runtime.invoke(bad.event)
        assert (refused.error_type, bus.suffered) == ("BusError", [Trouble.DENIED])
        assert slack.messages[-1].seen.startswith("🚨")
        assert bad.state() == (("retraining", False),)
        assert answer_of(runtime.invoke(bad.event))["started"] is True
    assert (bad.done(), len(bus.events)) == (True, 1)


def test_an_event_that_is_not_understood_touches_nothing(good: GoodDay, warm: LambdaRuntime) -> None:
    for event in ({"dry-run": True}, {"scope": "stale"}, {"scheduled_time": "yesterday"}, [good.event]):
        assert warm.invoke(json.dumps(event).encode()).error_type == "InvalidEvent", event
    assert good.untouched()


def test_a_wrong_setting_fails_by_name_and_touches_nothing(good: GoodDay, slack: SlackServer) -> None:
    with good.runtime(FEEDBACK_THRESHOLD="30", FEEDBACK_LIKES=",") as runtime:
        result = runtime.invoke(good.event)
    assert result.error_type == "InvalidSettings"
    assert all(word in str(result.error_message) for word in ("FEEDBACK_THRESHOLD", "FEEDBACK_LIKES"))
    assert slack.messages[-1].seen.startswith("🚨")
    assert good.untouched()


def test_a_column_that_is_not_there_is_refused(good: GoodDay, slack: SlackServer) -> None:
    with good.runtime(FEEDBACK_RATING="stars") as runtime:
        answer = answer_of(runtime.invoke(good.event))
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "unknown_column")
    assert "stars" in slack.messages[-1].seen
    assert good.state() == ()


def test_every_alarm_looks_at_a_metric_that_the_function_writes(bad: BadDay) -> None:
    with bad.runtime(SLACK_BOT_TOKEN="xoxb-another") as runtime:
        result = runtime.invoke(bad.event)
    assert answer_of(result)["status"] == "ok"
    lines = metrics.written(result)
    assert metrics.alarmed("feedback") == {"NotifyFailed", "RunRefused"}
    assert metrics.alarmed("feedback") <= metrics.names("feedback", lines)
    facts = {name: line[name] for line in lines for name in line if name[0].isupper()}
    told = {"Votes": [100], "Dislikes": [41], "NegativeRatio": [41], "FeedbackRetraining": [1]}
    assert facts | told == facts
