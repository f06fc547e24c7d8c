"""What the reader sees of `feedback`: the report they know, then why it says so and what was done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from nightshift.errors import BusError
from nightshift.results.common import RunRefused
from nightshift.results.feedback import ConfidenceInterval, FeedbackReason, FeedbackState, GroupVotes, VoteTotals
from nightshift.slack.phrases.forms import Language
from tests.slack.facts import lines
from tests.slack.feedback_facts import AS_OF, BAD, EMPTY, HEALTHY, REFUSED, told


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            🧠 AI Feedback Loop Report
            - 👍 좋아요: 87
            - 👎 싫어요: 13
            - 총 피드백: 100
            - 부정 비율: 13.0%
            - 상태: ✅ 정상 유지
            - 생성 시각: 2025-10-17 09:00
            📊 실시간 Dashboard 보기

            - 판단 근거: 부정 비율 13.0%가 기준 30%를 넘지 않습니다. (95% 신뢰구간 7.8%~21.0%)
            - 집계 대상: 2025-10-16 KST
            """,
        ),
        (
            "en",
            """
            🧠 AI Feedback Loop Report
            - 👍 Likes: 87
            - 👎 Dislikes: 13
            - Total votes: 100
            - Negative ratio: 13.0%
            - State: ✅ Healthy
            - Created at: 2025-10-17 09:00
            📊 Open the live dashboard

            - Why: The negative ratio of 13.0% is not above the threshold of 30%. (95% interval 7.8% to 21.0%)
            - Counted: 2025-10-16 KST
            """,
        ),
    ],
)
def test_a_healthy_day(language: Language, expected: str) -> None:
    assert told(HEALTHY, language).splitlines() == lines(expected)


def test_a_bad_day_says_why_what_was_started_and_where_it_hurts() -> None:
    form, details = told(BAD).split("\n\n")
    assert "- 상태: 🔁 재학습 시작" in form.splitlines()
    assert details.splitlines() == lines("""
        - 판단 근거: 우연으로 보기 어려울 만큼 부정 비율 41.0%가 기준 30%보다 높습니다. (95% 신뢰구간 31.9%~50.8%)
        🔁 문서 재임베딩을 시작했습니다.
        - 판단 ID: 0199f3a2
        - 집계 대상: 2025-10-16 KST
        - 전일 대비: ▲ 21.0%p (20.0% → 41.0%)
        - 직전 7일 부정 비율: 12.0% (700건)
        - 늦게 도착한 전일 피드백: 5개
        - 싫어요에 달린 의견: 9개
        📌 부정 비율이 높은 그룹:
        • 가격: 70.0% (40건 중 👎 28)
        • 면접: 35.5% (31건 중 👎 11)
    """)


WEEK = VoteTotals(likes=880, dislikes=120)
SENTENCES = [
    (
        FeedbackReason.WORSE,
        {"interval": ConfidenceInterval(low=0.15, high=0.29, confidence=0.95), "week": WEEK},
        "기준 30%는 넘지 않지만, 직전 7일의 12.0%보다 뚜렷하게 나빠졌습니다. (95% 신뢰구간 15.0%~29.0%)",
        "Not above the threshold of 30%, but clearly worse than the 12.0% of the 7 days before. "
        "(95% interval 15.0% to 29.0%)",
    ),
    (
        FeedbackReason.UNCERTAIN,
        {
            "votes": VoteTotals(likes=60, dislikes=40),
            "interval": ConfidenceInterval(low=0.3, high=0.51, confidence=0.99),
        },
        "부정 비율 40.0%가 기준 30%를 넘지만, 우연일 수 있습니다. (99% 신뢰구간 30.0%~51.0%)",
        "The negative ratio of 40.0% is above the threshold of 30%, but that may be chance. "
        "(99% interval 30.0% to 51.0%)",
    ),
    (
        FeedbackReason.COOLING_DOWN,
        {"votes": VoteTotals(likes=5, dislikes=5), "interval": ConfidenceInterval(low=0.4, high=0.6, confidence=0.95)},
        "부정 비율 50.0%가 기준 30%보다 분명히 높지만, 얼마 전에 재임베딩을 시작했습니다. (95% 신뢰구간 40.0%~60.0%)",
        "The negative ratio of 50.0% is above the threshold of 30% by more than chance, but re-embedding was started a "
        "short while ago. (95% interval 40.0% to 60.0%)",
    ),
    (
        FeedbackReason.SUPERSEDED,
        {"votes": VoteTotals(likes=5, dislikes=5), "interval": ConfidenceInterval(low=0.4, high=0.6, confidence=0.95)},
        "부정 비율 50.0%가 기준 30%보다 분명히 높지만, 더 최근의 날을 이미 판단했으므로 아무것도 시작하지 않습니다. "
        "(95% 신뢰구간 40.0%~60.0%)",
        "The negative ratio of 50.0% is above the threshold of 30% by more than chance, but a later day was decided on "
        "already: nothing is started. (95% interval 40.0% to 60.0%)",
    ),
    (
        FeedbackReason.TOO_FEW,
        {"votes": VoteTotals(likes=1, dislikes=2), "interval": ConfidenceInterval(low=0.2, high=0.9, confidence=0.95)},
        "피드백 3건으로는 판단하지 않습니다. 적어도 30건이 필요합니다.",
        "3 votes decide nothing. It takes at least 30 votes.",
    ),
    (
        FeedbackReason.UNKNOWN_VALUES,
        {"unknown": 120},
        "좋아요도 싫어요도 아닌 값이 120건 있어 판단하지 않습니다. FEEDBACK_LIKES, FEEDBACK_DISLIKES, FEEDBACK_NEUTRAL "
        "설정을 확인하세요.",
        "120 ratings are neither a like nor a dislike, so nothing is decided. Check FEEDBACK_LIKES, FEEDBACK_DISLIKES "
        "and FEEDBACK_NEUTRAL.",
    ),
]


