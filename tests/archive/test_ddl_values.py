"""Values that hide from those who query the archive: NaN, `infinity`, JSON that no parser takes; and older objects."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.postgres import EmbeddedPostgres
from tests.restore.simple import restore
from tests.support.damage import body_of, put
from tests.support.house import House
from tests.support.querying import ENGINES, archive, duck, local, printed

RESTORE = Path(__file__).parents[2] / "docs" / "restore.md"

DUE = "'2025-09-10 12:00+09'"

FLOATS = [
    ("f > 100", {2, 4}),
    ("f <> 1.0", {2, 4, 5, 6}),
    ("f = 'NaN'", {2}),
    ("isnan(f)", {2}),
    ("r > 100", {2, 4}),
    ("r <> 1.0", {2, 4, 5, 6}),
    ("f = 0", {5, 6}),
    ("f < 0.5 AND f > -0.5", {5, 6}),
    ("f IS NULL", {3}),
]
"""Condition → the rows that meet it, by their numbers."""

FLOAT_ROWS = """(1, 1.0, 1.0), (2, 'NaN', 'NaN'), (3, NULL, NULL), (4, 'Infinity', 'Infinity'), (5, '-0', '-0'),
  (6, '0', '0')"""

JSON = [
    '{"a":"\\ud83d"}',
    '{"a":"\\u0000"}',
    '{"a":1e400}',
    '{"a": 1, "a": 2}',
    '"\\ude00\\ud83d"',
    "null",
    "[1, 2]",
    '{"\\ud800": 1}',
    "1e400",
]


def found(house: House, sql: str, conditions: Sequence[str]) -> list[set[int]]:
    """The numbers of the rows that meet each condition, in DuckDB's view."""
    with duck(house) as connection:
        connection.execute(local(house, sql))
        return [{row[0] for row in connection.execute(f"SELECT id FROM log WHERE {c}").fetchall()} for c in conditions]


def age(house: House, **kinds: pa.DataType) -> None:
    """Write every object anew as it was written before: with all statistics, and some columns of other types."""
    for entry in house.ledger():
        table = pq.read_table(io.BytesIO(body_of(house, entry["object_key"])))
        for name, kind in kinds.items():
            field = table.schema.field(name).with_type(kind)
            table = table.set_column(table.schema.get_field_index(name), field, table.column(name).cast(kind))
        sink = io.BytesIO()
        pq.write_table(table, sink, write_page_index=True)
        body = sink.getvalue()
        put(house, entry["object_key"], body)
        house.sql(
            f"UPDATE nightshift_archive_object SET byte_count = {len(body)}, version_id = NULL,"
            f" sha256 = '{hashlib.sha256(body).hexdigest()}', schema_fingerprint = 'older' WHERE id = {entry['id']}"
        )


@pytest.mark.fast_cases("older")
@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
def test_no_float_hides(house: House, older: bool) -> None:
    house.sql("CREATE TABLE log (id int, f float8, r float4, created_at timestamptz)")
    house.sql(f"INSERT INTO log SELECT v.*, {DUE} FROM (VALUES {FLOAT_ROWS}) v(id, f, r)".replace("'-0'", "-0.0"))
    house.sql("UPDATE log SET f = '-0', r = '-0' WHERE id = 5")
    archive(house, "log")
    if older:
        age(house)
    else:
        (one,) = house.objects()
        assert all(one.file.metadata.row_group(0).column(n).statistics is None for n in (1, 2))

    assert found(house, printed(house, "log", "duckdb"), [c for c, _ in FLOATS]) == [rows for _, rows in FLOATS]
    assert 'if(is_nan("r"), CAST(nan() AS real), "r") AS "r"' in printed(house, "log", "athena")
    assert "CASE WHEN isnan(`f`) THEN CAST('NaN' AS DOUBLE) ELSE `f` END AS `f`" in printed(house, "log", "spark")
    with duck(house) as connection:  # without our view
        files = local(house, f"s3://{house.bucket}/archive/table=public.log/*/*.parquet")
        (seen,) = connection.execute(f"SELECT count(*) FROM '{files}' WHERE f <> 1.0").fetchall()
        assert older or seen == (4,)


