"""Fills the tables of `local/jobs.py` with the jobs of `local/job_data.py`.

The same INSERT … SELECT statements fill both databases, PostgreSQL with 1,560,000 rows in seconds. The few functions
that they call are written in SQL for PostgreSQL, and lent by Python to SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, DateTime, MetaData, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from local.job_data import LIFE, Jobs, digest, file_key
from local.jobs import ROWS_A_JOB

SEOUL = ZoneInfo("Asia/Seoul")

_VALUES: Mapping[str, Mapping[str, str]] = {
    "job": {
        "id": "fn.job_id(i)",
        "customer": "'고객 ' || i",
        "phone": "fn.phone(i)",
        "status": "CASE WHEN i & 7 = 0 THEN 'unpaid' ELSE 'done' END",
        "created_at": "fn.moment(i, 0)",
        "expires_at": "fn.moment(i, 86400)",
    },
    "payment": {
        "id": "i",
        "job_id": "fn.job_id(i)",
        "order_number": "'ORD-' || i",
        "method": "CASE WHEN i & 3 = 0 THEN 'kakaopay' ELSE 'card' END",
        "amount": "9900 + 1000 * (i & 3)",
        "paid_at": "fn.moment(i, 180)",
    },
    "payment_failure": {
        "payment_id": "i",
        "code": "CASE WHEN i & 1 = 0 THEN 'LIMIT_EXCEEDED' ELSE 'INVALID_CARD' END",
        "message": "'결제가 승인되지 않았습니다. 카드사에 문의해 주세요.'",
    },
    "job_file": {
        "job_id": "fn.job_id(i)",
        "kind": "CASE k WHEN 1 THEN 'upload' WHEN 2 THEN 'resume' WHEN 3 THEN 'cover_letter' ELSE 'review' END",
        "bucket": "CAST(:bucket AS text)",
        "s3_key": "fn.file_key(i, k)",
        "size": "40000 + (i * 7919 + k * 104729 & 524287)",
    },
    "sms_log": {
        "job_id": "fn.job_id(i)",
        "phone": "fn.phone(i)",
        "message": "CASE k WHEN 1 THEN '인증번호를 입력해 주세요.' ELSE '문서가 완성되었습니다.' END",
        "sent_at": "fn.moment(i, 600 * k)",
    },
    "phone_verification_attempt": {
        "job_id": "fn.job_id(i)",
        "phone": "fn.phone(i)",
        "code_hash": "fn.digest('code ' || i)",
        "attempted_at": "fn.moment(i, 30)",
    },
    "report": {
        "id": "fn.report_id(i)",
        "job_id": "fn.job_id(i)",
        "title": "'지원 서류 진단 ' || i",
        "body": "'성과가 수치로 드러납니다. 동기는 \"왜 이 회사\"인지부터. ' || fn.digest('body ' || i)",
    },
    "report_knowledge": {
        "report_id": "fn.report_id(i)",
        "source": "CASE k WHEN 1 THEN 'job-posting' ELSE 'guide' END",
        "excerpt": "'첫 줄에는 성과를 적습니다. ' || fn.digest('excerpt ' || i || '/' || k)",
    },
}
"""What stands in each column: `i` numbers the jobs, `k` the rows of one job, `fn` is where our functions live."""

_INSERT = """
WITH RECURSIVE jobs(i) AS (SELECT CAST(1 AS bigint) UNION ALL SELECT i + 1 FROM jobs WHERE i < :jobs),
    copies(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM copies WHERE k < :copies)
INSERT INTO {table} ({columns}) SELECT {values} FROM jobs CROSS JOIN copies
    WHERE i <= :jobs ORDER BY i, k
