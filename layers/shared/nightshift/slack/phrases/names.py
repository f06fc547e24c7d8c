"""Names of jobs, states, verdicts, guards and damages."""

from __future__ import annotations

from nightshift.slack.phrases.forms import Phrase, named


class Names:
    """What the engine calls things, and what the reader does."""

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
    guards = named(
        {
            "unknown_table": ("테이블을 찾을 수 없음", "table not found"),
            "unknown_column": ("컬럼을 찾을 수 없음", "column not found"),
            "wrong_type": ("컬럼의 타입이 맞지 않음", "a column has the wrong type"),
            "cascade": ("외래 키로 연결된 다른 테이블의 행이 있음", "rows of other tables hang on it by a foreign key"),
            "abnormal_volume": ("삭제 대상이 비정상적으로 많음", "unusually many rows to delete"),
            "hidden_rows": (
                "규칙·트리거·상속 때문에 일부 행이 누락될 수 있음",
                "a rule, trigger or inheritance may hide rows",
            ),
            "returning_rows": ("트리거가 삭제한 행을 다시 넣음", "a trigger puts deleted rows back"),
            "vanishing_rows": ("트리거가 보관되지 않은 행을 삭제함", "a trigger deletes rows that are not archived"),
            "replica_identity": (
                "퍼블리케이션이 삭제된 행을 식별할 수 없음",
                "a publication cannot tell deleted rows apart",
            ),
            "privilege": ("데이터베이스 권한 부족", "missing database privilege"),
            "encoding": ("지원하지 않는 데이터베이스 인코딩", "unsupported database encoding"),
            "reserved_name": ("예약된 컬럼 이름 사용", "a column has a reserved name"),
            "repeated": ("같은 테이블에 정책이 두 개", "two policies for one table"),
            "not_a_key": ("파일 컬럼의 값이 S3 키가 아님", "a column of files holds no keys"),
            "absent_files": (
                "파일 컬럼이 가리키는 파일이 S3에 없음",
                "a column of files names files that are not there",
            ),
            "unknown_object": ("아카이브에서 객체를 찾을 수 없음", "object not found in the archive"),
            "same_table": ("복원 위치가 원본 테이블과 같음", "the rows would go where they came from"),
            "unusable_table": ("복원할 수 없는 위치", "rows cannot be restored there"),
            "altered_rows": (
                "트리거·규칙 등이 복원되는 행을 바꿀 수 있음",
                "a trigger, rule or the like could change rows on their way in",
            ),
            "impossible_columns": ("컬럼 구성이 맞지 않음", "the columns do not fit"),
            "impossible_values": (
                "아카이브된 값이 현재 테이블에 맞지 않음",
                "the archived values do not fit the table as it is now",
            ),
            "busy": ("DB Cleanup이 실행 중", "DB Cleanup is running"),
            "returned": ("복원된 행이 아직 아카이브에 남아 있음", "restored rows are still in the archive"),
            "held": ("복원된 행이 다른 기준으로 보류 중", "restored rows are held by another column"),
            "no_key": ("행을 구별할 키가 없음", "no key to tell its rows apart"),
            "unexpected_cascade": (
                "실제로 연결된 테이블이 정책의 목록과 다름",
                "other tables hang on it than the policy lists",
            ),
            "no_bucket": ("파일이 있는 버킷을 알 수 없음", "nobody says in which bucket the files are"),
            "overlap": ("좋아요와 싫어요에 같은 값이 있음", "one value is both a like and a dislike"),
            "impossible_value": ("컬럼이 가질 수 없는 값", "a value that the column cannot have"),
            "not_unique": ("문서 ID가 유일하지 않음", "the documents' ids are not unique"),
            "not_writable": ("임베딩을 저장할 수 없는 컬럼", "the column cannot take embeddings"),
            "wrong_dimension": ("벡터 차원이 모델과 다름", "the column takes vectors of another dimension"),
            "wrong_place": ("임베딩을 저장할 수 없는 위치", "embeddings cannot be kept there"),
            "unknown_rows": ("출처를 알 수 없는 행이 이미 있음", "it holds rows of unknown origin"),
            "collision": ("대상 데이터베이스에 같은 이름의 객체가 있음", "the database has objects of the same names"),
            "not_empty": ("복원 위치가 비어 있지 않음", "the place to restore to is not empty"),
            "other_kind": ("다른 종류의 데이터베이스 백업", "a backup of another kind of database"),
            "no_client": ("PostgreSQL 클라이언트를 찾을 수 없음", "no PostgreSQL client to be found"),
            "no_schema": ("백업에 스키마가 없음", "the backup has no schema"),
            "older_server": ("복원할 서버의 버전이 더 낮음", "the server to restore to is older"),
            "own_rights": (
                "백업에 든 코드가 nightshift의 권한으로 실행될 수 있음",
                "code in the backup would run with nightshift's rights",
            ),
        }
    )
    other_guard = Phrase("안전 점검 실패 ({guard})", "check failed ({guard})")
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
