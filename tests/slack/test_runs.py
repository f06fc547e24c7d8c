"""What the reader sees of runs that failed, were refused, or belong to a job without a message of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from nightshift.errors import StoreError
from nightshift.results.common import JobResult, RunRefused, RunStatus
from nightshift.slack.phrases.forms import Language
from nightshift.slack.renderer import ReportFrame
from tests.slack.facts import AS_OF, CSV, CUTOFF, DONE, KEY, LOST, cleaned, lines, told


def test_a_lock_held_elsewhere() -> None:
    refused = RunRefused(reason="run 0198 holds the lock")
    assert told(refused).splitlines() == lines("""
        ⏸️ DB Cleanup 실행을 건너뛰었습니다. 같은 작업이 이미 실행 중입니다.
        - 상세 내용: run 0198 holds the lock
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


def test_a_failure_tells_what_was_done_before() -> None:
    table = replace(DONE, status=RunStatus.FAILED, error=LOST, objects=1, oldest_overdue=CUTOFF - timedelta(days=1))
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


def test_of_an_unexpected_error_only_the_type_is_shown() -> None:
    seen = told(KeyError("postgresql://admin:hunter2@db/app"))
    assert "- 오류: 예상하지 못한 오류가 발생했습니다. KeyError\n" in seen
    assert "hunter2" not in seen
    assert "driver.core.OddError\n" in told(OddError("hunter2"))


class OddError(Exception):
    """An error of some module."""

    __module__ = "driver.core"


def test_a_job_without_a_message_of_its_own_still_reports() -> None:
    class Done(JobResult):
        status = RunStatus.OK

    assert told(Done(), job="monitor").splitlines() == lines("""
        ✅ monitor 작업을 마쳤습니다.
        - 실행 시간: 2025-10-15 09:00:00 KST
        - 소요 시간: 1.2초
    """)
    Done.status = RunStatus.PARTIAL
    assert told(Done(), "en", job="monitor").startswith("⚠️ monitor did not get everything done.")


def test_there_is_no_report_of_nothing_at_all() -> None:
    with pytest.raises(ValueError, match="result or an error"):
        ReportFrame(job="cleanup", as_of=AS_OF, dry_run=False, duration_ms=0)
