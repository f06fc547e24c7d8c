"""The reference schema promises what it is asked to, and both databases hold the same, known jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, create_engine, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from local.job_data import LIFE, Jobs, all_file_keys, file_keys, job_id, put_files
from local.job_rows import create_jobs
from local.jobs import ROWS_A_JOB, TABLES, Base, job_schema
from local.s3 import EmbeddedS3

NOON = datetime(2025, 10, 15, 12, tzinfo=UTC)
JOBS = Jobs(expired=7, living=3, now=NOON, bucket="uploads")
SEOUL = timezone(timedelta(hours=9))


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database, of each kind."""
    return str(request.getfixturevalue("database" if request.param == "postgresql" else "sqlite_url"))


@pytest.fixture
def opened() -> Iterator[Any]:
    """Gives an engine for a URL; SQLite minds its foreign keys."""
    engines: list[Engine] = []

    def engine_of(url: str) -> Engine:
        address = make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+pg8000")
        engines.append(create_engine(address, poolclass=NullPool))
        return engines[-1]

    yield engine_of
    for engine in engines:
        engine.dispose()


def content(engine: Engine, schema: MetaData) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, by their first column; times in UTC, without a zone."""
    with engine.connect() as connection:
        return {
            name: [tuple(map(_plain, row)) for row in connection.execute(select(table).order_by(table.c[0]))]
            for name, table in schema.tables.items()
        }


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


@pytest.mark.parametrize("naive", [False, True])
def test_both_databases_hold_the_same_jobs(database: str, sqlite_url: str, opened: Any, naive: bool) -> None:
    schema = job_schema(cascades=False, naive=naive)
    for address in (database, sqlite_url):
        create_jobs(address, schema, JOBS)
    here, there = (content(opened(address), schema) for address in (database, sqlite_url))
    assert here == there
    assert {name: len(rows) for name, rows in here.items()} == {name: 10 * each for name, each in ROWS_A_JOB.items()}


@pytest.mark.parametrize("naive", [False, True])
def test_who_is_due_is_known_beforehand(url: str, opened: Any, naive: bool) -> None:
    schema = job_schema(cascades=True, naive=naive)
    create_jobs(url, schema, JOBS)
    clock = SEOUL if naive else UTC
    found = {row[0]: row[-1] for row in content(opened(url), schema)["job"]}
    assert found == {
        job_id(number): JOBS.expires_at(number).astimezone(clock).replace(tzinfo=None) for number in range(1, 11)
    }
    now = NOON.astimezone(clock).replace(tzinfo=None)
    assert {ident for ident, expires in found.items() if expires < now} == {job_id(number) for number in JOBS.gone}
    assert found[job_id(JOBS.kept[0])] == now, "the first living job expires this very moment"
    assert now - LIFE <= min(found.values()) and max(found.values()) < now + LIFE


def test_every_row_hangs_on_its_job_and_files_have_the_keys_that_are_said(url: str, opened: Any) -> None:
    schema = job_schema(cascades=False)
    create_jobs(url, schema, JOBS)
    rows = content(opened(url), schema)
    jobs = {row[0] for row in rows["job"]}
    for name in ("payment", "job_file", "sms_log", "phone_verification_attempt", "report"):
        assert {row[1] for row in rows[name]} == jobs
    assert {row[1] for row in rows["payment_failure"]} == {row[0] for row in rows["payment"]}
    assert {row[1] for row in rows["report_knowledge"]} == {row[0] for row in rows["report"]}
    keys = [(row[1], row[4]) for row in rows["job_file"]]
    assert sorted(keys) == sorted((job_id(number), key) for number in range(1, 11) for key in file_keys(number))
    assert {row[3] for row in rows["job_file"]} == {"uploads"}


def test_a_payment_made_later_has_a_number_of_its_own(url: str, opened: Any) -> None:
    schema = job_schema(cascades=True)
    create_jobs(url, schema, JOBS)
    payment = schema.tables["payment"]
    with opened(url).begin() as connection:
        made = connection.execute(
            payment.insert().returning(payment.c.id),
            {"job_id": job_id(10), "order_number": "x", "method": "card", "amount": 1, "paid_at": NOON},
        )
        assert made.scalar_one() == 11


@pytest.mark.parametrize("cascades", [True, False])
def test_the_database_cascades_only_where_it_is_asked_to(url: str, opened: Any, cascades: bool) -> None:
    schema = job_schema(cascades=cascades)
    create_jobs(url, schema, JOBS)
    engine = opened(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA foreign_keys = ON"))
        if not cascades:
            with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
                connection.execute(schema.tables["job"].delete())
            return
        connection.execute(schema.tables["job"].delete())
        connection.commit()
    assert all(rows == [] for rows in content(engine, schema).values())


def test_an_unlinked_table_keeps_its_column_and_index_and_no_foreign_key(url: str, opened: Any) -> None:
    engine = opened(url)
    job_schema(cascades=True, unlinked=["sms_log"]).create_all(engine)
    found = inspect(engine)
    linked = {name for name in TABLES if found.get_foreign_keys(name)}
    assert linked == set(TABLES) - {"job", "sms_log"}
    assert [index["column_names"] for index in found.get_indexes("sms_log")] == [["job_id"]]
    with pytest.raises(KeyError):
        job_schema(cascades=True, unlinked=["nobody"])


def test_schemas_do_not_share_what_they_promise() -> None:
    loose = job_schema(cascades=False, naive=True, unlinked=TABLES)
    strict = job_schema(cascades=True)
    assert not any(table.foreign_key_constraints & table.constraints for table in loose.tables.values())
    for schema in (strict, Base.metadata):
        keys = [key for table in schema.tables.values() for key in table.foreign_key_constraints & table.constraints]
        assert [key.ondelete for key in keys] == ["CASCADE"] * 7
        expires_at: Any = schema.tables["job"].c.expires_at.type
        assert expires_at.timezone


def test_no_jobs_are_no_rows(url: str, opened: Any) -> None:
    schema = job_schema(cascades=True)
    create_jobs(url, schema, Jobs(0, 0, NOON))
    assert all(rows == [] for rows in content(opened(url), schema).values())


def test_every_file_is_put(s3: EmbeddedS3, bucket: str, tmp_path: Path) -> None:
    assert put_files(s3.client(), bucket, all_file_keys(JOBS.gone)) == 28
    assert s3.keys(bucket) == sorted(key for number in JOBS.gone for key in file_keys(number))
