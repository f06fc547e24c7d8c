"""What the reader sees of `reembed`: how much was done, what is left, and which documents the model did not take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nightshift.errors import EmbedderError
from nightshift.results.common import GuardRefusal, RunRefused, RunStatus
from nightshift.results.reembed import ReembedResult, RejectedDocument
from nightshift.slack.phrases.forms import Language
from tests.slack import feedback_facts
from tests.slack.facts import LOST, lines
from tests.slack.feedback_facts import CURRENT, DOCUMENTS, POISONED, embedded

FAQ = replace(DOCUMENTS, table="public.faq", embedded=3, unchanged=0, tokens=0)


def told(
    outcome: ReembedResult | RunRefused | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    attempt: int = 1,
    done: ReembedResult | None = None,
) -> str:
    return feedback_facts.told(outcome, language, dry_run=dry_run, attempt=attempt, done=done, job="reembed")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            🧬 문서 재임베딩 Report
            - 테이블: public.document
            - 모델: amazon.titan-embed-text-v2:0 (1,024차원)
            - 새로 임베딩: 412건
            - 변경 없음: 19,588건
            - 토큰: 120,400
            - 소요 시간: 34초
            - 판단 ID: 0199f3a2
            - 실행 시간: 2025-10-17 09:00:00 KST
            """,
        ),
        (
            "en",
            """
            🧬 Re-embedding Report
            - Table: public.document
            - Model: amazon.titan-embed-text-v2:0 (1,024 dimensions)
            - Embedded: 412 documents
            - Unchanged: 19,588 documents
            - Tokens: 120,400
            - Took: 34 s
            - Decision ID: 0199f3a2
            - Run at: 2025-10-17 09:00:00 KST
            """,
        ),
    ],
)
def test_one_table(language: Language, expected: str) -> None:
    assert told(embedded(DOCUMENTS), language).splitlines() == lines(expected)


def test_nobody_asked_so_no_decision_is_named() -> None:
    assert "판단" not in told(embedded(DOCUMENTS, decision=None))


def test_nothing_to_do_is_short() -> None:
    assert told(
        embedded(CURRENT, replace(CURRENT, table="public.faq", unchanged=5), decision=None)
    ).splitlines() == lines("""
        ✅ 다시 임베딩할 문서가 없습니다.
        - 변경 없음: 20,005건
        - 실행 시간: 2025-10-17 09:00:00 KST
    """)
    assert told(embedded(decision=None), "en").splitlines()[0] == "✅ No documents to embed again."


def test_a_second_delivery_did_nothing() -> None:
    assert told(ReembedResult(decision="0199f3a2", done_before=True), attempt=2).splitlines() == lines("""
        ✅ 이 요청의 재임베딩은 이미 끝났습니다. 다시 처리하지 않았습니다.
        - 판단 ID: 0199f3a2
        - 실행 시간: 2025-10-17 09:00:00 KST
        - 시도: 2회차
    """)


@pytest.mark.parametrize(
    ("continues", "korean", "english"),
    [
        (
            True,
            "⏳ 남은 문서 1,000건을 바로 이어서 처리합니다.",
            "⏳ 1,000 documents are left and will be done right away.",
        ),
        (False, "⏳ 남은 문서 1,000건은 다음 실행에서 처리합니다.", "⏳ 1,000 documents are left for the next run."),
    ],
)
def test_what_is_left_goes_on(continues: bool, korean: str, english: str) -> None:
    part = embedded(replace(DOCUMENTS, status=RunStatus.PARTIAL, left=1000), continues=continues)
    assert korean in told(part).splitlines()
    assert english in told(part, "en").splitlines()


def test_poisoned_documents_are_named_and_counted() -> None:
    long = RejectedDocument(id="x" * 500, reason="y" * 500)
    table = replace(DOCUMENTS, poisoned=12, examples=(POISONED, long, POISONED, POISONED))
    _, *seen = told(embedded(table)).partition("⚠️ ")
    assert "".join(seen).splitlines()[:5] == lines(f"""
        ⚠️ 모델이 거부해 제외한 문서: 12건 (본문이 바뀌면 다시 시도합니다)
        • doc-17: ValidationException: too many input tokens
        • {"x" * 77}…: {"y" * 159}…
        • doc-17: ValidationException: too many input tokens
        … 외 9건
    """)
    assert "⚠️ 1 document that the model does not take was set aside until its text changes" in told(
        embedded(replace(table, poisoned=1, examples=())), "en"
    )


