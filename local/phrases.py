"""What users of a career coach ask, and what the coach answers, in Korean and English: raw material for `chatlog`.

`{job}` and `{skill}` are filled in. Quotes, commas, line breaks and emojis are wanted: CSV and Parquet must carry them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One language's phrases."""

    code: str
    jobs: tuple[str, ...]
    skills: tuple[str, ...]
    questions: tuple[str, ...]
    openings: tuple[str, ...]
    advice: tuple[str, ...]
    closings: tuple[str, ...]


KOREAN = Language(
    code="ko",
    jobs=(
        "백엔드 개발자",
        "데이터 분석가",
        "서비스 기획자",
        "UX 디자이너",
        "마케터",
        "간호사",
        "회계 담당자",
        "초등 교사",
    ),
    skills=("SQL", "Python", "데이터 시각화", "문서 작성", "발표", "일정 관리", "고객 인터뷰", "A/B 테스트"),
    questions=(
        "{job}로 이직하고 싶은데 무엇부터 준비해야 할까요?",
        "경력이 2년뿐인데 {job} 자리에 지원해도 괜찮을까요?",
        "자기소개서에 {skill} 경험을 어떻게 쓰면 좋을까요?",
        "면접에서 '본인의 단점'을 물어보면 뭐라고 답해야 하나요?",
        "{skill} 공부를 시작했는데, 두 달 안에 포트폴리오를 만들 수 있을까요?",
        "연봉 협상은 언제 꺼내는 게 좋을까요? 너무 이르면 안 좋게 볼까 봐 걱정돼요.",
        '이력서 첫 줄을 "{skill}에 강한 {job}"라고 써 봤어요. 어떤가요?',
        "퇴근하고 하루 한 시간밖에 없어요 ㅠㅠ {job} 준비가 가능할까요?",
    ),
    openings=(
        "좋은 질문이에요. 먼저 지금 하고 계신 일을 세 가지로 나눠 적어 보세요.",
        "충분히 가능합니다. 채용 공고 열 개를 모아서 겹치는 요건부터 표시해 볼까요?",
        "걱정하시는 마음이 이해돼요. 다만 {job} 채용에서는 연차보다 결과물을 더 많이 봅니다.",
        '핵심은 "무엇을 했다"가 아니라 "무엇이 달라졌다"입니다.',
    ),
    advice=(
        "1) 목표를 한 문장으로 쓰기\n2) {skill} 과제를 매주 하나씩 끝내기\n3) 결과를 숫자로 남기기",
        "예를 들면 '문의 응답 시간을 하루에서 세 시간으로 줄였다'처럼 전후를 비교해 주세요.",
        "{skill} 경험은 도구 이름보다 그 도구로 내린 결정을 중심으로 쓰는 편이 설득력이 있습니다.",
        "면접 답변은 상황, 과제, 행동, 결과 순서로 1분 안에 말하는 연습을 해 보세요.",
    ),
    closings=(
        "초안을 보내 주시면 함께 다듬어 드릴게요.",
        "다음 주 화요일에 진행 상황을 다시 확인해 볼까요? 😊",
        "더 궁금한 점이 있으면 편하게 물어보세요!",
        "오늘은 여기까지만 해도 충분합니다.",
    ),
)

ENGLISH = Language(
    code="en",
    jobs=("backend engineer", "data analyst", "product manager", "UX designer", "nurse", "accountant"),
    skills=("SQL", "Python", "public speaking", "stakeholder interviews", "technical writing", "A/B testing"),
    questions=(
        "I want to become a {job}. Where should I start?",
        "Is two years of experience enough to apply as a {job}?",
        "How do I describe my {skill} experience on a résumé?",
        'They asked, "Why are you leaving?" and I froze. What is a good answer?',
        'Could you review this line: "{job}, strong in {skill}"?',
        "When is the right time to bring up salary?",
    ),
    openings=(
        "Good question. Start by listing three things that you do every week.",
        "Yes, it can be done. Collect ten job ads and mark what they have in common.",
        "For a {job}, results count more than years.",
    ),
    advice=(
        "Try this:\n- one sentence for the goal\n- one small {skill} project a week\n- one number for each result",
        'Compare before and after: "answers took a day, now they take three hours".',
        "Name the decision that {skill} led to, not the tool.",
    ),
    closings=(
        "Send me a draft and we will polish it together.",
        "Shall we look at it again next Tuesday?",
        "You've got this.",
    ),
)
