"""What the reader of `feedback` sees of values that no setting names, and of a day that was decided on before."""

from __future__ import annotations

from dataclasses import replace

from nightshift.results.feedback import FeedbackFigures, FeedbackState, UnknownRating, VoteTotals
from tests.slack.feedback_facts import BAD, HEALTHY, told


def test_unknown_values_are_named_with_what_they_resemble() -> None:
    some = (
        UnknownRating(value="Dislike", count=1200, resembles="dislike"),
        UnknownRating(value="👎🏽", count=2, resembles="👎"),
        UnknownRating(value="a\tb\u200b", count=1),
    )
    result = replace(HEALTHY, unknown=1203, unknown_ratings=some)
    assert (
        "⚠️ 설정에 없는 값: 1,203건 – Dislike 1,200 (비슷한 설정값: dislike),"
        " 👎🏽 (U+1F44E U+1F3FD) 2 (비슷한 설정값: 👎),"
        " a�b� (U+0061 U+0009 U+0062 U+200B) 1"
    ) in told(result).splitlines()
    assert "⚠️ Values that no setting names: 1,203 ratings – Dislike 1,200 (resembles dislike)" in told(result, "en")


def test_the_figures_of_the_decision_and_what_changed_since() -> None:
    since = FeedbackFigures(
        votes=VoteTotals(likes=259, dislikes=41), unknown=7, threshold=0.05, min_votes=30, confidence=0.95
    )
    told_again = told(replace(BAD, decided_before=True, started=False, since=since)).splitlines()
    assert "- 👎 싫어요: 41" in told_again
    assert (
        "- 지금 다시 집계하면: 👍 259, 👎 41, 부정 13.7% (기준 5%, 최소 30건, 신뢰도 95%) · 설정에 없는 값 7"
        in told_again
    )
    record = replace(since, state=FeedbackState.RETRAINING, unknown=0)
    dry = told(replace(HEALTHY, on_record=record, dry_run=True), "en", dry_run=True)
    assert (
        "- The decision on record: 🔁 Retraining started · 👍 259, 👎 41, negative 13.7% (threshold 5%, "
        "least 30 votes, confidence 95%)"
    ) in dry.splitlines()
