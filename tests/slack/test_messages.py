"""What the reader sees, in both languages and for every outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from textwrap import dedent
from zoneinfo import ZoneInfo

import pytest

from nightshift.errors import StoreError
from nightshift.results import (
    Attachment,
    CleanupResult,
    Estimate,
    JobResult,
    Refusal,
    RunRefused,
    Status,
    TableResult,
)
from nightshift.slack.blocks import Report, as_text, render
from nightshift.slack.texts import Language

SEOUL = ZoneInfo("Asia/Seoul")
AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
CUTOFF = datetime(2025, 9, 15, tzinfo=SEOUL)
KEY = "archive/table=public.conversation_log/dt=2025-09-14/0198.parquet"

DONE = TableResult(
    table="public.conversation_log",
    status=Status.OK,
    cutoff=CUTOFF,
    archived_rows=124,
    deleted_rows=124,
    objects=3,
    bytes=13_210,
    seconds=0.8,
    keys=(KEY, KEY, KEY),
)
NOTHING = TableResult(table="public.conversation_log", status=Status.NOTHING, cutoff=CUTOFF)
PARTIAL = replace(DONE, status=Status.PARTIAL, seconds=845, oldest_overdue=CUTOFF - timedelta(days=1), objects=1)
REFUSED = TableResult(
    table="public.conversation_log",
    status=Status.REFUSED,
    cutoff=CUTOFF,
    refusal=Refusal(guard="abnormal_volume", message="98 % of the rows are due", hint="check keep_days, or `force`"),
)
PREVIEW = TableResult(
    table="public.conversation_log",
    status=Status.DRY_RUN,
    cutoff=CUTOFF,
    estimate=Estimate(rows=1234, bytes=5_000_000, objects=2, seconds=72, share=0.1234, usd=0.00123),
)
CSV = Attachment(
    filename="conversation_log_backup_20250915.csv", content=b"", rows=124, total_rows=124, table=DONE.table
)


def told(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    attempt: int = 1,
    request_id: str | None = None,
    job: str = "cleanup",
    done: JobResult | None = None,
) -> str:
    report = Report(
        job=job,
        as_of=AS_OF,
        dry_run=dry_run,
        duration_ms=1234,
        result=done if isinstance(outcome, Exception) else outcome,
        error=outcome if isinstance(outcome, Exception) else None,
        attempt=attempt,
        request_id=request_id,
    )
    return as_text(render(report, language, SEOUL))


def cleaned(*tables: TableResult, attachments: tuple[Attachment, ...] = (), orphans: int = 0) -> CleanupResult:
    return CleanupResult(tables=tables, attachments=attachments, orphans_removed=orphans)


def lines(text: str) -> list[str]:
    return dedent(text).strip().splitlines()


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
            - 사유: 98 % of the rows are due
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
    refusal = Refusal(guard="moon_phase", message="it is full", hint="wait")
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


def test_several_tables_stand_below_a_summary_trouble_first() -> None:
    tables = [
        replace(DONE, table="public.a", keys=(KEY,), objects=1),
        replace(NOTHING, table="public.b"),
        replace(REFUSED, table="public.c"),
        replace(PARTIAL, table="public.d"),
        replace(NOTHING, table="public.e"),
    ]
    csv = replace(CSV, table="public.a")
    paragraphs = told(cleaned(*tables, attachments=(csv,))).split("\n\n")
    assert paragraphs[0].splitlines() == lines("""
        💾 DB Cleanup Report
        - 백업 수: 248 rows (테이블 3개)
        - 보관 용량: 26.4 KB
        - 실행 시간: 2025-10-15 09:00:00 KST
        ✅ 백업할 오래된 로그가 없습니다. (기준: 2025-09-15) public.b, public.e
    """)
    assert [paragraph.splitlines()[0] for paragraph in paragraphs[1:]] == ["🗃️ public.c", "🗃️ public.d", "🗃️ public.a"]
    assert ["📎" in paragraph for paragraph in paragraphs[1:]] == [False, False, True]


def test_several_previews_are_summed_up() -> None:
    seen = told(cleaned(PREVIEW, replace(PREVIEW, table="public.b")), dry_run=True)
    assert "- 백업 예정: 2,468 rows (테이블 2개)\n- 예상 용량: 10.0 MB" in seen


def test_quiet_tables_share_a_line_per_cutoff_and_keep_their_warnings() -> None:
    older = replace(NOTHING, table="public.z", cutoff=CUTOFF - timedelta(days=60), warnings=("no index",))
    quiet = [replace(NOTHING, table=f"t{n}") for n in range(7)]
    assert told(cleaned(*quiet, older)).splitlines() == lines("""
        ✅ 백업할 오래된 로그가 없습니다. (기준: 2025-09-15) t0, t1, t2, t3, t4 외 2개
        ✅ 백업할 오래된 로그가 없습니다. (기준: 2025-07-17) public.z
        ⚠️ no index
    """)


def test_tables_that_do_not_fit_are_counted() -> None:
    tables = [replace(DONE, table=f"public.table_{n}") for n in range(200)]
    seen = told(cleaned(*tables))
    shown = seen.count("🗃️")
    assert shown > 10
    assert seen.endswith(f"… 외 {200 - shown}개 테이블")
    assert told(cleaned(*tables), "en").endswith("more tables")


def test_a_lock_held_elsewhere() -> None:
    refused = RunRefused(reason="run 0198 holds the lock")
    assert told(refused).splitlines() == lines("""
        ⏸️ DB Cleanup 실행을 건너뛰었습니다. 같은 작업이 이미 실행 중입니다.
        - 사유: run 0198 holds the lock
        - 실행 시간: 2025-10-15 09:00:00 KST
    """)
    assert told(refused, "en").startswith("⏸️ DB Cleanup was skipped: the same job is already running.")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            🚨 DB Cleanup 실행 실패
            - 오류: S3 refused the object
            - 조치 방법: check the role's policy
            - 실행 시간: 2025-10-15 09:00:00 KST
            - 시도: 3회차
            - 소요 시간: 1.2초
            - 요청 ID: 6c2e

            상세 내용:
            bucket: logs
            key: <a> & b
            """,
        ),
        (
            "en",
            """
            🚨 DB Cleanup failed
            - Error: S3 refused the object
            - What to do: check the role's policy
            - Run at: 2025-10-15 09:00:00 KST
            - Attempt: no. 3
            - Took: 1.2 s
            - Request ID: 6c2e

            Detail:
            bucket: logs
            key: <a> & b
            """,
        ),
    ],
)
def test_a_failure_says_what_the_reader_can_do(language: Language, expected: str) -> None:
    error = StoreError("S3 refused the object", detail="bucket: logs\nkey: <a> & b", hint="check the role's policy")
    assert told(error, language, attempt=3, request_id="6c2e").splitlines() == lines(expected)


