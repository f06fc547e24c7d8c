"""What the reader sees of `expire_jobs`: one line an hour, and more only where something stayed that should be gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from nightshift.results.common import RunRefused, RunStatus
from nightshift.results.expiry import ExpiredTable, FileFailures, FilesResult
from nightshift.slack.phrases.forms import Language
from tests.slack.expiry_facts import (
    CART,
    DENIED,
    EXPIRED,
    FILES_DELETED,
    NO_FILES,
    NOTHING_EXPIRED,
    PARTIAL,
    REFUSED,
    STUCK,
    swept,
    told,
)
from tests.slack.facts import AS_OF, LOST, lines


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            "🧹 만료 작업 정리: job 124건 · 하위 1,488행 (job_file 496, report_knowledge 400, sms_log 300, "
            "payment 124, report 124, 나머지 2개 테이블 44) · 파일 496개 삭제 · 09:00 KST",
        ),
        (
            "en",
            "🧹 Expired jobs cleanup: job 124 rows · 1,488 dependent rows (job_file 496, report_knowledge 400, "
            "sms_log 300, payment 124, report 124, 2 other tables 44) · 496 files deleted · 09:00 KST",
        ),
    ],
)
def test_an_hour_is_one_line(language: Language, expected: str) -> None:
    assert told(swept(EXPIRED), language) == expected


def test_a_line_names_no_more_than_there_was() -> None:
    assert told(swept(CART, files=NO_FILES)) == "🧹 만료 작업 정리: shop.cart 3건 · 09:00 KST"
    one = replace(CART, expired=1, deleted_rows={"shop.item": 1, "shop.coupon": 0, "shop.cart": 1})
    assert told(swept(one, files=FilesResult(deleted=1)), "en") == (
        "🧹 Expired jobs cleanup: shop.cart 1 row · 1 dependent row (shop.item 1) · 1 file deleted · 09:00 KST"
    )


def test_rows_that_hang_on_rows_of_their_own_table_are_dependents() -> None:
    tree = ExpiredTable(table="public.job", status=RunStatus.OK, expired=2, deleted_rows={"public.job": 7})
    assert told(swept(tree, files=NO_FILES)) == "🧹 만료 작업 정리: job 2건 · 하위 5행 (job 5) · 09:00 KST"


def test_the_archive_files_in_use_and_a_second_attempt_are_told_on_the_line() -> None:
    archived = replace(CART, archived_rows=3, objects=1, bytes=999)
    kept = FilesResult(deleted=4, kept=2)
    assert told(swept(archived, files=kept), attempt=2) == (
        "🧹 만료 작업 정리: shop.cart 3건 · 백업 3행 · 파일 4개 삭제 · 사용 중인 파일 2개 유지 · 09:00 KST · 시도 2회차"
    )
    assert told(swept(archived, files=kept), "en", attempt=2).endswith(
        "3 rows backed up · 4 files deleted · 2 files kept, still in use · 09:00 KST · Attempt no. 2"
    )


def test_nothing_to_do_is_one_sentence() -> None:
    assert told(swept(NOTHING_EXPIRED, files=NO_FILES)) == "✅ 만료된 작업이 없습니다. (기준: 09:00 KST)"
    assert told(swept(NOTHING_EXPIRED, files=NO_FILES), "en") == "✅ No expired jobs. (as of 09:00 KST)"


def test_files_of_an_earlier_run_need_no_expired_row() -> None:
    assert told(swept(NOTHING_EXPIRED, files=FilesResult(deleted=7))) == (
        "🧹 만료 작업 정리: 파일 7개 삭제 · 09:00 KST"
    )
    assert told(swept(NOTHING_EXPIRED, files=FilesResult(waiting=7))).splitlines() == lines("""
        ✅ 만료된 작업이 없습니다. (기준: 09:00 KST)
        ⏳ 삭제 대기 중인 파일: 7개
    """)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            ❌ 데이터베이스가 2건의 삭제를 거부했습니다.
            ⏳ 다른 작업이 사용 중인 3건은 다음 실행에서 처리합니다.
            - 가장 오래된 미처리 행: 3시간 12분 전 만료
            ⚠️ job: a trigger refused 2 rows
            ❌ 파일 13개를 삭제하지 못했습니다. 다시 시도합니다.
            - AccessDenied: 12개 (job-files)
            - SlowDown: 1개 (job-thumbs)
            ⏳ 삭제 대기 중인 파일: 20개 (실패 13개 포함)
            """,
        ),
        (
            "en",
            """
            ❌ The database refused to delete 2 rows.
            ⏳ 3 rows that are in use were left for the next run.
            - Oldest overdue row: expired 3 h 12 min ago
            ⚠️ job: a trigger refused 2 rows
            ❌ 13 files were not deleted and will be tried again.
            - AccessDenied: 12 (job-files)
            - SlowDown: 1 (job-thumbs)
            ⏳ Files waiting to be deleted: 20 (13 failed among them)
            """,
        ),
    ],
)
def test_whatever_stayed_follows_below_the_line(language: Language, expected: str) -> None:
    first, *rest = told(swept(PARTIAL, files=STUCK), language).splitlines()
    assert first == told(swept(EXPIRED, files=replace(NO_FILES, deleted=480)), language)
    assert rest == lines(expected)


def test_files_that_wait_are_told_once() -> None:
    seen = told(swept(EXPIRED, files=replace(STUCK, failed=12, waiting=12, failures=(DENIED,)))).splitlines()
    assert seen[1:] == lines("""
        ❌ 파일 12개를 삭제하지 못했습니다. 다시 시도합니다.
        - AccessDenied: 12개 (job-files)
    """)