@pytest.mark.parametrize(("reason", "facts", "korean", "english"), SENTENCES, ids=lambda value: str(value)[:20])
def test_each_reason_has_its_sentence(
    reason: FeedbackReason, facts: dict[str, VoteTotals | ConfidenceInterval], korean: str, english: str
) -> None:
    result = replace(HEALTHY, reason=reason, **facts)  # type: ignore[arg-type]
    assert f"- 판단 근거: {korean}" in told(result).splitlines()
    assert f"- Why: {english}" in told(result, "en").splitlines()


@pytest.mark.parametrize("language", ["ko", "en"])
def test_no_two_reasons_and_no_two_states_read_alike(language: Language) -> None:
    reasons = {told(replace(BAD, reason=reason), language) for reason in FeedbackReason}
    states = {told(replace(BAD, state=state, started=False), language) for state in FeedbackState}
    assert (len(reasons), len(states)) == (len(FeedbackReason), len(FeedbackState))


def test_a_number_that_decided_is_not_rounded_onto_the_threshold() -> None:
    barely = replace(
        BAD,
        votes=VoteTotals(likes=69_960, dislikes=30_040),
        interval=ConfidenceInterval(low=0.30001, high=0.31, confidence=0.95),
    )
    assert "부정 비율 30.04%가 기준 30%보다 높습니다. (95% 신뢰구간 30.001%~31.0%)" in told(barely)
    assert "- 부정 비율: 30.0%" in told(barely).splitlines()
    odd = replace(HEALTHY, threshold=0.325, interval=ConfidenceInterval(low=0.1, high=0.325, confidence=0.995))
    assert "기준 32.5%를 넘지 않습니다. (99.5% 신뢰구간 10.0%~32.5%)" in told(odd)


def test_no_votes_have_no_ratio() -> None:
    assert told(EMPTY).splitlines() == lines("""
        🧠 AI Feedback Loop Report
        - 👍 좋아요: 0
        - 👎 싫어요: 0
        - 총 피드백: 0
        - 부정 비율: -
        - 상태: 📉 표본 부족
        - 생성 시각: 2025-10-17 09:00

        - 판단 근거: 이 날에는 피드백이 없습니다. 판단하려면 적어도 30건이 필요합니다.
        - 집계 대상: 2025-10-16 KST
    """)
    assert "- Why: Nobody voted on this day." in told(
        replace(EMPTY, previous=VoteTotals(likes=1), week=VoteTotals()), "en"
    )


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        (VoteTotals(likes=90, dislikes=10), "▲ 3.0%p (10.0% → 13.0%)"),
        (VoteTotals(likes=80, dislikes=20), "▼ 7.0%p (20.0% → 13.0%)"),
        (VoteTotals(likes=8700, dislikes=1301), "변동 없음 (13.0% → 13.0%)"),
    ],
)
def test_the_change_since_the_day_before(previous: VoteTotals, expected: str) -> None:
    assert f"- 전일 대비: {expected}" in told(replace(HEALTHY, previous=previous)).splitlines()


def test_a_second_delivery_starts_nothing_twice() -> None:
    again = told(replace(BAD, started=False, decided_before=True)).splitlines()
    assert "♻️ 이 날의 판단은 이전 실행에서 이미 기록했습니다. 재임베딩을 두 번 시작하지 않습니다." in again
    assert "- 상태: 🔁 재학습 시작" in again
    late = told(replace(BAD, decided_before=True), "en").splitlines()
    assert late[10:12] == [
        "♻️ An earlier run has decided on this day.",
        "🔁 Re-embedding of the documents was started.",
    ]
    assert told(replace(HEALTHY, decided_before=True)).count("재임베딩") == 0