def test_a_table_where_only_a_poisoned_document_is_new_is_not_quiet() -> None:
    table = replace(CURRENT, poisoned=1, examples=(POISONED,))
    assert "doc-17" in told(embedded(table))


def test_a_switch_of_models_is_told() -> None:
    assert "🔀 검색이 새 모델의 임베딩으로 전환되었습니다." in told(
        embedded(replace(DOCUMENTS, switched=True, removed=3))
    )
    assert "- Removed with their documents: 3 documents" in told(embedded(replace(DOCUMENTS, removed=3)), "en")


def test_a_preview() -> None:
    preview = replace(DOCUMENTS, status=RunStatus.DRY_RUN, tokens=0)
    seen = told(embedded(preview, decision=None), dry_run=True).splitlines()
    assert seen[0] == "🧪 문서 재임베딩 Report (미리보기)"
    assert "- 임베딩 예정: 412건" in seen
    assert not [line for line in seen if line.startswith("- 소요 시간")]
    assert seen[-1].startswith("💡 미리보기입니다.")
    assert told(embedded(replace(CURRENT, status=RunStatus.DRY_RUN)), dry_run=True).splitlines()[-1].startswith("💡")


def test_of_several_tables_the_gravest_comes_first_and_quiet_ones_are_left_out() -> None:
    refusal = GuardRefusal(guard="unknown_table", message="no such table", hint="look at `table`")
    refused = replace(CURRENT, table="public.gone", status=RunStatus.REFUSED, refusal=refusal, warnings=("w",) * 5)
    head, *tables = told(embedded(FAQ, CURRENT, refused), "en").split("\n\n")
    assert head.splitlines() == lines("""
        🧬 Re-embedding Report
        - Decision ID: 0199f3a2
        - Run at: 2025-10-17 09:00:00 KST
    """)
    assert [table.splitlines()[0] for table in tables] == ["- Table: public.gone", "- Table: public.faq"]
    assert tables[0].splitlines()[1:] == lines("""
        ⛔ Stopped by a guard: table not found
        - Reason: no such table
        - What to do: look at table
        ⚠️ w
        ⚠️ w
        ⚠️ w
        … and 2 more warnings
    """)


def test_a_failure_tells_what_was_done_before() -> None:
    failed = replace(FAQ, status=RunStatus.FAILED, error=LOST)
    failure, done = told(LOST, done=embedded(failed)).split("\n\n")
    assert failure.splitlines()[0] == "🚨 문서 재임베딩 실행 실패"
    assert done.splitlines() == lines("""
        ❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.
        - 판단 ID: 0199f3a2
        - 테이블: public.faq
        - 모델: amazon.titan-embed-text-v2:0 (1,024차원)
        - 새로 임베딩: 3건
        - 소요 시간: 34초
    """)


def test_a_failure_of_one_table_among_several() -> None:
    other = EmbedderError("no such model", hint="enable it")
    tables = (
        replace(FAQ, status=RunStatus.FAILED, error=LOST),
        replace(DOCUMENTS, status=RunStatus.FAILED, error=other),
    )
    _, _, first, second = told(LOST, done=embedded(*tables)).split("\n\n")
    assert first.splitlines()[:2] == ["- 테이블: public.faq", "- 모델: amazon.titan-embed-text-v2:0 (1,024차원)"]
    assert second.splitlines()[1:3] == ["❌ 처리 중 실패했습니다: no such model", "- 조치 방법: enable it"]


def test_a_failure_before_anything_was_done() -> None:
    assert told(LOST, done=embedded(CURRENT, decision=None)).endswith("\n\n임베딩한 문서는 없습니다.")
    assert told(LOST, dry_run=True, done=embedded(DOCUMENTS)).count("💡") == 1


def test_a_lock_held_elsewhere() -> None:
    assert told(RunRefused(reason="another run")).startswith("⏸️ 문서 재임베딩 실행을 건너뛰었습니다.")


def test_names_from_outside_stay_names() -> None:
    name = "<!here>\n- 토큰: 0"
    table = replace(DOCUMENTS, table=name, model=name, poisoned=1, examples=(RejectedDocument(id=name, reason=name),))
    seen = told(embedded(table, decision=name)).splitlines()
    assert [line for line in seen if line.startswith("- 토큰")] == ["- 토큰: 120,400"]
    assert "• <!here> - 토큰: 0: <!here> - 토큰: 0" in seen