def test_values_that_a_type_cannot_hold_are_there(house: House) -> None:
    """Whatever DuckDB's own types can hold is in its column; the rest stands beside."""
    house.sql("""CREATE TABLE log (id int, d date, t time, "at's ""~/" timestamp, z timestamptz, n numeric(6,2),
      created_at timestamptz)""")
    house.sql(f"""INSERT INTO log VALUES
      (1, '2025-01-01', '12:00', '2025-01-01', '2025-01-01 00:00+00', 1.5, {DUE}),
      (2, 'infinity', '24:00', 'infinity', '-infinity', 'NaN', {DUE}),
      (3, '-infinity', NULL, '-infinity', 'infinity', 2, {DUE}),
      (4, NULL, NULL, '294276-12-31', '294276-12-31 00:00+00', NULL, {DUE})""")
    archive(house, "log")
    sql = printed(house, "log", "duckdb")

    conditions = {
        "d > '2024-01-01'": {1, 2},
        "d < '2024-01-01'": {3},
        "t > '11:00'": {1, 2},
        """ "at's ""~/" > '2024-01-01'""": {1, 2},
        "z = 'infinity'": {3},
        "z < '2024-01-01'": {2},
        "_nightshift_exact ->> 'n' = 'NaN'": {2},
        "_nightshift_exact ->> 'z' LIKE '294276-%'": {4},
        "d IS NULL": {4},
        "created_at >= '2025-09-10' AND n = 2": {3},
    }
    assert found(house, sql, list(conditions)) == list(conditions.values())
    house.sql("ALTER TABLE log ALTER d TYPE text, ALTER n TYPE text")
    house.sql(f"INSERT INTO log (id, d, n, created_at) VALUES (5, 'a day', 'a price', {DUE})")
    archive(house, "log")
    sql = printed(house, "log", "duckdb")
    assert found(house, sql, ["d = 'infinity'", "n = 'NaN'", "d = 'a day'", "z = 'infinity'"]) == [{2}, {2}, {5}, {3}]
    for engine in ENGINES[::2]:
        assert '"z", "created_at": infinity, 24:00 and NaN are null there' in printed(house, "log", engine)


def test_a_filter_on_a_time_still_reaches_the_files(house: House) -> None:
    house.sql("CREATE TABLE log (id int, created_at timestamptz)")
    house.sql(
        "INSERT INTO log SELECT n, timestamptz '2025-09-01 12:00' + n * interval '1 day' FROM generate_series(0, 5) n"
    )
    archive(house, "log")
    with duck(house) as connection:
        connection.execute(local(house, printed(house, "log", "duckdb")))
        plan = str(connection.execute("EXPLAIN SELECT id FROM log WHERE created_at > '2025-09-03'").fetchall())
        assert "created_at>'2025-09-03" in plan.replace(" ", "").replace("│", "").replace("\\n", "")


def test_json_that_no_parser_takes_is_readable(house: House) -> None:
    house.sql("CREATE TABLE log (id int, plain json, strict jsonb, created_at timestamptz)")
    for number, value in enumerate(JSON):
        strict = "NULL" if "\\u" in value else f"'{value}'"
        house.sql(f"INSERT INTO log VALUES ({number}, '{value}', {strict}, {DUE})")
    archive(house, "log")
    with duck(house) as connection:
        connection.execute(local(house, printed(house, "log", "duckdb")))
        rows: list[tuple[Any, ...]] = connection.execute("SELECT plain FROM log ORDER BY id").fetchall()
        assert [row[0] for row in rows] == JSON
        read = "TRY_CAST(plain AS JSON) ->> '$.a'"
        assert connection.execute(f"SELECT {read} FROM log WHERE id IN (3, 6)").fetchall() == [("1",), (None,)]
        assert connection.execute("SELECT count(strict), count(strict::text) FROM log").fetchall() == [(5, 5)]


def test_older_objects_with_json_beside_new_ones(house: House) -> None:
    """They were Parquet's JSON; what DuckDB refuses of them is said."""
    house.sql("CREATE TABLE log (id int, plain json, strict jsonb, created_at timestamptz)")
    house.sql(f"""INSERT INTO log VALUES (1, '{{"a": 1}}', '2', {DUE})""")
    archive(house, "log")
    age(house, plain=pa.json_())
    house.sql(f"INSERT INTO log VALUES (2, '{JSON[0]}', '3', {DUE})")
    archive(house, "log")

    sql = printed(house, "log", "duckdb")

    assert '-- column "plain": objects until November 2026' in sql and '-- column "strict"' not in sql
    assert found(house, sql, ["plain = '{\"a\": 1}'", f"plain = '{JSON[0]}'"]) == [{1}, {2}]
    assert restore(house, "log", into_original=True)["restored_rows"] == 2
    assert house.texts("log", "plain::text", "id") == ['{"a": 1}', JSON[0]]


def test_by_hand(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way without nightshift of docs/restore.md, word for word."""
    house.sql(
        "CREATE TABLE log (id int, plain json, f float8, d date, ip inet, n numeric(6,2), created_at timestamptz)"
    )
    house.sql(f"""INSERT INTO log VALUES (1, '{JSON[0]}', 'NaN', 'infinity', '203.0.113.9', 'NaN', {DUE}),
      (2, '{JSON[1]}', '-0', '2025-01-01', '10.0.0.0/8', 1.50, {DUE}), (3, NULL, '-inf', NULL, NULL, NULL, {DUE})""")
    before = house.texts("log")
    archive(house, "log")
    (entry,) = house.ledger()
    (house.directory / "day").mkdir()
    (house.directory / "day" / "1.parquet").write_bytes(body_of(house, entry["object_key"]))
    copy, load = re.findall(r"<<'SQL'\n(.*?)\nSQL\n", RESTORE.read_text(), re.DOTALL)[-2:]
    monkeypatch.chdir(house.directory)
    with duckdb.connect() as connection:
        connection.execute(copy)
    psql = EmbeddedPostgres().psql_path
    sql = load.replace("conversation_log", "log")
    subprocess.run([psql, house.url, "-X", "-v", "ON_ERROR_STOP=1"], input=sql, text=True, check=True)
    assert house.texts("restored") == before
