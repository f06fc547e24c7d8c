"""What the reader sees of a restore, in both languages and for every outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from nightshift.archive.object_verification import ObjectDamage
from nightshift.errors import ArchiveMismatch
from nightshift.results.common import GuardRefusal, JobResult, RunRefused, RunStatus
from nightshift.results.restore import RestoreResult
from nightshift.slack.phrases.catalog import MessageCatalog
from nightshift.slack.phrases.forms import Language
from tests.slack import facts
from tests.slack.facts import DAMAGED, KEY, LOST, RESTORED, lines

HOLD = datetime(2025, 10, 22, tzinfo=UTC)
REFUSED = RestoreResult(
    status=RunStatus.REFUSED,
    table="public.conversation_log",
    into="public.users",
    refusal=GuardRefusal(
        guard="impossible_columns", message="feedback: text does not fit integer", hint="use `--rename`"
    ),
)


def told(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    done: JobResult | None = None,
) -> str:
    return facts.told(outcome, language, dry_run=dry_run, done=done, job="restore")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            ♻️ DB Restore Report
            - 대상 테이블: public.conversation_log
            - 복원 위치: public.conversation_log_restored
            - 복원 수: 124 rows
            - 객체 수: 3개 (13.2 KB)
            - 소요 시간: 0.8초 (초당 155 rows)
            - 실행 시간: 2025-10-15 09:00:00 KST
            """,
        ),
        (
            "en",
            """
            ♻️ DB Restore Report
            - Table: public.conversation_log
            - Restored into: public.conversation_log_restored
            - Restored: 124 rows
            - Objects: 3 (13.2 KB)
            - Took: 0.8 s (155 rows per second)
            - Run at: 2025-10-15 09:00:00 KST
            """,
        ),
    ],
)
def test_a_restore_without_anything_special_is_short(language: Language, expected: str) -> None:
    assert told(RESTORED, language).splitlines() == lines(expected)


def test_into_the_original_the_rows_left_alone_and_the_hold_are_told() -> None:
    back = replace(RESTORED, into=RESTORED.table, into_original=True, existing=3, already=2, hold_until=HOLD)
    assert told(back).splitlines()[1:-2] == lines("""
        - 대상 테이블: public.conversation_log
        - 복원 위치: public.conversation_log (원본 테이블)
        - 복원 수: 124 rows
        - 기존 키: 3 rows (기존 행 유지)
        - 객체 수: 3개 (13.2 KB)
        - 이미 복원됨: 2개
        - 보류 기간: 2025-10-22 09:00:00 KST까지 (모든 삭제 작업에서 제외)
    """)
    assert told(back, "en").splitlines()[1:-2] == lines("""
        - Table: public.conversation_log
        - Restored into: public.conversation_log (the original table)
        - Restored: 124 rows
        - Existing keys: 3 rows (left as they were)
        - Objects: 3 (13.2 KB)
        - Restored before: 2
        - Hold: until 2025-10-22 09:00:00 KST (no job deletes these rows)
    """)


@pytest.mark.parametrize(
    ("language", "verdict", "remaining"),
    [
        ("ko", "⚠️ 일부만 복원했습니다.", "- 남은 객체: 4개 (다시 실행하면 이어서 복원합니다)"),
        ("en", "⚠️ Restored in part.", "- Objects left: 4 (run it again to go on)"),
    ],
)
def test_a_run_that_ran_out_of_time_says_how_to_go_on(language: Language, verdict: str, remaining: str) -> None:
    seen = told(replace(RESTORED, status=RunStatus.PARTIAL, remaining=4), language).splitlines()
    assert seen[1] == verdict
    assert remaining in seen


def test_damaged_objects_are_named() -> None:
    seen = told(replace(RESTORED, status=RunStatus.PARTIAL, damaged=(DAMAGED,)))
    assert "⚠️ 일부만 복원했습니다." in seen
    assert seen.split("\n\n")[1].splitlines() == lines(f"""
        ❌ 손상되어 복원하지 못한 객체: 1건
        • {KEY}: 내용 변경됨 (SHA-256 0a1b…, the ledger says 2c3d…)
    """)
    english = told(replace(RESTORED, status=RunStatus.PARTIAL, damaged=(DAMAGED,)), "en")
    assert f"❌ 1 damaged object was not restored\n• {KEY}: altered (SHA-256" in english


def test_many_damaged_objects_and_notes_are_counted() -> None:
    damaged = tuple(replace(DAMAGED, key=f"{n}.parquet") for n in range(8))
    notes = tuple(f"column_{n}: was filled with NULL" for n in range(7))
    _, first, second = told(replace(RESTORED, status=RunStatus.PARTIAL, damaged=damaged, columns=notes)).split("\n\n")
    assert first.startswith("❌ 손상되어 복원하지 못한 객체: 8건\n• 0.parquet: ")
    assert first.endswith("… 외 3건")
    assert "• 4.parquet" in first
    assert "5.parquet" not in first
    assert second.startswith("💡 컬럼 참고 사항\n• column_0: was filled with NULL\n")
    assert second.endswith("• column_4: was filled with NULL\n… 외 2건")