def test_a_failure_without_detail_or_hint_is_short() -> None:
    assert told(StoreError("S3 is away"), dry_run=True).splitlines() == lines("""
        🚨 DB Cleanup 실행 실패
        - 오류: S3 is away
        - 실행 시간: 2025-10-15 09:00:00 KST
        - 소요 시간: 1.2초
        💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다.
    """)


LOST = StoreError("S3 is away", hint="wait")


def test_a_failure_tells_what_was_done_before() -> None:
    table = replace(DONE, status=Status.FAILED, error=LOST, objects=1, oldest_overdue=CUTOFF - timedelta(days=1))
    assert told(LOST, done=cleaned(table, attachments=(CSV,))).splitlines() == lines(f"""
        🚨 DB Cleanup 실행 실패
        - 오류: S3 is away
        - 조치 방법: wait
        - 실행 시간: 2025-10-15 09:00:00 KST
        - 소요 시간: 1.2초

        ❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.
        - 백업 파일: conversation_log_backup_20250915.csv
        - 백업 수: 124 rows
        - 삭제 기준일: 2025-09-15
        - 테이블: public.conversation_log
        - 보관 용량: 13.2 KB (Parquet 파일 1개)
        - 보관 위치: {KEY}
        - 소요 시간: 0.8초 (초당 155 rows)
        - 가장 오래된 미처리 행: 2025-09-14 00:00:00 KST
        📎 첨부: CSV 파일
    """)


def test_a_failure_of_one_table_among_several() -> None:
    other = StoreError("another thing", hint="do that")
    nothing_done = replace(NOTHING, status=Status.FAILED, error=LOST)
    tables = [replace(DONE, table="public.a"), nothing_done, replace(nothing_done, table="public.c", error=other)]
    paragraphs = told(LOST, "en", done=cleaned(*tables, replace(NOTHING, table="public.d"))).split("\n\n")
    assert paragraphs[1].splitlines() == lines("""
        - Backed up: 124 rows (3 tables)
        - Archive size: 13.2 KB
        ✅ No old logs to back up. (cutoff: 2025-09-15) public.d
    """)
    assert paragraphs[2].splitlines() == lines("""
        🗃️ public.conversation_log
        ❌ Stopped by the error above. This was done before:
        - Backup file: none
        - Backed up: 0 rows
        - Cutoff date: 2025-09-15
    """)
    assert paragraphs[3].splitlines()[:3] == ["🗃️ public.c", "❌ Failed: another thing", "- What to do: do that"]
    assert paragraphs[4].splitlines()[0] == "🗃️ public.a"


def test_of_an_unexpected_error_only_the_type_is_shown() -> None:
    seen = told(KeyError("postgresql://admin:hunter2@db/app"))
    assert "- 오류: 예상하지 못한 오류가 발생했습니다. KeyError\n" in seen
    assert "hunter2" not in seen
    assert "zoneinfo" in told(ZoneInfoNotFound("hunter2"))


class ZoneInfoNotFound(Exception):
    """An error of a module's own."""

    __module__ = "zoneinfo"


def test_a_job_without_a_message_of_its_own_still_reports() -> None:
    class Done:
        status = Status.OK
        attachments: tuple[Attachment, ...] = ()
        complete = True

        def to_json(self) -> dict[str, object]:
            return {}

    assert told(Done(), job="reembed").splitlines() == lines("""
        ✅ reembed 작업을 마쳤습니다.
        - 실행 시간: 2025-10-15 09:00:00 KST
        - 소요 시간: 1.2초
    """)
    Done.complete = False
    assert told(Done(), "en", job="reembed").startswith("⚠️ reembed did not get everything done.")


def test_there_is_no_report_of_nothing_at_all() -> None:
    with pytest.raises(ValueError, match="result or an error"):
        Report(job="cleanup", as_of=AS_OF, dry_run=False, duration_ms=0)
