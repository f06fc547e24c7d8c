"""Names of the guards, and Korean reasons for their refusals.

A guard is a check that refuses a table or a run before data is at risk. The message of a refusal is English, with names
and figures. In an English report, this message is the reason. A Korean report gives the Korean reason, and the message
as its detail.
"""

from __future__ import annotations

from nightshift.slack.phrases.forms import Phrase, named

NAMES = {
    "unknown_table": ("테이블을 찾을 수 없음", "table not found"),
    "unknown_column": ("컬럼을 찾을 수 없음", "column not found"),
    "wrong_type": ("컬럼의 타입이 맞지 않음", "a column has the wrong type"),
    "cascade": ("외래 키로 연결된 다른 테이블의 행이 있음", "rows of other tables hang on it by a foreign key"),
    "dissolves": ("보관하기 전에 참조가 지워짐", "rows would lose a reference before they are archived"),
    "abnormal_volume": ("삭제 대상이 비정상적으로 많음", "unusually many rows to delete"),
    "hidden_rows": (
        "규칙·트리거·행 보안·상속 때문에 일부 행이 누락될 수 있음",
        "a rule, trigger, row security or inheritance may hide rows",
    ),
    "returning_rows": ("트리거가 삭제한 행을 다시 넣음", "a trigger puts deleted rows back"),
    "vanishing_rows": ("트리거가 보관되지 않은 행을 삭제함", "a trigger deletes rows that are not archived"),
    "replica_identity": ("퍼블리케이션이 삭제된 행을 식별할 수 없음", "a publication cannot tell deleted rows apart"),
    "privilege": ("데이터베이스 권한 부족", "missing database privilege"),
    "encoding": ("지원하지 않는 데이터베이스 인코딩", "unsupported database encoding"),
    "reserved_name": ("예약된 컬럼 이름 사용", "a column has a reserved name"),
    "repeated": ("한 테이블에 정책이 두 개", "two policies for one table"),
    "archive": ("삭제하기 전에 보관할 수 없음", "rows cannot be archived before they are deleted"),
    "not_a_key": ("파일 컬럼의 값이 S3 키가 아님", "a column of files holds no keys"),
    "absent_files": ("파일 컬럼이 가리키는 파일이 S3에 없음", "a column of files names files that are not there"),
    "no_bucket": ("파일이 있는 버킷을 알 수 없음", "nobody says in which bucket the files are"),
    "unexpected_cascade": (
        "실제로 연결된 테이블이 정책의 목록과 다름",
        "other tables hang on it than the policy lists",
    ),
    "wrong_reference": ("참조 컬럼이 맞지 않음", "the columns of a reference do not fit"),
    "temporal_key": ("기간(PERIOD)이 포함된 외래 키", "a foreign key with a period"),
    "no_key": ("행을 구별할 키가 없음", "no key to tell its rows apart"),
    "busy": ("다른 작업이 사용 중인 테이블", "another run is using the table"),
    "returned": ("복원된 행이 아직 아카이브에 남아 있음", "restored rows are still in the archive"),
    "held": ("복원된 행의 보류 기준을 확인할 수 없음", "restored rows are held by another column"),
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
    "unknown_rows": ("출처를 알 수 없는 행이 이미 있음", "it holds rows of unknown origin"),
    "overlap": ("좋아요와 싫어요에 같은 값이 있음", "one value is both a like and a dislike"),
    "impossible_value": ("컬럼에 저장할 수 없는 값", "a value that the column cannot have"),
    "not_unique": ("문서 ID가 유일하지 않음", "the documents' ids are not unique"),
    "not_writable": ("임베딩을 저장할 수 없는 컬럼", "the column cannot take embeddings"),
    "wrong_dimension": ("벡터 차원이 모델과 다름", "the column takes vectors of another dimension"),
    "wrong_place": ("임베딩을 저장할 수 없는 위치", "embeddings cannot be kept there"),
    "collision": ("대상 데이터베이스에 같은 이름의 객체가 있음", "the database has objects of the same names"),
    "not_empty": ("복원 위치가 비어 있지 않음", "the place to restore to is not empty"),
    "other_kind": ("다른 종류의 데이터베이스 백업", "a backup of another kind of database"),
    "no_client": ("PostgreSQL 클라이언트를 찾을 수 없음", "no PostgreSQL client to be found"),
    "no_schema": ("백업에 스키마가 없음", "the backup has no schema"),
    "older_server": ("복원할 서버의 버전이 더 낮음", "the server to restore to is older"),
    "own_rights": (
        "백업에 포함된 코드가 nightshift의 권한으로 실행될 수 있음",
        "code in the backup would run with nightshift's rights",
    ),
}
"""Names of the guards, in Korean and in English."""