"""

_POSTGRES_FUNCTIONS = """
CREATE OR REPLACE FUNCTION pg_temp.digest(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT md5(value) $$;
CREATE OR REPLACE FUNCTION pg_temp.job_id(i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT CAST(md5('job ' || i) AS uuid) $$;
CREATE OR REPLACE FUNCTION pg_temp.report_id(i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS $$ SELECT CAST(md5('report ' || i) AS uuid) $$;
CREATE OR REPLACE FUNCTION pg_temp.file_key(i bigint, k int) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT 'jobs/' || CAST(md5('job ' || i) AS uuid) || '/' || k || '-' || md5(i || '/' || k) || '.pdf' $$;
CREATE OR REPLACE FUNCTION pg_temp.phone(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT '010-' || lpad(CAST(mod(i * 7919, 10000) AS text), 4, '0') || '-'
        || lpad(CAST(mod(i * 3571, 10000) AS text), 4, '0') $$;
CREATE OR REPLACE FUNCTION pg_temp.moment(i bigint, seconds int) RETURNS {type} LANGUAGE sql STABLE
    AS $$ SELECT (CAST('{origin}' AS timestamptz)
        + (i - {first_living}) * (CASE WHEN i < {first_living} THEN {before} ELSE {after} END)
            * interval '1 microsecond'
        + seconds * interval '1 second') {zone} $$
"""


def create_jobs(url: str, schema: MetaData, jobs: Jobs) -> None:
    """Create and fill the tables of `jobs.job_schema` in an empty database; PostgreSQL's statistics are fresh then.

    Args:
        url: `postgresql://…` as a superuser, or `sqlite:///path`.
    """
    address = make_url(url)
    if address.get_backend_name() == "postgresql":
        address = address.set(drivername="postgresql+pg8000")
    engine = create_engine(address, poolclass=NullPool)
    with engine.begin() as connection:
        schema.create_all(connection)
        fill_jobs(connection, schema, jobs)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"VACUUM ANALYZE {', '.join(schema.tables)}"))


def fill_jobs(connection: Connection, schema: MetaData, jobs: Jobs) -> None:
    """Fill the empty tables of `jobs.job_schema`; the caller commits."""
    moment_type = schema.tables["job"].c.expires_at.type
    assert isinstance(moment_type, DateTime)
    make_ready = _lend_to_sqlite if connection.dialect.name == "sqlite" else _define_in_postgres
    with make_ready(connection, jobs, naive=not moment_type.timezone) as namespace:
        for table, values in _VALUES.items():
            statement = _INSERT.format(table=table, columns=", ".join(values), values=", ".join(values.values()))
            parameters = {"jobs": jobs.total, "copies": ROWS_A_JOB[table], "bucket": jobs.bucket}
            connection.execute(text(statement.replace("fn.", namespace)), parameters)


@contextmanager
def _define_in_postgres(connection: Connection, jobs: Jobs, *, naive: bool) -> Iterator[str]:
    """Make the functions, which last as long as the session, and say where they live.

    Payments that others add get numbers behind ours.
    """
    microsecond = timedelta(microseconds=1)
    before, after = jobs.steps
    functions = _POSTGRES_FUNCTIONS.format(
        type="timestamp" if naive else "timestamptz",
        origin=(jobs.now - LIFE).astimezone(UTC).isoformat(),
        first_living=jobs.expired + 1,
        before=before // microsecond,
        after=after // microsecond,
        zone=f"AT TIME ZONE '{SEOUL.key}'" if naive else "",
    )
    for function in functions.split(";\n"):
        connection.execute(text(function))
    connection.execute(
        text("SELECT setval(pg_get_serial_sequence('payment', 'id'), :next, false)"), {"next": jobs.total + 1}
    )
    # Our keys fit: to look up every parent again would take as long as all the rest.
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    yield "pg_temp."
    connection.execute(text("SET LOCAL session_replication_role = DEFAULT"))


@contextmanager
def _lend_to_sqlite(connection: Connection, jobs: Jobs, *, naive: bool) -> Iterator[str]:
    """The same functions, as Python has them; SQLAlchemy's uuids are 32 digits there, its timestamps text."""
    zone = SEOUL if naive else UTC

    def moment(i: int, seconds: int) -> str:
        ordered = jobs.expires_at(i) - LIFE + timedelta(seconds=seconds)
        return ordered.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")

    sqlite: Any = connection.connection.driver_connection
    sqlite.create_function("digest", 1, digest)
    sqlite.create_function("job_id", 1, lambda i: digest(f"job {i}"))
    sqlite.create_function("report_id", 1, lambda i: digest(f"report {i}"))
    sqlite.create_function("file_key", 2, file_key)
    sqlite.create_function("phone", 1, lambda i: f"010-{i * 7919 % 10000:04}-{i * 3571 % 10000:04}")
    sqlite.create_function("moment", 2, moment)
    yield ""
