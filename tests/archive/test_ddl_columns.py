"""What becomes of columns and names in the SQL over the archive: every type, every change, any name."""

from __future__ import annotations

import re
from datetime import date

import pytest

from nightshift.errors import NightshiftError
from tests.support.damage import body_of, fill, put
from tests.support.house import House, identifier
from tests.support.querying import ENGINES, archive, printed, query

DUE = "'2025-09-10 12:00+09'"

TYPES = {
    "small": ("smallint", "SMALLINT", "smallint", "SMALLINT"),
    "whole": ("bigint", "BIGINT", "bigint", "BIGINT"),
    "single": ("real", "FLOAT", "float", "FLOAT"),
    "twice": ("float8", "DOUBLE", "double", "DOUBLE"),
    "yes": ("boolean", "BOOLEAN", "boolean", "BOOLEAN"),
    "amount": ("numeric(12,3)", "DECIMAL(12,3)", "decimal(12,3)", "DECIMAL(12,3)"),
    "free": ("numeric", "VARCHAR", "string", "STRING"),
    "raw": ("bytea", "BLOB", "binary", "BINARY"),
    "who": ("uuid", "UUID", "binary", "BINARY"),
    "doc": ("jsonb", "JSON", "string", "STRING"),
    "day": ("date", "DATE", "date", "DATE"),
    "clock": ("time", "TIME", "bigint", "BIGINT"),
    "wall": ("timestamp", "TIMESTAMP", "timestamp", "TIMESTAMP_NTZ"),
    "tags": ("text[]", "VARCHAR", "string", "STRING"),
}
"""Column → its type in PostgreSQL, DuckDB, Athena and Spark."""

VALUES = """1, 2^53::bigint, 1.5, 2.5, true, 1.125, 1e50, '\\x00ff', '00112233-4455-6677-8899-aabbccddeeff',
    '{"a": [1]}', 'infinity', '01:02:03', '2025-01-01', '{a,b}'"""


def test_every_type_and_what_does_not_fit_one(house: House) -> None:
    columns = ", ".join(f"{name} {types[0]}" for name, types in TYPES.items())
    house.sql(f"CREATE TABLE log ({columns}, created_at timestamptz); INSERT INTO log VALUES ({VALUES}, {DUE})")
    archive(house, "log")

    sql = printed(house, "log", "duckdb")
    described = {row[0]: row[1] for row in query(house, sql, "DESCRIBE log")}
    (row,) = query(
        house, sql, "SELECT amount, who::text, doc::text, clock::text, day::text, _nightshift_exact FROM log"
    )

    assert {name: described[name] for name in TYPES} == {name: types[1] for name, types in TYPES.items()}
    assert described["created_at"] == "TIMESTAMP WITH TIME ZONE" and described["dt"] == "DATE"
    assert str(row[0]) == "1.125" and row[1:4] == ("00112233-4455-6677-8899-aabbccddeeff", '{"a": [1]}', "01:02:03")
    assert row[4] == "infinity" and row[5] == '{"day": "infinity"}'
    athena, spark = printed(house, "log", "athena"), printed(house, "log", "spark")
    for name, types in TYPES.items():
        assert f"\n  `{name}` {types[2]},\n" in athena
        assert f"\n  `{name}` {types[3]},\n" in spark
    assert 'CAST(CAST("who" AS uuid) AS varchar) AS "who"' in athena
    assert "lower(hex(`who`))" in spark and "$1-$2-$3-$4-$5" in spark


def test_columns_that_changed_over_the_years(house: House) -> None:
    house.sql("CREATE TABLE log (id int, gone text, doc text, n numeric(6,2), created_at timestamptz)")
    house.sql(f"INSERT INTO log VALUES (1, 'was', 'plain words', 1.25, {DUE})")
    archive(house, "log")
    house.sql("ALTER TABLE log DROP COLUMN gone, ADD COLUMN came text, ALTER id TYPE bigint, ALTER n TYPE numeric(9,4)")
    house.sql("""ALTER TABLE log ALTER doc TYPE jsonb USING '{}'""")
    house.sql(
        f"INSERT INTO log (id, doc, n, came, created_at) VALUES (2, '[1]', 2.5, 'new', {DUE}::timestamptz + '1 day')"
    )
    archive(house, "log")
    sql = printed(house, "log", "duckdb")

    found = query(house, sql, "SELECT id, came, gone, doc, n::text, dt::text FROM log ORDER BY id")

    assert found == [
        (1, None, "was", "plain words", "1.2500", "2025-09-10"),
        (2, "new", None, "[1]", "2.5000", "2025-09-11"),
    ]
    names = [row[0] for row in query(house, sql, "DESCRIBE log")]
    assert names == ["id", "doc", "n", "created_at", "came", "gone", "_nightshift_exact", "dt"]
    assert '-- column "id": bigint here, in the objects bigint, int' in sql
    athena = printed(house, "log", "athena")
    assert "`id` bigint," in athena and "`doc` string," in athena and "`n` decimal(9,4)," in athena
    assert "fails on" not in athena, "its reader widens all of these"


