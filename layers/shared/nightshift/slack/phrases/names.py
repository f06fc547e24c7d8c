"""Phrases for jobs, for states and verdicts of `feedback`, and for kinds of damage to objects."""

from __future__ import annotations

from nightshift.slack.phrases.forms import named


class Names:
    """Phrases by internal name, e.g. the name of a job or a `FeedbackState`."""

    jobs = named(
        {
            "cleanup": ("DB Cleanup", "DB Cleanup"),
            "restore": ("DB Restore", "DB Restore"),
            "expire_jobs": ("만료 작업 정리", "Expired jobs cleanup"),
            "feedback": ("AI Feedback Loop", "AI Feedback Loop"),
            "backup": ("DB 백업", "DB backup"),
            "rehearse": ("백업 복원 리허설", "Restore rehearsal"),
            "restore_backup": ("백업 복원", "Backup restore"),
            "reembed": ("문서 재임베딩", "Re-embedding"),
        }
    )
    states = named(
        {
            "healthy": ("✅ 정상 유지", "✅ Healthy"),
            "caution": ("⚠️ 주의", "⚠️ Caution"),
            "retraining": ("🔁 재학습 시작", "🔁 Retraining started"),
            "too_few_votes": ("📉 표본 부족", "📉 Too few votes"),
        }
    )
    verdicts = named(
        {
            "within": (
                "부정 비율 {ratio}가 기준 {threshold}를 넘지 않습니다. ({interval})",
                "The negative ratio of {ratio} is not above the threshold of {threshold}. ({interval})",
            ),
            "worse": (
                "기준 {threshold}는 넘지 않지만, 직전 7일의 {week}보다 뚜렷하게 나빠졌습니다. ({interval})",
                (
                    "Not above the threshold of {threshold}, but clearly worse than the {week} of the 7 days before. "
                    "({interval})"
                ),
            ),
            "uncertain": (
                "부정 비율 {ratio}가 기준 {threshold}를 넘지만, 우연일 수 있습니다. ({interval})",
                (
                    "The negative ratio of {ratio} is above the threshold of {threshold}, but that may be chance. "
                    "({interval})"
                ),
            ),
            "certain": (
                "우연으로 보기 어려울 만큼 부정 비율 {ratio}가 기준 {threshold}보다 높습니다. ({interval})",
                "The negative ratio of {ratio} is above the threshold of {threshold} by more than chance. ({interval})",
            ),
            "cooling_down": (
                (
                    "부정 비율 {ratio}가 기준 {threshold}보다 분명히 높지만, 얼마 전에 재임베딩을 시작했습니다. "
                    "({interval})"
                ),
                (
                    "The negative ratio of {ratio} is above the threshold of {threshold} by more than chance, but "
                    "re-embedding was started a short while ago. ({interval})"
                ),
            ),
            "superseded": (
                (
                    "부정 비율 {ratio}가 기준 {threshold}보다 분명히 높지만, 더 최근의 날을 이미 판단했으므로 아무것도 "
                    "시작하지 않습니다. ({interval})"
                ),
                (
                    "The negative ratio of {ratio} is above the threshold of {threshold} by more than chance, but a "
                    "later day was decided on already: nothing is started. ({interval})"
                ),
            ),
            "unknown_values": (
                (
                    "좋아요도 싫어요도 아닌 값이 {unknown} 있어 판단하지 않습니다. FEEDBACK_LIKES, FEEDBACK_DISLIKES, "
                    "FEEDBACK_NEUTRAL 설정을 확인하세요."
                ),
                (
                    "{unknown} are neither a like nor a dislike, so nothing is decided. Check FEEDBACK_LIKES, "
                    "FEEDBACK_DISLIKES and FEEDBACK_NEUTRAL."
                ),
            ),
            "too_few": (
                "피드백 {total}으로는 판단하지 않습니다. 적어도 {min_votes}이 필요합니다.",
                "{total} decide nothing. It takes at least {min_votes}.",
            ),
            "no_votes": (
                "이 날에는 피드백이 없습니다. 판단하려면 적어도 {min_votes}이 필요합니다.",
                "Nobody voted on this day. It takes at least {min_votes} to decide.",
            ),
        }
    )
    damages = named(
        {
            "missing": ("없음", "missing"),
            "wrong size": ("크기 불일치", "wrong size"),
            "altered": ("내용 변경됨", "altered"),
            "unreadable": ("읽을 수 없음", "unreadable"),
            "wrong row count": ("행 수 불일치", "wrong row count"),
            "in cold storage": ("콜드 스토리지에 있음", "in cold storage"),
        }
    )