def test_an_event_that_was_not_taken_is_not_called_a_start() -> None:
    failure, form, details = told(BusError("EventBridge is away"), done=replace(BAD, started=False)).split("\n\n")
    assert failure.splitlines()[0] == "🚨 AI Feedback Loop 실행 실패"
    assert form.splitlines()[:2] == [
        "❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.",
        "- 👍 좋아요: 59",
    ]
    assert details.splitlines()[1].startswith("⏳ 재임베딩이 시작되었는지 확인하지 못했습니다.")
    again = told(BusError("EventBridge is away"), done=replace(BAD, started=False, decided_before=True))
    assert "두 번 시작하지" not in again and "확인하지 못했습니다" in again


def test_cooling_down_says_until_when() -> None:
    cooling = replace(
        BAD,
        state=FeedbackState.CAUTION,
        reason=FeedbackReason.COOLING_DOWN,
        started=False,
        cooling_until=AS_OF + timedelta(hours=30),
    )
    assert "- 재임베딩 대기: 2025-10-18 15:00:00 KST까지" in told(cooling).splitlines()
    assert "- Re-embedding waits: until 2025-10-18 15:00:00 KST" in told(cooling, "en").splitlines()


def test_a_preview_says_so_once() -> None:
    preview = replace(BAD, started=False, dry_run=True)
    first, *_, last = told(preview, dry_run=True).splitlines()
    assert first == "🧪 AI Feedback Loop Report (미리보기)"
    assert last == "💡 미리보기입니다. 판단을 기록하지 않았고 재임베딩도 시작하지 않았습니다."
    assert told(BusError("away"), dry_run=True, done=preview).count("💡") == 1


def test_a_refusal_shows_no_figures() -> None:
    assert told(REFUSED, attempt=2).splitlines() == lines("""
        🧠 AI Feedback Loop Report
        ⛔ 안전장치가 작동해 중단했습니다: 컬럼을 찾을 수 없음
        - 사유: 설정에 적힌 컬럼이 테이블에 없거나, 서로 참조하는 컬럼의 개수가 다릅니다.
        - 상세 내용: there is no column "rating"
        - 조치 방법: set FEEDBACK_RATING
        - 테이블: public.conversation_log
        - 집계 대상: 2025-10-16 KST
        - 생성 시각: 2025-10-17 09:00
        - 시도: 2회차
    """)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Berlin", (2025, 3, 30), "- 집계 대상: 2025-03-30 CET (서머타임 전환으로 23시간)"),
        ("America/New_York", (2025, 11, 2), "- 집계 대상: 2025-11-02 EDT (서머타임 전환으로 25시간)"),
        ("Asia/Seoul", (2025, 3, 30), "- 집계 대상: 2025-03-30 KST"),
    ],
)
def test_a_day_at_a_change_of_clocks_has_its_own_length(zone: str, day: tuple[int, int, int], expected: str) -> None:
    start = datetime(*day, tzinfo=ZoneInfo(zone))
    assert expected in told(replace(HEALTHY, start=start, end=start + timedelta(days=1))).splitlines()


def test_many_groups_and_warnings_are_counted() -> None:
    groups = tuple(GroupVotes(group=f"topic {n}", votes=VoteTotals(dislikes=n)) for n in range(5))
    result = replace(BAD, worst=groups, warnings=("the chart could not be drawn", "b", "c", "d"))
    seen = told(result, "en", attempt=3).splitlines()
    assert seen[-9:] == lines("""
        • topic 0: - (👎 0 of 0 votes)
        • topic 1: 100.0% (👎 1 of 1 vote)
        • topic 2: 100.0% (👎 2 of 2 votes)
        … and 2 more
        - Attempt: no. 3
        ⚠️ the chart could not be drawn
        ⚠️ b
        ⚠️ c
        … and 1 more warning
    """)


def test_names_from_outside_stay_names() -> None:
    name = "<!here>|\n- 상태: ✅ 정상 유지"
    odd = replace(BAD, worst=(GroupVotes(group=name, votes=VoteTotals(dislikes=1)),), decision=name, warnings=(name,))
    seen = told(odd).splitlines()
    assert [line for line in seen if line.startswith("- 상태")] == ["- 상태: 🔁 재학습 시작"]
    assert "• <!here>| - 상태: ✅ 정상 유지: 100.0% (1건 중 👎 1)" in seen


def test_a_lock_held_elsewhere() -> None:
    assert told(RunRefused(reason="another run")).startswith("⏸️ AI Feedback Loop 실행을 건너뛰었습니다.")


def test_the_window_is_named_by_its_first_moment() -> None:
    """A zone whose midnight is skipped has days that begin at one o'clock."""
    start = datetime(2018, 11, 4, 1, tzinfo=ZoneInfo("America/Sao_Paulo"))
    end = datetime(2018, 11, 5, tzinfo=ZoneInfo("America/Sao_Paulo"))
    assert "- 집계 대상: 2018-11-04 -02 (서머타임 전환으로 23시간)" in told(replace(HEALTHY, start=start, end=end))