def test_a_file_s_key_is_for_the_log_alone() -> None:
    assert "face" not in told(swept(EXPIRED, files=STUCK))


def test_many_reasons_and_warnings_are_counted() -> None:
    reasons = tuple(replace(DENIED, bucket=f"bucket-{n}", count=n) for n in (9, 8, 7, 6, 5))
    warned = replace(CART, warnings=tuple(f"warning {n}" for n in range(5)))
    seen = told(swept(warned, files=FilesResult(failed=35, waiting=35, failures=reasons))).splitlines()
    assert seen[1:] == lines("""
        ⚠️ warning 0
        ⚠️ warning 1
        ⚠️ warning 2
        … 외 경고 2건
        ❌ 파일 35개를 삭제하지 못했습니다. 다시 시도합니다.
        - AccessDenied: 9개 (bucket-9)
        - AccessDenied: 8개 (bucket-8)
        - AccessDenied: 7개 (bucket-7)
        … 외 11건
    """)


def test_a_run_that_ran_out_of_time_says_that_it_goes_on() -> None:
    late = replace(CART, status=RunStatus.PARTIAL, oldest_overdue=AS_OF - timedelta(days=50, hours=3))
    assert told(swept(late, files=NO_FILES)).splitlines()[1:] == lines("""
        ⏳ 일부만 처리했습니다. 남은 행은 다음 실행에서 이어서 처리합니다.
        - 가장 오래된 미처리 행: 50일 3시간 전 만료
    """)
    assert "expired 50 d 3 h ago" in told(swept(late), "en")


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            🧹 만료 작업 정리: session 0건 · 09:00 KST
            ⛔ 안전장치가 작동해 중단했습니다: 실제로 연결된 테이블이 정책의 목록과 다름
            - 사유: 정책의 cascade 목록에 없는 행이 삭제되거나, 목록에 있는 행이 삭제되지 않을 수 있습니다.
            - 상세 내용: public.invoice would lose rows
            - 조치 방법: name it in cascade
            """,
        ),
        (
            "en",
            """
            🧹 Expired jobs cleanup: session 0 rows · 09:00 KST
            ⛔ Stopped by a guard: other tables hang on it than the policy lists
            - Reason: public.invoice would lose rows
            - What to do: name it in cascade
            """,
        ),
    ],
)
def test_a_refusal_names_guard_reason_and_remedy(language: Language, expected: str) -> None:
    assert told(swept(REFUSED, files=NO_FILES), language).splitlines() == lines(expected)


@pytest.mark.parametrize(
    ("language", "title", "files", "note"),
    [
        ("ko", "🧪 만료 작업 정리 (미리보기): job 124건 · ", "파일 496개 삭제 예정", "💡 미리보기입니다."),
        ("en", "🧪 Expired jobs cleanup (preview): job 124 rows · ", "496 files to delete", "💡 This is a preview."),
    ],
)
def test_a_preview_is_the_same_line_and_says_so(language: Language, title: str, files: str, note: str) -> None:
    preview = swept(replace(EXPIRED, status=RunStatus.DRY_RUN), files=FilesResult(queued=496))
    line, last = told(preview, language, dry_run=True).splitlines()
    assert line.startswith(title)
    assert line.endswith(f" · {files} · 09:00 KST")
    assert last.startswith(note)


@pytest.mark.parametrize("status", [RunStatus.NOTHING, RunStatus.DRY_RUN])
def test_a_preview_of_nothing(status: RunStatus) -> None:
    seen = told(swept(replace(NOTHING_EXPIRED, status=status), files=NO_FILES), dry_run=True).splitlines()
    assert seen == lines("""
        ✅ 만료된 작업이 없습니다. (기준: 09:00 KST)
        💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다.
    """)


def test_a_failure_tells_what_was_done_before() -> None:
    failed = replace(CART, status=RunStatus.FAILED, error=LOST)
    assert told(LOST, done=swept(failed, NOTHING_EXPIRED, files=FILES_DELETED)).splitlines() == lines("""
        🚨 만료 작업 정리 실행 실패
        - 오류: S3 is away
        - 조치 방법: wait
        - 실행 시간: 2025-10-15 09:00:00 KST
        - 소요 시간: 1.2초

        ❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.
        - shop.cart 3건 · 파일 496개 삭제
    """)


def test_a_failure_before_anything_was_done() -> None:
    assert told(LOST, done=swept(NOTHING_EXPIRED, files=NO_FILES)).endswith("\n\n삭제된 행은 없습니다.")


def test_a_failed_preview_is_noted_once() -> None:
    assert told(LOST, dry_run=True, done=swept(EXPIRED)).count("💡") == 1


def test_a_lock_held_elsewhere() -> None:
    assert told(RunRefused(reason="another run")).startswith("⏸️ 만료 작업 정리 실행을 건너뛰었습니다.")


def test_names_from_outside_stay_names() -> None:
    """Neither a table, a bucket nor S3's code can mention anybody, make a link or add a line."""
    name = "<!here>\n- 파일 0개"
    table = replace(CART, table=name, deleted_rows={name: 3, f"public.{name}": 1}, warnings=(name,))
    bad = FileFailures(bucket=name, code=name, count=1, example=name)
    seen = told(swept(table, files=FilesResult(failed=1, waiting=1, failures=(bad,)))).splitlines()
    assert seen == lines("""
        🧹 만료 작업 정리: <!here> - 파일 0개 3건 · 하위 1행 (<!here> - 파일 0개 1) · 09:00 KST
        ⚠️ <!here> - 파일 0개
        ❌ 파일 1개를 삭제하지 못했습니다. 다시 시도합니다.
        - <!here> - 파일 0개: 1개 (<!here> - 파일 0개)
    """)
