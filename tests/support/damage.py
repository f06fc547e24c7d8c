"""A small archive made by real runs, and what can happen to it afterwards."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow.parquet as pq

from nightshift.archive.verify import VerificationReport, verify_archive
from nightshift.database.connect import Database
from nightshift.store import ObjectStore, make_client
from tests.support.engine import database_of
from tests.support.handler import environ_of
from tests.support.house import House

DAYS = ("2025-09-01", "2025-09-02", "2025-09-03")


@contextmanager
def ports(house: House, endpoint: str | None = None) -> Iterator[tuple[Database, ObjectStore]]:
    """The house's database and bucket, the latter perhaps by way of a proxy; closed afterwards."""
    env = {**house.env, "AWS_ENDPOINT_URL": endpoint or house.env["AWS_ENDPOINT_URL"]}
    with environ_of(env), closing(make_client()) as client, database_of(house) as database, closing(database):
        yield database, ObjectStore(lambda: client, house.bucket)


def check(house: House, endpoint: str | None = None, **wanted: Any) -> VerificationReport:
    """Verify the house's archive."""
    with ports(house, endpoint) as (database, store):
        return verify_archive(database, store, "archive", **wanted)


def fill(house: House, table: str = "log", rows: int = 100) -> list[str]:
    """Archive some rows of each of `DAYS`; returns the keys, oldest first."""
    if house.url.startswith("sqlite"):
        house.sql(f"CREATE TABLE {table} (id int, note text, created_at timestamp)")
        for n, day in enumerate(DAYS):
            house.sql(f"INSERT INTO {table} VALUES ({n}, 'note', '{day} 12:00:00')")
    else:
        house.sql(f"CREATE TABLE {table} (id int, note text, created_at timestamptz)")
        for n, day in enumerate(DAYS):
            values = f"g * 3 + {n}, 'note ' || g, '{day} 12:00+09'"
            house.sql(f"INSERT INTO {table} SELECT {values} FROM generate_series(1, {rows}) g")
    house.policies(f'[[retention]]\ntable = "{table}"\ntimestamp = "created_at"\nkeep_days = 30')
    assert house.run()["status"] == "ok"
    return [
        row["object_key"]
        for row in sorted(house.ledger(), key=lambda row: str(row["dt"]))
        if table in row["table_name"]
    ]


def put(house: House, key: str, body: bytes) -> None:
    house.s3.client().put_object(Bucket=house.bucket, Key=key, Body=body)


def body_of(house: House, key: str) -> bytes:
    return house.s3.client().get_object(Bucket=house.bucket, Key=key)["Body"].read()


def delete(house: House, key: str) -> None:
    house.s3.client().delete_object(Bucket=house.bucket, Key=key)


def set_state(house: House, key: str, state: str) -> None:
    house.sql(f"UPDATE nightshift_archive_object SET state = '{state}' WHERE object_key = '{key}'")


def state_of(house: House, key: str) -> object:
    return house.value(f"SELECT state FROM nightshift_archive_object WHERE object_key = '{key}'")


def orphan(house: House, key: str, state: str = "pending") -> str:
    """An object as a run that died leaves it: a copy of `key` under one of its own, on record in `state`."""
    new = key.rpartition("/")[0] + f"/orphan-{state}.parquet"
    put(house, new, body_of(house, key))
    house.sql(
        "INSERT INTO nightshift_archive_object (bucket, object_key, table_name, state, dt, run_id, created_at)"
        f" SELECT bucket, '{new}', table_name, '{state}', dt, 'dead', created_at"
        f" FROM nightshift_archive_object WHERE object_key = '{key}'"
    )
    return new


def rewritten(body: bytes, **run: str) -> bytes:
    """The same rows in a file of their own, its key-value metadata changed."""
    table, sink = pq.read_table(io.BytesIO(body)), io.BytesIO()
    changes = {f"nightshift.{key}".encode(): value.encode() for key, value in run.items()}
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **changes}), sink)
    return sink.getvalue()


def vouch(house: House, key: str, body: bytes, rows: int | None = None) -> None:
    """Put other bytes there, and have the ledger vouch for them."""
    put(house, key, body)
    count = "" if rows is None else f", row_count = {rows}"
    digest = hashlib.sha256(body).hexdigest()
    house.sql(
        f"UPDATE nightshift_archive_object SET sha256 = '{digest}', byte_count = {len(body)}{count}"
        f" WHERE object_key = '{key}'"
    )


def flipped(body: bytes) -> bytes:
    """One bit turned in the first page."""
    return body[:40] + bytes([body[40] ^ 1]) + body[41:]


def unknown_copy(house: House, key: str, body: bytes | None = None) -> str:
    new = key.rpartition("/")[0] + "/unknown.parquet"
    put(house, new, body_of(house, key) if body is None else body)
    return new