KOREAN_REASONS = {
    "unknown_table": "설정이나 요청에 적힌 테이블이 없거나, 이 작업에서 다룰 수 없는 테이블입니다.",
    "unknown_column": "설정에 적힌 컬럼이 테이블에 없거나, 서로 참조하는 컬럼의 개수가 다릅니다.",
    "wrong_type": "컬럼의 타입이나 저장된 값이 설정한 용도와 맞지 않습니다.",
    "cascade": "삭제 대상을 참조하는 행이 있습니다. 그대로 삭제하면 보관하지 않은 행까지 사라지거나 삭제가 실패합니다.",
    "dissolves": "참조되는 행이 먼저 삭제되면, 참조하는 행이 외래 키 값을 잃은 채로 보관됩니다.",
    "abnormal_volume": "삭제 대상 행의 비율이 허용 한도를 넘었습니다. 보관 기간이 잘못 설정되었을 수 있습니다.",
    "hidden_rows": "조회하거나 삭제한 행이 전부인지 보장할 수 없습니다.",
    "returning_rows": "보관한 행이 테이블에 다시 생기면 같은 행이 두 번 보관됩니다. 해당 변경은 취소했습니다.",
    "vanishing_rows": "보관하지 않은 행이 함께 삭제되면 복원할 수 없습니다. 해당 변경은 취소했습니다.",
    "replica_identity": "논리 복제에 필요한 REPLICA IDENTITY가 없거나 맞지 않아, 서버가 모든 삭제를 거부합니다.",
    "privilege": "nightshift가 사용하는 데이터베이스 계정에 필요한 권한이 없습니다.",
    "encoding": "인코딩이 SQL_ASCII인 데이터베이스의 텍스트는 올바른 UTF-8이 아닐 수 있어 보관할 수 없습니다.",
    "reserved_name": "nightshift가 보관 파일에 추가하는 컬럼과 이름이 같은 컬럼이 테이블에 있습니다.",
    "repeated": "표기만 다른 두 정책이 같은 테이블을 가리킵니다.",
    "archive": "정책에 `archive = true`가 설정되어 있지만, 행을 원래 내용 그대로 보관할 수 없는 구조입니다.",
    "not_a_key": "컬럼의 값을 S3 키로 해석할 수 없습니다. 엉뚱한 파일을 삭제하지 않도록 중단했습니다.",
    "absent_files": "확인한 키 가운데 S3에 없는 것이 많습니다. 버킷이나 경로 설정이 잘못되었을 수 있습니다.",
    "no_bucket": "파일을 삭제할 버킷이 설정되지 않았거나, 설정된 버킷이 없거나, 버킷에 접근할 수 없습니다.",
    "unexpected_cascade": "정책의 `cascade` 목록에 없는 행이 삭제되거나, 목록에 있는 행이 삭제되지 않을 수 있습니다.",
    "wrong_reference": "참조 컬럼의 값이 유일하지 않거나 서로 비교할 수 없어, 함께 삭제할 행을 확정할 수 없습니다.",
    "temporal_key": "한 행이 만료된 행과 만료되지 않은 행을 함께 참조할 수 있어, 삭제해도 되는지 판단할 수 없습니다.",
    "no_key": "기본 키가 없으면 처리할 행을 다른 행과 확실히 구별할 수 없습니다.",
    "busy": "다른 실행이 같은 테이블의 행을 삭제하거나 복원하고 있습니다.",
    "returned": "아카이브의 행이 테이블에도 있어, 그대로 진행하면 같은 행이 두 번 보관됩니다.",
    "held": "보류 중인 행을 구별하던 컬럼을 더 이상 사용할 수 없어, 어떤 행을 남겨야 하는지 알 수 없습니다.",
    "unknown_object": "요청한 객체가 이 테이블의 아카이브 기록에 없습니다.",
    "same_table": "원본 테이블로 복원하려면 전용 옵션으로 명시해야 합니다.",
    "unusable_table": "대상의 이름, 종류, 권한, 구조 중 하나가 맞지 않아 행을 넣을 수 없습니다.",
    "altered_rows": "복원한 행의 내용이 바뀌거나 일부 행이 빠질 수 있습니다.",
    "impossible_columns": "보관된 행의 컬럼과 복원할 테이블의 컬럼을 서로 맞출 수 없습니다.",
    "impossible_values": "일부 객체로 먼저 시험한 결과, 테이블의 타입이나 제약 조건이 보관된 값을 받아들이지 않습니다.",
    "unknown_rows": "복원할 테이블에 nightshift가 복원하지 않은 행이 있어, 섞이면 구별할 수 없습니다.",
    "overlap": "한 값이 좋아요, 싫어요, 중립 설정 중 두 곳 이상에 들어 있어 집계할 수 없습니다.",
    "impossible_value": "설정한 값은 평가 컬럼의 타입으로 저장할 수 없는 값입니다.",
    "not_unique": "같은 ID의 문서가 여러 개일 수 있어, 벡터가 어느 문서의 것인지 구별할 수 없습니다.",
    "not_writable": "값이 자동으로 계산되거나 NULL을 허용하지 않는 컬럼입니다.",
    "wrong_dimension": "컬럼에 선언된 차원과 모델이 만드는 벡터의 차원이 다릅니다.",
    "wrong_place": "임베딩을 따로 저장할 테이블로 문서 테이블 자체가 지정되었습니다.",
    "collision": "이미 있는 객체를 덮어쓰지 않도록 중단했습니다.",
    "not_empty": "이미 있는 데이터를 덮어쓰거나 섞지 않도록, 비어 있는 위치에만 복원합니다.",
    "other_kind": "백업한 데이터베이스와 복원할 데이터베이스의 종류(PostgreSQL, SQLite)가 다릅니다.",
    "no_client": "복원에 필요한 버전의 pg_dump와 pg_restore가 없습니다.",
    "no_schema": "백업에 행만 있고 스키마가 없어, 테이블을 새로 만들 수 없습니다.",
    "older_server": "백업한 서버보다 버전이 낮은 PostgreSQL 서버에는 복원할 수 없습니다.",
    "own_rights": "백업한 데이터베이스의 함수 등이 보호해야 할 서버에서 높은 권한으로 실행될 수 있습니다.",
}


class Guards:
    """Phrases for refusals: the names of the guards, and the Korean reasons."""

    guards = named(NAMES)
    guard_reasons = Phrase[dict[str, str]](KOREAN_REASONS, {})
    other_guard = Phrase("안전 점검 실패 ({guard})", "check failed ({guard})")
