"""The archive as others read it: a Hive-partitioned set with proper types, sorted, with statistics and a page index."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.support.house import House

EVENTS = """
CREATE TABLE events (
  id bigserial PRIMARY KEY, small int2, number int4, big int8, share float4, score float8, yes bool, word text,
  short varchar(10), padded char(3), session uuid, plain json, binary_json jsonb, raw bytea, birthday date, wake time,
  local timestamp, price numeric(12,2), free numeric, span interval, tags text[], ip inet,
  created_at timestamptz NOT NULL
);
INSERT INTO events
SELECT n, n % 100, n, n * 1000000000::bigint, n / 2.0, n / 3.0, n % 2 = 0, '단어 ' || n, 'v' || n % 10, 'c',
       ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, '{"n": 1}', jsonb_build_object('n', n),
       decode(lpad(to_hex(n), 8, '0'), 'hex'), date '2000-01-01' + n, time '08:00' + n * interval '1 second',
       timestamp '2025-01-01' + n * interval '1 hour', n + 0.25, n / 7.0, n * interval '1 minute', ARRAY['a', n::text],
       '10.0.0.1', timestamptz '2025-09-12 00:00+09' + (n * 7919 % 3000) * interval '1 minute'
FROM generate_series(0, 2999) n
"""
"""3,000 rows in no order over two days and two hours in Seoul, all due."""

TYPES = {
    "id": pa.int64(),
    "small": pa.int16(),
    "number": pa.int32(),
    "big": pa.int64(),
    "share": pa.float32(),
    "score": pa.float64(),
    "yes": pa.bool_(),
    "word": pa.string(),
    "short": pa.string(),
    "padded": pa.string(),
    "session": pa.uuid(),
    "plain": pa.string(),
    "binary_json": pa.json_(pa.string()),
    "raw": pa.binary(),
    "birthday": pa.date32(),
    "wake": pa.time64("us"),
    "local": pa.timestamp("us"),
    "price": pa.decimal128(12, 2),
    "free": pa.string(),
    "span": pa.string(),
    "tags": pa.string(),
    "ip": pa.string(),
    "created_at": pa.timestamp("us", "UTC"),
}


@pytest.fixture
def archive(house: House) -> Path:
    """`events`, archived and brought to this machine: the root of the set."""
    house.sql(EVENTS)
    house.policies('[[retention]]\ntable = "events"\nkeep_days = 30')
    assert house.run_table()["archived_rows"] == 3000
    for key, body in house.s3.objects(house.bucket).items():
        path = house.directory / "bucket" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return house.directory / "bucket" / "archive"


def files(archive: Path) -> list[pq.ParquetFile]:
    return [pq.ParquetFile(path) for path in sorted(archive.rglob("*.parquet"))]


def test_types(archive: Path) -> None:
    for file in files(archive):
        assert {field.name: field.type for field in file.schema_arrow} == TYPES
        for index in range(len(file.schema)):
            column = file.schema.column(index)
            assert column.name != "created_at" or str(column.logical_type).startswith("Timestamp(isAdjustedToUTC=true")
            assert column.name != "session" or str(column.logical_type) == "UUID"
            assert column.name != "binary_json" or str(column.logical_type) == "JSON"


def test_days_are_cut_in_the_policy_s_zone_and_sorted(archive: Path) -> None:
    days = {}
    for path in archive.rglob("*.parquet"):
        moments = pq.ParquetFile(path).read(["created_at"]).column(0).to_pylist()
        assert moments == sorted(moments)
        local = {moment.astimezone(dt.timezone(dt.timedelta(hours=9))).date().isoformat() for moment in moments}
        (day,) = local
        days[path.parent.name] = day
    assert days == {f"dt={day}": day for day in ("2025-09-12", "2025-09-13", "2025-09-14")}


def test_statistics_and_page_index(archive: Path) -> None:
    for file in files(archive):
        metadata = file.metadata
        assert metadata.row_group(0).sorting_columns == (pq.SortingColumn(list(TYPES).index("created_at")),)
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                assert column.compression == "ZSTD" and column.has_offset_index
                if column.path_in_schema in ("share", "score"):
                    assert column.statistics is None and not column.has_column_index
                    continue
                assert column.has_column_index, column.path_in_schema
                assert column.statistics is not None and column.statistics.has_null_count, column.path_in_schema
            moment = metadata.row_group(group).column(list(TYPES).index("created_at")).statistics
            assert moment.has_min_max and moment.min <= moment.max


def test_pyarrow_reads_the_set(archive: Path) -> None:
    dataset = ds.dataset(archive, format="parquet", partitioning="hive")

    table = dataset.to_table()
    assert table.num_rows == 3000
    assert set(table.column("id").to_pylist()) == set(range(3000))
    assert set(table.column("table").to_pylist()) == {"public.events"}
    one_day = dataset.to_table(filter=ds.field("dt") == "2025-09-13")
    assert one_day.num_rows == 1440
    row = dataset.to_table(filter=ds.field("id") == 7).to_pylist()[0]
    assert row["session"] == uuid.UUID("00000000-0000-4000-8000-000000000007")
    assert (row["raw"], row["price"], row["yes"]) == (b"\0\0\0\x07", Decimal("7.25"), False)
    assert row["word"] == "단어 7"
    assert json.loads(row["binary_json"]) == {"n": 7}
    assert (row["birthday"], row["wake"]) == (dt.date(2000, 1, 8), dt.time(8, 0, 7))
    assert (row["free"], row["span"], row["tags"]) == ("1.00000000000000000000", "00:07:00", "{a,7}")


def test_duckdb_reads_the_set(archive: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Seoul'")
        source = f"read_parquet('{archive}/**/*.parquet', hive_partitioning = true)"

        def ask(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.format(source=source)).fetchall()

        assert ask("SELECT dt, count(*) FROM {source} GROUP BY dt ORDER BY dt") == [
            (dt.date(2025, 9, 12), 1440),
            (dt.date(2025, 9, 13), 1440),
            (dt.date(2025, 9, 14), 120),
        ]
        assert ask("SELECT count(*) FROM {source} WHERE created_at::date <> dt") == [(0,)]
        described = {name: kind for name, kind, *_ in ask("DESCRIBE SELECT * FROM {source}")}
        assert {name: kind for name, kind in described.items() if name in DUCKDB_TYPES} == DUCKDB_TYPES
        row = ask("SELECT session, price, raw, binary_json->>'n', \"table\" FROM {source} WHERE id = 7")
        assert row == [
            (uuid.UUID("00000000-0000-4000-8000-000000000007"), Decimal("7.25"), b"\0\0\0\x07", "7", "public.events")
        ]


DUCKDB_TYPES = {
    "id": "BIGINT",
    "small": "SMALLINT",
    "number": "INTEGER",
    "share": "FLOAT",
    "score": "DOUBLE",
    "yes": "BOOLEAN",
    "word": "VARCHAR",
    "session": "UUID",
    "binary_json": "JSON",
    "raw": "BLOB",
    "birthday": "DATE",
    "wake": "TIME",
    "local": "TIMESTAMP",
    "price": "DECIMAL(12,2)",
    "created_at": "TIMESTAMP WITH TIME ZONE",
    "dt": "DATE",
}


def test_values_that_do_not_fit_stand_beside(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, born date, wake time, local timestamp, at timestamptz, price numeric(6,2));"
        "INSERT INTO log VALUES (1, 'infinity', '24:00', '-infinity', '2025-01-01', 'NaN'),"
        " (2, '2000-01-01', '12:00', '2025-01-01', '2025-01-01', 1.5), (3, NULL, NULL, NULL, '2025-01-01', NULL);"
        "CREATE TABLE plain (id int, born date, at timestamptz);"
        "INSERT INTO plain VALUES (1, '2000-01-01', '2025-01-01')"
    )
    entry = '[[retention]]\ntable = "{}"\ntimestamp = "at"\nkeep_days = 30\n'
    house.policies(entry.format("log") + entry.format("plain"))

    house.run()

    (log,), (plain,) = house.objects("public.log"), house.objects("public.plain")
    by_id = {row["id"]: row for row in log.rows.to_pylist()}
    assert [by_id[1][name] for name in ("born", "wake", "local", "price")] == [None] * 4
    assert json.loads(by_id[1]["_nightshift_exact"]) == {
        "born": "infinity",
        "wake": "24:00:00",
        "local": "-infinity",
        "price": "NaN",
    }
    assert by_id[2]["born"] == dt.date(2000, 1, 1) and by_id[2]["price"] == Decimal("1.50")
    assert by_id[2]["_nightshift_exact"] is None and by_id[3]["_nightshift_exact"] is None
    assert log.rows.schema.field("born").type == pa.date32()
    assert "_nightshift_exact" not in plain.rows.column_names
