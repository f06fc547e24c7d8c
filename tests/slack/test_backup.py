"""What the reader sees of `backup`, `rehearse` and `restore_backup`: is there one, how large, and does it come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from nightshift.results.backup import BackupResult, RestoredBackup
from nightshift.results.common import GuardRefusal, JobResult, RunRefused
from nightshift.slack.phrases.forms import Language
from nightshift.slack.renderer import ReportFrame, as_text, render_result
from tests.slack.facts import LOST, lines

AS_OF = datetime(2025, 10, 20, 15, tzinfo=UTC)
NAME = "backup_2025_10_21_0000"
DONE = BackupResult(
    name=NAME,
    location=f"s3://house/backup/{NAME}",
    snapshot_time=AS_OF + timedelta(seconds=3),
    tables=120,
    rows=2_000_000,
    bytes=128_000_000,
    log_events=12_345,
    previous_bytes=125_000_000,
    proven_name="backup_2025_10_19_0000",
    proven_at=AS_OF - timedelta(days=2, hours=3),
    pruned=("backup_2025_09_21_0000", "backup_2025_10_13_0000"),
    missing=("large objects: 3",),
    warnings=("log group /app/old: ResourceNotFoundException",),
    seconds=34.2,
)
REFUSAL = GuardRefusal(guard="privilege", message="one table may not be read", hint="grant it")
REHEARSED = RestoredBackup(
    name=NAME,
    target="nightshift_rehearsal_0199",
    tables=120,
    rows=2_000_000,
    bytes=128_000_000,
    proven=True,
    scratch=True,
    seconds=61,
)
RESTORED = replace(REHEARSED, target="app_restored", proven=False, scratch=False)


def told(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    job: str = "backup",
    dry_run: bool = False,
    attempt: int = 1,
    done: JobResult | None = None,
) -> str:
    error = outcome if isinstance(outcome, Exception) else None
    result = done if isinstance(outcome, Exception) else outcome
    report = ReportFrame(job, AS_OF, dry_run, 1234, result, error, attempt)
    return as_text(render_result(report, language, ZoneInfo("Asia/Seoul")))


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "ko",
            """
            🗄️ 백업 완료: backup_2025_10_21_0000
            - 용량: 128.0 MB (직전 백업 대비 ▲ 2.4%)
            - 테이블: 120개 (2,000,000 rows)
            - 로그: 12,345건
            - 스냅샷 시각: 2025-10-21 00:00:03 KST
            - 보관 위치: s3://house/backup/backup_2025_10_21_0000
            - 정리한 이전 백업: 2개 (backup_2025_09_21_0000, backup_2025_10_13_0000)
            - 소요 시간: 34초
            - 복원이 확인된 최근 백업: backup_2025_10_19_0000 (2일 3시간 전 확인)
            - 실행 시간: 2025-10-21 00:00:00 KST

            💡 백업에 들어 있지 않은 항목: 1건
            • large objects: 3

            ⚠️ 경고: 1건
            • log group /app/old: ResourceNotFoundException
            """,
        ),
        (
            "en",
            """
            🗄️ Backup complete: backup_2025_10_21_0000
            - Size: 128.0 MB (▲ 2.4% against the backup before)
            - Tables: 120 (2,000,000 rows)
            - Logs: 12,345 events
            - Snapshot of: 2025-10-21 00:00:03 KST
            - Kept in: s3://house/backup/backup_2025_10_21_0000
            - Old backups removed: 2 (backup_2025_09_21_0000, backup_2025_10_13_0000)
            - Took: 34 s
            - Newest proven backup: backup_2025_10_19_0000 (proven 2 d 3 h ago)
            - Run at: 2025-10-21 00:00:00 KST

            💡 Not in the backup: 1
            • large objects: 3

            ⚠️ Warnings: 1
            • log group /app/old: ResourceNotFoundException
            """,
        ),
    ],
)
def test_a_night_like_any_other(language: Language, expected: str) -> None:
    assert told(DONE, language).splitlines() == lines(expected)


def test_the_first_backup_has_nothing_to_be_compared_with_and_nothing_proven() -> None:
    first = replace(DONE, previous_bytes=None, proven_name=None, proven_at=None, pruned=(), missing=(), warnings=())
    seen = told(first).splitlines()
    assert "- 용량: 128.0 MB" in seen
    assert "⚠️ 복원이 확인된 백업이 아직 없습니다." in seen
    assert not [line for line in seen if line.startswith("- 정리한") or "🚨" in line]


@pytest.mark.parametrize(
    ("previous", "expected"),
    [(128_000_000, "변동 없음"), (128_020_000, "변동 없음"), (160_000_000, "▼ 20.0%"), (1000, "▲ 12,799,900.0%")],
)
def test_the_size_against_the_backup_before(previous: int, expected: str) -> None:
    assert f"- 용량: 128.0 MB (직전 백업 대비 {expected})" in told(replace(DONE, previous_bytes=previous)).splitlines()
    assert "🚨" not in told(replace(DONE, previous_bytes=previous))


def test_less_than_half_is_an_alarm_right_below_the_title() -> None:
    seen = told(replace(DONE, previous_bytes=256_000_001)).splitlines()
    assert seen[1] == "🚨 직전 백업(256.0 MB)의 절반도 되지 않습니다. 데이터가 사라지지 않았는지 확인하세요."
    assert "🚨" not in told(replace(DONE, previous_bytes=256_000_000))


@pytest.mark.parametrize(("days", "warned"), [(8, False), (8.01, True), (-1, False)])
def test_a_proof_that_is_long_ago_is_a_warning(days: float, warned: bool) -> None:
    seen = told(replace(DONE, proven_at=AS_OF - timedelta(days=days)))
    assert ("⚠️ 복원을 확인한 지 오래되었습니다." in seen) is warned
    assert "- 복원이 확인된 최근 백업: backup_2025_10_19_0000" in seen


def test_a_backup_that_goes_on_is_none_yet() -> None:
    seen = told(replace(DONE, left=7, bytes=1, pruned=(), proven_at=None)).splitlines()
    assert seen[:3] == lines("""
        ⏳ 백업 진행 중: backup_2025_10_21_0000
        남은 테이블 7개를 다음 실행에서 이어서 저장합니다. 모두 저장할 때까지 이 백업으로는 복원할 수 없습니다.
        - 용량: 1 B
    """)
    assert not [line for line in seen if "🚨" in line or "복원이 확인된" in line], (
        "half of it tells nothing of its size"
    )
    assert "1 table is left for the next run." in told(replace(DONE, left=1), "en")


def test_groups_of_several_moments_are_told() -> None:
    seen = told(replace(DONE, groups=3, snapshot_time=None))
    assert "⚠️ 시점이 서로 다른 3개 그룹으로 저장했습니다." in seen and "스냅샷" not in seen


def test_a_second_delivery() -> None:
    already = BackupResult(name=NAME, already=True)
    assert told(already, attempt=2).splitlines() == lines("""
        ✅ 이 시각의 백업은 이미 있습니다: backup_2025_10_21_0000
        - 실행 시간: 2025-10-21 00:00:00 KST
        - 시도: 2회차
    """)
    assert told(BackupResult(), "en").startswith("✅ There is nothing to back up.")


def test_a_refusal() -> None:
    assert told(BackupResult(refusal=REFUSAL, warnings=("w",))).splitlines() == lines("""
        ⛔ 안전장치가 작동해 중단했습니다: 데이터베이스 권한 부족
        - 사유: nightshift가 사용하는 데이터베이스 계정에 필요한 권한이 없습니다.
        - 상세 내용: one table may not be read
        - 조치 방법: grant it
        새로 만들어진 백업은 없습니다.
        - 실행 시간: 2025-10-21 00:00:00 KST

        ⚠️ 경고: 1건
        • w
    """)


def test_a_preview() -> None:
    seen = told(replace(DONE, dry_run=True), dry_run=True).splitlines()
    assert seen[0] == "🧪 백업 미리보기: backup_2025_10_21_0000"
    assert "- 정리 예정인 이전 백업: 2개 (backup_2025_09_21_0000, backup_2025_10_13_0000)" in seen
    assert not [line for line in seen if line.startswith("- 소요 시간")]
    assert "💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다." in seen


def test_long_lists_are_cut_and_counted() -> None:
    many = tuple(f"m{n}" for n in range(12))
    seen = told(replace(DONE, pruned=many, missing=many, warnings=many)).splitlines()
    assert "- 정리한 이전 백업: 12개 (m0, m1, m2, m3, m4, 외 7개)" in seen
    assert seen.count("… 외 7건") == 2 and "• m5" not in seen


def test_a_failure_tells_what_was_done_before() -> None:
    failure, done = told(LOST, done=replace(DONE, warnings=(), missing=())).split("\n\n")
    assert failure.splitlines()[0] == "🚨 DB 백업 실행 실패"
    assert done.splitlines()[:2] == lines("""
        ❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.
        - 용량: 128.0 MB
    """)
    assert told(LOST, done=BackupResult()).endswith("\n\n새로 만들어진 백업은 없습니다.")


def test_a_rehearsal_that_proves_the_backup() -> None:
    assert told(REHEARSED, job="rehearse").splitlines() == lines("""
        🧪 백업 복원 리허설: backup_2025_10_21_0000
        ✅ 복원을 확인했습니다. 스키마, 행 수, 내용이 모두 백업과 일치합니다.
        - 복원 데이터베이스: nightshift_rehearsal_0199 (리허설용 임시 데이터베이스)
        - 테이블: 120개 (2,000,000 rows)
        - 용량: 128.0 MB
        - 소요 시간: 1분 1초
        - 실행 시간: 2025-10-21 00:00:00 KST
    """)
    assert "⚠️ 차이는 없지만" in told(replace(REHEARSED, proven=False), job="rehearse")


def test_a_rehearsal_that_finds_differences() -> None:
    found = tuple(f"public.t{n}: 9 rows, the manifest says 10" for n in range(6))
    seen = told(replace(REHEARSED, proven=False, differences=found), "en", job="rehearse").splitlines()
    assert seen[:2] == lines("""
        🧪 Restore rehearsal: backup_2025_10_21_0000
        🚨 What was restored is not as it was saved.
    """)
    assert seen[-7:] == ["📌 Differences: 6", *(f"• {one}" for one in found[:5]), "… and 1 more"]
    assert not [line for line in seen if "✅" in line]


def test_a_restore() -> None:
    assert told(RESTORED, "en", job="restore_backup").splitlines() == lines("""
        ♻️ Backup restored: backup_2025_10_21_0000
        ✅ What was restored is as it was saved.
        - Restored into: app_restored
        - Tables: 120 (2,000,000 rows)
        - Size: 128.0 MB
        - Took: 1 min 1 s
        - Run at: 2025-10-21 00:00:00 KST
    """)


def test_what_could_not_come_back_as_it_was() -> None:
    found = replace(REHEARSED, but_for=("the materialized view public.v holds other rows",))
    seen = told(found, "en", job="rehearse").splitlines()
    assert seen[1] == "✅ Proven, except for what is listed below."
    assert seen[-2:] == [
        "📌 Could not come back as it was: 1",
        "• the materialized view public.v holds other rows",
    ]
    assert told(found, job="rehearse").splitlines()[1] == "✅ 아래 항목을 제외하고 복원을 확인했습니다."
    assert "except for" in told(replace(found, scratch=False), "en", job="restore_backup").splitlines()[1]


def test_a_restore_that_ran_out_of_time() -> None:
    seen = told(replace(RESTORED, left_tables=3), job="restore_backup").splitlines()
    assert seen[1] == "⏳ 시간이 부족해 복원하지 못한 테이블: 3개" and "✅" not in "".join(seen)


def test_nothing_to_restore_from() -> None:
    assert told(RestoredBackup(), job="rehearse").splitlines()[0] == "⚠️ 복원할 수 있는 백업이 없습니다."


def test_previews_and_refusals_of_a_restore() -> None:
    preview = replace(RESTORED, dry_run=True)
    assert told(preview, job="restore_backup", dry_run=True).startswith("🧪 백업 복원 (미리보기): backup_2025")
    assert told(preview, job="rehearse", dry_run=True).startswith("🧪 백업 복원 리허설 (미리보기): backup_2025")
    assert "✅" not in told(preview, job="rehearse", dry_run=True), "a preview proves nothing"
    assert told(RestoredBackup(name=NAME, refusal=REFUSAL), job="restore_backup").splitlines()[4] == (
        "복원된 행은 없습니다."
    )


def test_a_restore_that_failed() -> None:
    title, done = told(LOST, job="rehearse", done=REHEARSED).split("\n\n")
    assert title.startswith("🚨 백업 복원 리허설 실행 실패") and "✅" not in done
    assert done.startswith("❌ 위 오류로 중단했습니다.")
    assert told(LOST, job="restore_backup", done=RestoredBackup(name=NAME)).endswith("\n\n복원된 행은 없습니다.")


def test_a_lock_held_elsewhere() -> None:
    assert told(RunRefused(reason="another run"), job="rehearse").startswith(
        "⏸️ 백업 복원 리허설 실행을 건너뛰었습니다."
    )


def test_names_from_outside_stay_names() -> None:
    name = "<!here>\n- 용량: 0 B"
    seen = told(replace(DONE, name=name, location=name, pruned=(name,), missing=(name,))).splitlines()
    assert [line for line in seen if line.startswith("- 용량")] == ["- 용량: 128.0 MB (직전 백업 대비 ▲ 2.4%)"]
    assert seen[0] == "🗄️ 백업 완료: <!here> - 용량: 0 B"