def test_types_that_have_only_text_in_common(house: House) -> None:
    house.sql(f"CREATE TABLE log (v int, created_at timestamptz); INSERT INTO log VALUES (7, {DUE})")
    archive(house, "log")
    house.sql("ALTER TABLE log ALTER v TYPE uuid USING NULL")
    house.sql(f"INSERT INTO log VALUES ('00112233-4455-6677-8899-aabbccddeeff', {DUE})")
    archive(house, "log")

    found = query(house, printed(house, "log", "duckdb"), "SELECT v FROM log ORDER BY v")

    assert found == [("00112233-4455-6677-8899-aabbccddeeff",), ("7",)]
    for engine in ("athena", "spark"):
        assert re.search(
            rf'-- column "v": {engine} fails on objects .* uuid, int', printed(house, "log", engine), re.IGNORECASE
        )


def test_columns_with_the_names_of_the_path_s(house: House) -> None:
    """A path `table=…/dt=…` must not hide the table's own columns of these names."""
    house.sql(
        'CREATE TABLE log ("table" text, dt text, filename text, object_uri text, "$path" int, created_at timestamptz)'
    )
    house.sql(f"INSERT INTO log VALUES ('t', 'd', 'f', 'o', 1, {DUE})")
    archive(house, "log")
    sql = printed(house, "log", "duckdb")

    found = query(house, sql, 'SELECT "table", dt, filename, object_uri, archive_dt FROM log')

    assert found == [("t", "d", "f", "o", date(2025, 9, 10))]
    athena = printed(house, "log", "athena")
    assert "PARTITIONED BY (`archive_dt` date)" in athena and "dt=${archive_dt}/" in athena
    with pytest.raises(NightshiftError, match="use --engine duckdb or --engine athena"):
        printed(house, "log", "spark")


def test_columns_that_only_case_tells_apart(house: House) -> None:
    house.sql(f'CREATE TABLE log (id int, "ID" int, created_at timestamptz); INSERT INTO log VALUES (1, 2, {DUE})')
    archive(house, "log")
    for engine in ENGINES:
        with pytest.raises(NightshiftError, match="no SQL engine over Parquet tells them apart"):
            printed(house, "log", engine)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("schema", "table", "column"),
    [
        ("My Schema", "Table.x", 'quo"ted'),
        ("public", "it's 100% [a*b]?", "it's"),
        ("한글", "대화 기록", "내용"),
        ("public", "a/b=c?d#e", "back`tick"),
        ("public", "line", "two\nlines -- ;"),
    ],
)
def test_names_of_any_kind(house: House, schema: str, table: str, column: str) -> None:
    name = f"{identifier(schema)}.{identifier(table)}"
    house.sql(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
    house.sql(f"CREATE TABLE {name} ({identifier(column)} int, created_at timestamptz)")
    house.sql(f"INSERT INTO {name} VALUES (7, {DUE})")
    house.policies(f"[[retention]]\ntable = '''{name}'''\ntimestamp = 'created_at'\nkeep_days = 30")
    assert house.run()["status"] == "ok"
    view = table if schema == "public" else f"{schema}_{table}"

    sql = printed(house, name, "duckdb")

    assert query(house, sql, f"SELECT {identifier(column)} FROM {identifier(view)}") == [(7,)]
    place = house.ledger()[0]["object_key"].rpartition("dt=")[0]
    athena, spark = printed(house, name, "athena"), printed(house, name, "spark")
    assert f"LOCATION 's3://{house.bucket}/{place}'" in athena and f"LOCATION 's3://{house.bucket}/{place}'" in spark
    assert "`" + column.replace("`", "``") + "` int," in athena
    assert re.search(r'^CREATE OR REPLACE VIEW "[a-z][a-z0-9_]*" AS$', athena, re.MULTILINE)


def test_objects_under_two_prefixes(house: House) -> None:
    keys = fill(house)
    moved = keys[0].replace("archive/", "it's*/x=1/")
    for key in (moved, moved.replace("*", " a match")):
        put(house, key, body_of(house, keys[0]))
    quoted = moved.replace("'", "''")
    house.sql(f"UPDATE nightshift_archive_object SET object_key = '{quoted}' WHERE object_key = '{keys[0]}'")

    assert query(house, printed(house, "log", "duckdb"), "SELECT count(*) FROM log") == [(300,)]
    for engine in ("athena", "spark"):
        with pytest.raises(NightshiftError, match="one table has one location: narrow"):
            printed(house, "log", engine)