def test_notes_on_columns_stand_below_the_figures() -> None:
    note = "`feedback`: is not in the archive, filled with its default"
    assert told(replace(RESTORED, columns=(note,)), "en").split("\n\n")[1].splitlines() == lines("""
        💡 About the columns
        • feedback: is not in the archive, filled with its default
    """)


def test_every_kind_of_damage_has_a_name_in_both_languages() -> None:
    korean, english = MessageCatalog("ko").damages, MessageCatalog("en").damages
    assert korean.keys() == english.keys() == {damage.value for damage in ObjectDamage}
    unheard = replace(DAMAGED, damage="moth-eaten", what="holes")
    assert f"• {KEY}: moth-eaten (holes)" in told(replace(RESTORED, status=RunStatus.PARTIAL, damaged=(unheard,)))


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            ♻️ DB Restore Report
            ⛔ 안전장치가 작동해 중단했습니다: 컬럼 구성이 맞지 않음
            - 사유: 보관된 행의 컬럼과 복원할 테이블의 컬럼을 서로 맞출 수 없습니다.
            - 상세 내용: feedback: text does not fit integer
            - 조치 방법: use --rename
            - 대상 테이블: public.conversation_log
            - 복원 위치: public.users
            복원된 행은 없습니다.
            - 실행 시간: 2025-10-15 09:00:00 KST
            """,
        ),
        (
            "en",
            """
            ♻️ DB Restore Report
            ⛔ Stopped by a guard: the columns do not fit
            - Reason: feedback: text does not fit integer
            - What to do: use --rename
            - Table: public.conversation_log
            - Restored into: public.users
            No rows were restored.
            - Run at: 2025-10-15 09:00:00 KST
            """,
        ),
    ],
)
def test_a_refusal_names_guard_reason_and_remedy(language: Language, expected: str) -> None:
    assert told(REFUSED, language).splitlines() == lines(expected)


def test_a_refusal_before_the_table_was_known_names_no_place() -> None:
    seen = told(replace(REFUSED, into=None))
    assert "복원 위치" not in seen
    assert "안전장치가 작동해" in seen


def test_rows_restored_before_a_refusal_are_not_denied() -> None:
    seen = told(replace(REFUSED, rows=7))
    assert "- 복원 수: 7 rows" in seen
    assert "복원된 행은 없습니다" not in seen


def test_nothing_left_to_restore_tells_how_many_were_restored_before() -> None:
    nothing = replace(RESTORED, status=RunStatus.NOTHING, rows=0, objects=0, bytes=0, already=3)
    assert told(nothing).splitlines() == lines("""
        ✅ 복원할 객체가 없습니다.
        - 대상 테이블: public.conversation_log
        - 복원 위치: public.conversation_log_restored
        - 이미 복원됨: 3개
    """)
    assert told(nothing, "en").startswith("✅ No objects to restore.\n- Table: ")
    assert "이미 복원됨" not in told(replace(nothing, already=0))


def test_a_dry_run_is_marked_as_a_preview() -> None:
    preview = replace(RESTORED, status=RunStatus.DRY_RUN)
    assert told(preview, dry_run=True).splitlines() == lines("""
        🧪 DB Restore Report (미리보기)
        - 대상 테이블: public.conversation_log
        - 복원 위치: public.conversation_log_restored
        - 복원 예정: 124 rows
        - 객체 수: 3개 (13.2 KB)
        - 실행 시간: 2025-10-15 09:00:00 KST
        💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다.
    """)
    english = told(preview, "en", dry_run=True)
    assert english.startswith("🧪 DB Restore Report (preview)\n")
    assert "- To restore: 124 rows" in english


def test_a_refused_dry_run_is_marked_too() -> None:
    seen = told(REFUSED, dry_run=True).splitlines()
    assert seen[0] == "🧪 DB Restore Report (미리보기)"
    assert seen[-1] == "💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다."


def test_a_failure_tells_what_was_restored_before() -> None:
    assert told(LOST, done=replace(RESTORED, status=RunStatus.PARTIAL, damaged=(DAMAGED,))).splitlines() == lines(f"""
        🚨 DB Restore 실행 실패
        - 오류: S3 is away
        - 조치 방법: wait
        - 실행 시간: 2025-10-15 09:00:00 KST
        - 소요 시간: 1.2초

        ❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.
        - 대상 테이블: public.conversation_log
        - 복원 위치: public.conversation_log_restored
        - 복원 수: 124 rows
        - 객체 수: 3개 (13.2 KB)
        - 소요 시간: 0.8초 (초당 155 rows)

        ❌ 손상되어 복원하지 못한 객체: 1건
        • {KEY}: 내용 변경됨 (SHA-256 0a1b…, the ledger says 2c3d…)
    """)


def test_an_archive_that_is_damaged_as_a_whole_is_a_failure() -> None:
    error = ArchiveMismatch("no object could be restored: all 1 are damaged", detail=f"{KEY}: altered", hint="look")
    seen = told(error, "en", done=replace(RESTORED, status=RunStatus.PARTIAL, rows=0, objects=0, damaged=(DAMAGED,)))
    assert seen.startswith("🚨 DB Restore failed\n- Error: no object could be restored")
    assert "- Restored: 0 rows" in seen


def test_a_lock_held_elsewhere() -> None:
    assert told(RunRefused(reason="another run")).startswith("⏸️ DB Restore 실행을 건너뛰었습니다.")
