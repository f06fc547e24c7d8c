"""What the reader sees of one table, in both languages and for every outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from nightshift.results.common import GuardRefusal
from nightshift.slack.phrases.forms import Language
from tests.slack.facts import CSV, DONE, KEY, NOTHING, PARTIAL, PREVIEW, REFUSED, cleaned, lines, told


def test_the_report_opens_and_closes_as_its_readers_know_it() -> None:
    seen = told(cleaned(DONE, attachments=(CSV,))).splitlines()
    assert seen[:5] + seen[-1:] == lines("""
        💾 DB Cleanup Report
        - 백업 파일: conversation_log_backup_20250915.csv
        - 백업 수: 124 rows
        - 삭제 기준일: 2025-09-15
        - 실행 시간: 2025-10-15 09:00:00 KST
        📎 첨부: CSV 파일
    """)
    assert seen[5:-1] == lines(f"""
        - 테이블: public.conversation_log
        - 보관 용량: 13.2 KB (Parquet 파일 3개)
        - 보관 위치: {KEY} 외 2개
        - 소요 시간: 0.8초 (초당 155 rows)
        - 가장 오래된 미처리 행: 없음
    """)


def test_the_report_in_english() -> None:
    assert told(cleaned(DONE, attachments=(CSV,)), "en").splitlines() == lines(f"""
        💾 DB Cleanup Report
        - Backup file: conversation_log_backup_20250915.csv
        - Backed up: 124 rows
        - Cutoff date: 2025-09-15
        - Run at: 2025-10-15 09:00:00 KST
        - Table: public.conversation_log
        - Archive size: 13.2 KB (3 Parquet files)
        - Kept in: {KEY} and 2 more
        - Took: 0.8 s (155 rows per second)
        - Oldest overdue row: none
        📎 Attached: CSV file
    """)


def test_nothing_to_do_is_one_sentence() -> None:
    assert told(cleaned(NOTHING)) == "✅ 백업할 오래된 로그가 없습니다. (기준: 2025-09-15)"
    assert told(cleaned(NOTHING), "en") == "✅ No old logs to back up. (cutoff: 2025-09-15)"


def test_the_cutoff_is_the_day_in_the_tables_own_zone() -> None:
    cutoff = datetime(2025, 9, 15, 23, tzinfo=ZoneInfo("America/New_York"))  # already the 16th in Seoul
    assert told(cleaned(replace(NOTHING, cutoff=cutoff))).endswith("(기준: 2025-09-15)")


def test_without_a_csv_the_backup_file_is_the_object() -> None:
    seen = told(cleaned(replace(DONE, objects=1, keys=(KEY,))))
    assert f"- 백업 파일: {KEY}\n" in seen
    assert "보관 위치" not in seen
    assert "📎" not in seen


def test_a_csv_that_was_cut_says_so() -> None:
    cut = replace(CSV, rows=1000, total_rows=12_345)
    assert told(cleaned(DONE, attachments=(cut,))).endswith("📎 첨부: CSV 파일 (전체 12,345행 중 처음 1,000행)")
    assert told(cleaned(DONE, attachments=(cut,)), "en").endswith("(the first 1,000 of 12,345 rows)")


def test_what_else_was_done_is_told() -> None:
    seen = told(cleaned(replace(DONE, partitions_dropped=2, vacuumed=True, warnings=("<slow> & old",)), orphans=3))
    assert seen.splitlines()[-4:] == lines("""
        - 삭제한 파티션: 2개
        - VACUUM: 완료
        ⚠️ <slow> & old
        - 정리한 미완료 파일: 3개
    """)


def test_many_warnings_are_counted() -> None:
    seen = told(cleaned(replace(DONE, warnings=tuple(f"warning {n}" for n in range(8)))))
    assert "⚠️ warning 4\n… 외 경고 3건" in seen
    assert "warning 5" not in seen


def test_a_partial_run_names_the_oldest_row_left_and_that_it_goes_on() -> None:
    seen = told(cleaned(PARTIAL), attempt=2).splitlines()
    assert seen[1] == "⏳ 일부만 처리했습니다. 남은 행은 다음 실행에서 이어서 처리합니다."
    assert "- 시도: 2회차" in seen
    assert "- 소요 시간: 14분 5초" in seen
    assert seen[-1] == "- 가장 오래된 미처리 행: 2025-09-14 00:00:00 KST"
    assert "goes on" in told(cleaned(PARTIAL), "en")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            💾 DB Cleanup Report
            ⛔ 안전장치가 작동해 중단했습니다: 삭제 대상이 비정상적으로 많음
            - 사유: 삭제 대상 행의 비율이 허용 한도를 넘었습니다. 보관 기간이 잘못 설정되었을 수 있습니다.
            - 상세 내용: 98 % of the rows are due
            - 조치 방법: check keep_days, or force
            - 삭제 기준일: 2025-09-15
            - 실행 시간: 2025-10-15 09:00:00 KST
            - 테이블: public.conversation_log
            삭제된 행은 없습니다.
            """,
        ),
        (
            "en",
            """
            💾 DB Cleanup Report
            ⛔ Stopped by a guard: unusually many rows to delete
            - Reason: 98 % of the rows are due
            - What to do: check keep_days, or force
            - Cutoff date: 2025-09-15
            - Run at: 2025-10-15 09:00:00 KST
            - Table: public.conversation_log
            No rows were deleted.
            """,
        ),
    ],
)
def test_a_refusal_names_guard_reason_and_remedy(language: Language, expected: str) -> None:
    assert told(cleaned(REFUSED), language).splitlines() == lines(expected)


def test_an_unknown_guard_keeps_its_name() -> None:
    refusal = GuardRefusal(guard="moon_phase", message="it is full", hint="wait")
    assert "안전 점검 실패 (moon_phase)" in told(cleaned(replace(REFUSED, refusal=refusal)))


def test_rows_deleted_before_a_refusal_are_not_denied() -> None:
    seen = told(cleaned(replace(REFUSED, archived_rows=7, deleted_rows=7)))
    assert seen.endswith("- 백업 수: 7 rows")
    assert "삭제된 행은 없습니다" not in seen


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            🧪 DB Cleanup Report (미리보기)
            - 백업 예정: 1,234 rows (테이블의 12.3%)
            - 삭제 기준일: 2025-09-15
            - 실행 시간: 2025-10-15 09:00:00 KST
            - 테이블: public.conversation_log
            - 예상 용량: 5.0 MB (Parquet 파일 2개)
            - 예상 소요 시간: 1분 12초
            - 예상 비용: $0.0012 (S3 요청과 첫 달 보관료)
            💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다.
            """,
        ),
        (
            "en",
            """
            🧪 DB Cleanup Report (preview)
            - To back up: 1,234 rows (12.3% of the table)
            - Cutoff date: 2025-09-15
            - Run at: 2025-10-15 09:00:00 KST
            - Table: public.conversation_log
            - Expected size: 5.0 MB (2 Parquet files)
            - Expected duration: 1 min 12 s
            - Expected cost: $0.0012 (S3 requests and the first month's storage)
            💡 This is a preview. Nothing was stored or deleted.
            """,
        ),
    ],
)
def test_a_dry_run_tells_what_to_expect(language: Language, expected: str) -> None:
    assert told(cleaned(PREVIEW), language, dry_run=True).splitlines() == lines(expected)
