"""Likes, dislikes and what came before → the state, decided end to end, and told to the reader with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest

from tests.support.feedback import BAD, DAY, GOOD, VotingHouse

STATES = {"healthy": "정상 유지", "caution": "주의", "retraining": "재학습 시작", "too_few_votes": "표본 부족"}
"""State → the word that the reader knows it by."""

WEEK = range(1, 8)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        votes: likes and dislikes of the day.
        said: what the reader's sentence has of the reason.
        history: days ago → likes and dislikes; nobody has decided on these days.
        decided: days ago, in the order of their runs → likes and dislikes; a run has decided on each.
        late: votes that come to the day before, once it was decided on.
        env: settings that differ.
    """

    name: str
    votes: tuple[int, int]
    state: str
    reason: str
    said: Sequence[str]
    history: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    decided: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    late: tuple[int, int] = (0, 0)
    env: Mapping[str, str] = field(default_factory=dict)


def every(days: Sequence[int], likes: int, dislikes: int) -> dict[int, tuple[int, int]]:
    return dict.fromkeys(days, (likes, dislikes))


FEW = {"FEEDBACK_MIN_VOTES": "1"}
TABLE = [
    Case("nobody voted", (0, 0), "too_few_votes", "no_votes", ["피드백이 없습니다", "30건"]),
    Case("nobody but last week", (0, 0), "too_few_votes", "no_votes", ["피드백이 없습니다"], every(WEEK, 60, 40)),
    Case("one like", (1, 0), "too_few_votes", "too_few", ["피드백 1건", "30건"]),
    Case("one dislike", (0, 1), "too_few_votes", "too_few", ["피드백 1건", "30건"]),
    Case("2 of 3 start nothing", (1, 2), "too_few_votes", "too_few", ["피드백 3건"]),
    Case("2 of 3, however few may decide", (1, 2), "caution", "uncertain", ["66.7%", "20.8%"], env=FEW),
    Case("1 of 1, however few may decide", (0, 1), "caution", "uncertain", ["100.0%", "20.7%"], env=FEW),
    Case("one vote short, all negative", (0, 29), "too_few_votes", "too_few", ["피드백 29건"]),
    Case("just enough, all negative", (0, 30), "retraining", "certain", ["100.0%", "88.6%"]),
    Case("just enough, at a half", (15, 15), "retraining", "certain", ["50.0%", "33.2%"]),
    Case("many, all negative", (0, 1000), "retraining", "certain", ["100.0%", "99.6%"]),
    Case("all positive", (100, 0), "healthy", "within", ["0.0%"]),
    Case("the seed's example", GOOD, "healthy", "within", ["13.0%", "기준 30%"]),
    Case("the seed's bad day", BAD, "retraining", "certain", ["41.0%", "31.9%"]),
    Case("at the threshold", (70, 30), "healthy", "within", ["30.0%"]),
    Case("a vote above it", (69, 31), "caution", "uncertain", ["31.0%", "우연"]),
    Case("the last doubt", (62, 38), "caution", "uncertain", ["38.0%", "29.1%"]),
    Case("just beyond doubt", (61, 39), "retraining", "certain", ["39.0%", "30.02%"]),
    Case("a little, but of many", (6900, 3100), "retraining", "certain", ["31.0%", "30.1%"]),
    Case("worse than the week", (80, 20), "caution", "worse", ["5.0%", "뚜렷"], every(WEEK, 95, 5)),
    Case("hardly worse than the week", (80, 20), "healthy", "within", ["20.0%"], every(WEEK, 85, 15)),
    Case("worse than a week of one like", (25, 5), "healthy", "within", ["16.7%"], {3: (1, 0)}),
    Case("worse than what is no week ago", (80, 20), "healthy", "within", ["20.0%"], every(range(8, 30), 95, 5)),
    Case("better than a bad week", (90, 10), "healthy", "within", ["10.0%"], every(WEEK, 59, 41)),
    Case("bad for the first time", BAD, "retraining", "certain", ["41.0%"], every(WEEK, 95, 5)),
    Case("started yesterday", BAD, "caution", "cooling_down", ["얼마 전"], decided={1: BAD}),
    Case("started two days ago", BAD, "caution", "cooling_down", ["얼마 전"], decided={2: BAD, 1: GOOD}),
    Case("started three days ago", BAD, "retraining", "certain", ["41.0%"], decided={3: BAD}),
    Case("held back yesterday", BAD, "retraining", "certain", ["41.0%"], decided={3: BAD, 1: BAD}),
    Case("no cool-down", BAD, "retraining", "certain", [], decided={1: BAD}, env={"FEEDBACK_COOLDOWN_HOURS": "0"}),
    Case("a long one", BAD, "caution", "cooling_down", [], decided={3: BAD}, env={"FEEDBACK_COOLDOWN_HOURS": "73"}),
    Case("overtaken", BAD, "caution", "superseded", ["더 최근의 날"], decided={-1: GOOD}),
    Case("overtaken, and well", GOOD, "healthy", "within", ["13.0%"], decided={-1: BAD}),
    Case(
        "late votes count for the day before", GOOD, "healthy", "within", ["45개"], decided={1: (20, 5)}, late=(0, 45)
    ),
    Case("late votes make the week bad", (90, 10), "healthy", "within", ["10개"], decided={1: GOOD}, late=(4, 6)),
    Case("another threshold", BAD, "healthy", "within", ["기준 50%"], env={"FEEDBACK_THRESHOLD": "0.5"}),
    Case("another confidence", BAD, "caution", "uncertain", ["99%"], env={"FEEDBACK_CONFIDENCE": "0.99"}),
]


@pytest.mark.fast_cases("held back", "started yesterday", "overtaken]", "at the threshold")
@pytest.mark.parametrize("case", TABLE, ids=lambda case: str(case.name))
def test_the_table(voters: VotingHouse, case: Case) -> None:
    voters.create()
    voters.env |= case.env
    for ago, votes in {**case.history, **case.decided}.items():
        voters.vote(_day(ago), *votes)
    voters.vote(DAY, *case.votes)
    for ago in case.decided:
        voters.run(scheduled_time=f"{_day(ago - 1)}T00:00:00Z")
    voters.vote(_day(1), *case.late)

    answer = voters.run()

    assert (answer["state"], answer["reason"]) == (case.state, case.reason)
    assert (answer["likes"], answer["dislikes"], answer["late"]) == (*case.votes, sum(case.late))
    assert answer["started"] is (case.state == "retraining")
    told = voters.message()
    (line,) = [line for line in told.splitlines() if line.startswith("- 상태: ")]
    assert line.endswith(f" {STATES[case.state]}")
    for words in case.said:
        assert words in told
    # What was decided stands behind what was told, and the bus hears of nothing else.
    (record,) = [row for row in voters.decisions() if row["decision"] == answer["decision"]]
    assert (record["state"], record["reason"]) == (case.state, case.reason)
    assert (answer["decision"] in [event["detail"]["decision"] for event in voters.events()]) is answer["started"]


def _day(ago: int) -> str:
    return (date.fromisoformat(DAY) - timedelta(days=ago)).isoformat()
