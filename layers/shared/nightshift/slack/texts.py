"""Every word that nightshift says on Slack, in Korean and in English.

A language is one `Phrases`: a phrase that is missing is a type error, and a test holds that both languages fill
the same blanks. Blanks are filled by `str.format` with text that is escaped elsewhere (`markup`). What the engine
says of itself (messages, details and hints of errors and guards) is English and is shown as it is, inside a frame
of these words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Language = Literal["ko", "en"]


class Plural(NamedTuple):
    """A phrase that depends on how many there are."""

    one: str
    many: str

    def of(self, count: int) -> str:
        return (self.one if count == 1 else self.many).format(count=f"{count:,}")


def _same(phrase: str) -> Plural:
    return Plural(phrase, phrase)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """One language."""

    # Titles and sentences
    cleanup_title: str
    preview_title: str
    failed_title: str
    done: str
    done_in_part: str
    nothing: str
    partial: str
    refused: str
    untouched: str
    table_failed: str
    table_failed_above: str
    preview_note: str
    run_refused: str
    unexpected: str
    look_in_log: str
    tables_left_out: Plural
    warnings_left_out: Plural

    # Labels of facts
    backup_file: str
    backup_rows: str
    cutoff: str
    ran_at: str
    table: str
    kept_in: str
    size: str
    took: str
    oldest_overdue: str
    partitions: str
    vacuum: str
    orphans: str
    expected_rows: str
    expected_size: str
    expected_seconds: str
    expected_cost: str
    reason: str
    hint: str
    error: str
    detail: str
    attempt: str
    request_id: str

    # Values of facts
    rows: Plural
    files: Plural
    tables: Plural
    pieces: Plural
    others: Plural
    none: str
    vacuumed: str
    share_of_table: str
    cost_covers: str
    rate: str
    nth: str
    seconds: str
    minutes: str
    hours: str
    attached: str
    excerpt: str

    # Names
    jobs: Mapping[str, str]
    guards: Mapping[str, str]
    other_guard: str


KOREAN = Phrases(
    cleanup_title="💾 DB Cleanup Report",
    preview_title="🧪 DB Cleanup Report (미리보기)",
    failed_title="🚨 {job} 실행 실패",
    done="✅ {job} 작업을 마쳤습니다.",
    done_in_part="⚠️ {job} 작업을 끝까지 마치지 못했습니다.",
    nothing="✅ 백업할 오래된 로그가 없습니다. (기준: {cutoff})",
    partial="⏳ 일부만 처리했습니다. 남은 행은 다음 실행에서 이어서 처리합니다.",
    refused="⛔ 안전장치가 작동해 중단했습니다: {guard}",
    untouched="삭제된 행은 없습니다.",
    table_failed="❌ 처리 중 실패했습니다: {error}",
    table_failed_above="❌ 위 오류로 중단했습니다. 그전까지 처리한 내역은 다음과 같습니다.",
    preview_note="💡 미리보기입니다. 저장하거나 삭제한 데이터는 없습니다.",
    run_refused="⏸️ {job} 실행을 건너뛰었습니다. 같은 작업이 이미 실행 중입니다.",
    unexpected="예상하지 못한 오류가 발생했습니다.",
    look_in_log="CloudWatch 로그에서 원인을 확인하세요.",
    tables_left_out=_same("… 외 {count}개 테이블"),
    warnings_left_out=_same("… 외 경고 {count}건"),
    backup_file="백업 파일",
    backup_rows="백업 수",
    cutoff="삭제 기준일",
    ran_at="실행 시간",
    table="테이블",
    kept_in="보관 위치",
    size="보관 용량",
    took="소요 시간",
    oldest_overdue="가장 오래된 미처리 행",
    partitions="삭제한 파티션",
    vacuum="VACUUM",
    orphans="정리한 미완료 파일",
    expected_rows="백업 예정",
    expected_size="예상 용량",
    expected_seconds="예상 소요 시간",
    expected_cost="예상 비용",
    reason="사유",
    hint="조치 방법",
    error="오류",
    detail="상세 내용",
    attempt="시도",
    request_id="요청 ID",
    rows=_same("{count} rows"),
    files=_same("Parquet 파일 {count}개"),
    tables=_same("테이블 {count}개"),
    pieces=_same("{count}개"),
    others=_same("외 {count}개"),
    none="없음",
    vacuumed="완료",
    share_of_table="테이블의 {share}",
    cost_covers="S3 요청과 첫 달 보관료",
    rate="초당 {rows}",
    nth="{attempt}회차",
    seconds="{seconds}초",
    minutes="{minutes}분 {seconds}초",
    hours="{hours}시간 {minutes}분",
    attached="📎 첨부: CSV 파일",
    excerpt="전체 {total}행 중 처음 {rows}행",
    jobs={"cleanup": "DB Cleanup"},
    guards={
        "unknown_table": "테이블을 찾을 수 없음",
        "unknown_column": "컬럼을 찾을 수 없음",
        "wrong_type": "기준 컬럼의 타입이 맞지 않음",
        "future_cutoff": "삭제 기준일이 너무 최근이거나 미래임",
        "cascade": "외래 키로 연결된 다른 테이블의 행이 있음",
        "abnormal_volume": "삭제 대상이 비정상적으로 많음",
        "hidden_rows": "규칙·트리거·상속 때문에 일부 행이 누락될 수 있음",
        "privilege": "데이터베이스 권한 부족",
        "encoding": "지원하지 않는 데이터베이스 인코딩",
        "reserved_name": "예약된 컬럼 이름 사용",
        "repeated": "같은 테이블에 정책이 두 개",
    },
    other_guard="안전 점검 실패 ({guard})",
)

ENGLISH = Phrases(
    cleanup_title="💾 DB Cleanup Report",
    preview_title="🧪 DB Cleanup Report (preview)",
    failed_title="🚨 {job} failed",
    done="✅ {job} has finished.",
    done_in_part="⚠️ {job} did not get everything done.",
    nothing="✅ No old logs to back up. (cutoff: {cutoff})",
    partial="⏳ Done in part. The next run goes on with the rows that are left.",
    refused="⛔ Stopped by a guard: {guard}",
    untouched="No rows were deleted.",
    table_failed="❌ Failed: {error}",
    table_failed_above="❌ Stopped by the error above. This was done before:",
    preview_note="💡 This is a preview. Nothing was stored or deleted.",
    run_refused="⏸️ {job} was skipped: the same job is already running.",
    unexpected="An unexpected error occurred.",
    look_in_log="The CloudWatch log has the cause.",
    tables_left_out=Plural("… and {count} more table", "… and {count} more tables"),
    warnings_left_out=Plural("… and {count} more warning", "… and {count} more warnings"),
    backup_file="Backup file",
    backup_rows="Backed up",
    cutoff="Cutoff date",
    ran_at="Run at",
    table="Table",
    kept_in="Kept in",
    size="Archive size",
    took="Took",
    oldest_overdue="Oldest overdue row",
    partitions="Partitions dropped",
    vacuum="VACUUM",
    orphans="Unfinished files removed",
    expected_rows="To back up",
    expected_size="Expected size",
    expected_seconds="Expected duration",
    expected_cost="Expected cost",
    reason="Reason",
    hint="What to do",
    error="Error",
    detail="Detail",
    attempt="Attempt",
    request_id="Request ID",
    rows=Plural("{count} row", "{count} rows"),
    files=Plural("{count} Parquet file", "{count} Parquet files"),
    tables=Plural("{count} table", "{count} tables"),
    pieces=_same("{count}"),
    others=_same("and {count} more"),
    none="none",
    vacuumed="done",
    share_of_table="{share} of the table",
    cost_covers="S3 requests and the first month's storage",
    rate="{rows} per second",
    nth="no. {attempt}",
    seconds="{seconds} s",
    minutes="{minutes} min {seconds} s",
    hours="{hours} h {minutes} min",
    attached="📎 Attached: CSV file",
    excerpt="the first {rows} of {total} rows",
    jobs={"cleanup": "DB Cleanup"},
    guards={
        "unknown_table": "table not found",
        "unknown_column": "column not found",
        "wrong_type": "the timestamp column has the wrong type",
        "future_cutoff": "the cutoff is too recent or in the future",
        "cascade": "rows of other tables hang on it by a foreign key",
        "abnormal_volume": "unusually many rows to delete",
        "hidden_rows": "a rule, trigger or inheritance may hide rows",
        "privilege": "missing database privilege",
        "encoding": "unsupported database encoding",
        "reserved_name": "a column has a reserved name",
        "repeated": "two policies for one table",
    },
    other_guard="check failed ({guard})",
)

PHRASES: Mapping[Language, Phrases] = {"ko": KOREAN, "en": ENGLISH}
