"""Rows as multisets: what is in a table, what is in the archive, and whether the two add up.

Every row is reduced to (id, payload, moment in microseconds since 1970, UTC), read with plain drivers that share
no code with the archive engine. A multiset, so that a row archived twice is seen.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from local.s3 import EmbeddedS3

Row = tuple[int, str, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns make up a `Row`."""

    id: str = "id"
    payload: str = "payload"
    moment: str = "created_at"

    def names(self) -> tuple[str, str, str]:
        return self.id, self.payload, self.moment


DEFAULT_COLUMNS = Columns()


def engine_for(url: str) -> sa.Engine:
    """An engine without a pool, so that nothing stays connected to a database that is to be dropped.

    TLS is not even tried: the servers have none, and pg8000 would spend more time on certificates than on the rows.
    """
    if url.startswith("sqlite"):
        return sa.create_engine(url, poolclass=sa.NullPool)
    plain = url.replace("postgresql://", "postgresql+pg8000://", 1).partition("?")[0]
    return sa.create_engine(plain, poolclass=sa.NullPool, connect_args={"ssl_context": False})


def rows_in_table(url: str, table: str, columns: Columns = DEFAULT_COLUMNS) -> Counter[Row]:
    """The table's committed rows.

    Args:
        url: of the database.
        table: `table` or `schema.table`, as SQL would have it.
        columns: what to compare.
    """
    with engine_for(url).connect() as connection:
        return Counter(_row(*found) for found in connection.execute(sa.text(f"SELECT {_list(columns)} FROM {table}")))


def rows_in_archive(
    s3: EmbeddedS3, url: str, table: str | None = None, columns: Columns = DEFAULT_COLUMNS
) -> Counter[Row]:
    """The rows of every object that the ledger calls archived; no other object counts.

    Args:
        s3: where the objects are.
        url: of the database that holds the ledger.
        table: `schema.table` to restrict to; None: every table.
        columns: what to compare.
    """
    rows: Counter[Row] = Counter()
    for entry in ledger(url):
        if entry["state"] == "archived" and table in (None, entry["table_name"]):
            rows.update(rows_in_entry(s3, entry, columns))
    return rows


def rows_in_entry(s3: EmbeddedS3, entry: Mapping[str, Any], columns: Columns = DEFAULT_COLUMNS) -> list[Row]:
    """The rows of one object; the ledger must state their number and the object's SHA-256 rightly."""
    body = s3.client().get_object(Bucket=entry["bucket"], Key=entry["object_key"])["Body"].read()
    # ParquetFile, not read_table: that would add the `table=`, `dt=` parts of a path as columns.
    found = pq.ParquetFile(io.BytesIO(body)).read(columns=list(columns.names())).to_pydict()
    rows = [_row(*row) for row in zip(*(found[name] for name in columns.names()), strict=True)]
    stated = (entry["row_count"], entry["sha256"])
    assert (len(rows), sha256(body).hexdigest()) == stated, f"ledger and object differ: {entry['object_key']}"
    return rows


def ledger(url: str) -> list[dict[str, Any]]:
    """Every row of `nightshift_archive_object`; none where the table does not exist yet."""
    engine = engine_for(url)
    if not sa.inspect(engine).has_table("nightshift_archive_object"):
        return []
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT * FROM nightshift_archive_object")).mappings()
        return [dict(row) for row in found]


def unaccounted_keys(s3: EmbeddedS3, bucket: str, url: str) -> set[str]:
    """Parquet objects in the bucket that no row of the ledger accounts for: orphans.

    An object whose rows have gone back into the table stays where it is.
    """
    known = {entry["object_key"] for entry in ledger(url) if entry["state"] in ("archived", "restored")}
    return {key for key in s3.keys(bucket) if key.endswith(".parquet")} - known


def assert_exactly_once(
    before: Counter[Row], s3: EmbeddedS3, url: str, table: str, columns: Columns = DEFAULT_COLUMNS
) -> None:
    """Assert that table and archive together hold each row of `before` once: none lost, none twice."""
    after = rows_in_table(url, table, columns) + rows_in_archive(s3, url, columns=columns)
    lost, doubled = before - after, after - before
    assert not lost and not doubled, f"{lost.total()} rows lost, {doubled.total()} rows too many"


def _row(id_: object, payload: object, moment: object) -> Row:
    return int(str(id_)), str(payload), _microseconds(moment)


def _microseconds(moment: object) -> int:
    when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    assert isinstance(when, datetime), f"not a moment: {moment!r}"
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _list(columns: Columns) -> str:
    return ", ".join(f'"{name}"' for name in columns.names())
