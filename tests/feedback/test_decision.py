"""The decision, over everything that it may be asked: no state without its grounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nightshift.feedback.decision import DecisionRules, EarlierWindows, make_decision
from nightshift.results.feedback import FeedbackReason, FeedbackState, VoteTotals

AS_OF = datetime(2025, 10, 17, tzinfo=UTC)

few = st.integers(0, 300)
counted = st.builds(lambda likes, dislikes: VoteTotals(likes=likes, dislikes=dislikes), few, few)
rules = st.builds(
    lambda threshold, least, confidence: DecisionRules(threshold=threshold, min_votes=least, confidence=confidence),
    st.floats(0.01, 0.99),
    st.integers(1, 200),
    st.floats(0.5, 0.999),
)
hours = st.none() | st.integers(-200, 200)
pasts = st.builds(
    lambda week, until, superseded: EarlierWindows(
        week=week, cooling_until=None if until is None else AS_OF + timedelta(hours=until), superseded=superseded
    ),
    counted,
    hours,
    st.booleans(),
)

STATE_OF = {
    FeedbackReason.NO_VOTES: FeedbackState.TOO_FEW,
    FeedbackReason.TOO_FEW: FeedbackState.TOO_FEW,
    FeedbackReason.WITHIN: FeedbackState.HEALTHY,
    FeedbackReason.WORSE: FeedbackState.CAUTION,
    FeedbackReason.UNCERTAIN: FeedbackState.CAUTION,
    FeedbackReason.COOLING_DOWN: FeedbackState.CAUTION,
    FeedbackReason.SUPERSEDED: FeedbackState.CAUTION,
    FeedbackReason.CERTAIN: FeedbackState.RETRAINING,
}


@given(counted, pasts, rules)
def test_every_reason_has_its_grounds(votes: VoteTotals, past: EarlierWindows, rule: DecisionRules) -> None:
    decided = make_decision(votes, past, rule, as_of=AS_OF)
    ratio, low = votes.ratio, decided.interval.low if decided.interval else None
    assert decided.state is STATE_OF[decided.reason]
    match decided.reason:
        case FeedbackReason.NO_VOTES:
            assert votes.total == 0 and low is None
            return
        case FeedbackReason.TOO_FEW:
            assert 0 < votes.total < rule.min_votes
            return
    assert votes.total >= rule.min_votes and ratio is not None and low is not None
    sure = low > rule.threshold
    cooling = past.cooling_until is not None and past.cooling_until > AS_OF
    match decided.reason:
        case FeedbackReason.CERTAIN:
            assert sure and ratio > rule.threshold and not cooling and not past.superseded
        case FeedbackReason.COOLING_DOWN:
            assert sure and cooling and not past.superseded
        case FeedbackReason.SUPERSEDED:
            assert sure and past.superseded
        case FeedbackReason.UNCERTAIN:
            assert low <= rule.threshold < ratio
        case FeedbackReason.WORSE:
            assert ratio <= rule.threshold and past.week.ratio is not None and low > past.week.ratio
            assert past.week.total >= rule.min_votes
        case _:
            assert ratio <= rule.threshold


@given(counted, pasts, rules, st.integers(0, 300))
def test_a_like_turned_into_a_dislike_never_calms(
    votes: VoteTotals, past: EarlierWindows, rule: DecisionRules, turned: int
) -> None:
    turned = min(turned, votes.likes)
    worse = VoteTotals(likes=votes.likes - turned, dislikes=votes.dislikes + turned)
    order = [FeedbackState.TOO_FEW, FeedbackState.HEALTHY, FeedbackState.CAUTION, FeedbackState.RETRAINING]
    states = [order.index(make_decision(each, past, rule, as_of=AS_OF).state) for each in (votes, worse)]
    assert states[0] <= states[1]


@given(counted, pasts, rules)
def test_the_past_may_hold_back_and_never_starts(votes: VoteTotals, past: EarlierWindows, rule: DecisionRules) -> None:
    alone = make_decision(votes, replace(past, cooling_until=None, superseded=False), rule, as_of=AS_OF)
    held = make_decision(votes, past, rule, as_of=AS_OF)
    assert held.interval == alone.interval
    if alone.state is not FeedbackState.RETRAINING:
        assert held == alone


def test_a_cool_down_ends_on_the_moment() -> None:
    rule = DecisionRules(threshold=0.3, min_votes=30, confidence=0.95)
    for until, state in [(AS_OF + timedelta(microseconds=1), "caution"), (AS_OF, "retraining")]:
        assert (
            make_decision(VoteTotals(dislikes=30), EarlierWindows(cooling_until=until), rule, as_of=AS_OF).state.value
            == state
        )
