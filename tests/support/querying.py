"""DuckDB beside a copy of a house's bucket, to run SQL over the archive.

No S3 is within DuckDB's reach here, so the bucket is copied into a directory whose name takes the place of `s3://…/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import duckdb

from nightshift.archive.ddl import SqlEngine, create_table_sql
from tests.support.damage import ports
from tests.support.house import House

ENGINES: tuple[SqlEngine, ...] = ("athena", "duckdb", "spark")


def printed(house: House, table: str, engine: SqlEngine, **days: date) -> str:
    with ports(house) as (database, store):
        return create_table_sql(database, store, "archive", table=table, engine=engine, **days)


def archive(house: House, table: str, timestamp: str = "created_at") -> None:
    house.policies(f"[[retention]]\ntable = '{table}'\ntimestamp = '{timestamp}'\nkeep_days = 30")
    assert house.run()["status"] == "ok"


@contextmanager
def duck(house: House) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB beside a copy of the bucket, in a directory of its own."""
    for key, body in house.s3.objects(house.bucket).items():
        path = house.directory / "copy" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def local(house: House, sql: str) -> str:
    return sql.replace(f"s3://{house.bucket}/", f"{house.directory}/copy/")


def query(house: House, sql: str, select: str) -> list[tuple[Any, ...]]:
    """Run the printed SQL in DuckDB, then a query."""
    with duck(house) as connection:
        connection.execute(local(house, sql))
        return connection.execute(select).fetchall()
