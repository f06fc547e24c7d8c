"""The SQL over the archive, run: DuckDB's as it is printed, the others' views on tables that DuckDB makes for them."""

from __future__ import annotations

import re
from datetime import date

import pytest

from nightshift.archive.ddl import SqlEngine
from nightshift.archive.ddl_hive import MAX_QUERY_BYTES
from nightshift.errors import NightshiftError
from tests.support.damage import fill, orphan, put, set_state, unknown_copy
from tests.support.house import House
from tests.support.querying import ENGINES, duck, local, printed, query


def per_day(house: House) -> list[tuple[date, int]]:
    """Rows by day, as the ledger has them."""
    rows = [(date.fromisoformat(r["dt"]), r["row_count"]) for r in house.ledger() if r["state"] == "archived"]
    return sorted(rows)


@pytest.fixture
def littered(house: House) -> House:
    """An archive with an orphan, an unknown object and a restored one lying between its own."""
    keys = fill(house)
    house.sql("INSERT INTO log SELECT 1000, 'late', '2025-09-03 13:00+09'")
    assert house.run()["status"] == "ok"
    orphan(house, keys[0])
    unknown_copy(house, keys[1])
    set_state(house, keys[1], "restored")
    assert len(house.s3.keys(house.bucket)) == 6
    return house


def test_duckdb_sees_the_committed_rows_and_no_others(littered: House) -> None:
    sql = printed(littered, "log", "duckdb")

    found = query(littered, sql, "SELECT dt, count(*), sum(id) FROM log GROUP BY dt")

    ids = {0: sum(g * 3 for g in range(1, 101)), 2: sum(g * 3 + 2 for g in range(1, 101)) + 1000}
    assert sorted(found) == [(date(2025, 9, 1), 100, ids[0]), (date(2025, 9, 3), 101, ids[2])]
    ledger = per_day(littered)
    assert sum(rows for _, rows in ledger) == 201 and {day for day, _ in ledger} == {day for day, *_ in found}


@pytest.mark.fast_cases("athena")
@pytest.mark.parametrize("engine", ["athena", "spark"])
def test_the_other_views_see_the_same(littered: House, engine: SqlEngine) -> None:
    """The table under the view reads all that lies there, as their tables do; the view is theirs, word for word."""
    sql = printed(littered, "log", engine)
    view = sql[sql.index("CREATE OR REPLACE VIEW") :].replace("`", '"')
    with duck(littered) as connection:
        hidden = 'filename AS "$path", {file_name: parse_filename(filename)} AS _metadata'
        everything = local(littered, f"s3://{littered.bucket}/archive/table=public.log/*/*.parquet")
        options = "union_by_name = true, hive_types = {'dt': DATE}"
        connection.execute(
            f"CREATE TABLE log_objects AS SELECT *, {hidden}, NULL AS _nightshift_exact"
            f" FROM read_parquet('{everything}', filename = true, {options})"
        )
        assert connection.execute("SELECT count(*) FROM log_objects").fetchall() == [(501,)]
        connection.execute(view)
        found = connection.execute("SELECT dt, count(*) FROM log GROUP BY dt ORDER BY dt").fetchall()
        assert found == [(date(2025, 9, 1), 100), (date(2025, 9, 3), 101)]
        assert [row[0] for row in connection.execute("DESCRIBE log").fetchall()] == [
            *("id", "note", "created_at", "_nightshift_exact", "dt")
        ]


def test_the_table_under_the_view_in_athena(littered: House) -> None:
    sql = printed(littered, "public.log", "athena")
    place = f"s3://{littered.bucket}/archive/table=public.log/"

    assert "CREATE EXTERNAL TABLE `log_objects` (" in sql
    assert "  `id` int,\n  `note` string,\n  `created_at` timestamp,\n  `_nightshift_exact` string\n)" in sql
    assert "PARTITIONED BY (`dt` date)\nSTORED AS PARQUET\n" in sql
    assert f"LOCATION '{place}'" in sql and f"'storage.location.template' = '{place}dt=${{dt}}/'" in sql
    projection = dict(re.findall(r"'projection\.([a-z.]+)' = '(.*?)'", sql))
    assert projection == {
        "enabled": "true",
        "dt.type": "date",
        "dt.format": "yyyy-MM-dd",
        "dt.range": "2025-09-01,2025-09-03",
        "dt.interval": "1",
        "dt.interval.unit": "DAYS",
    }


def test_the_table_under_the_view_in_spark(littered: House) -> None:
    sql = printed(littered, "log", "spark")

    assert (
        "  `id` INT,\n  `note` STRING,\n  `created_at` TIMESTAMP,\n  `_nightshift_exact` STRING,\n  `dt` DATE\n)" in sql
    )
    assert f"LOCATION 's3://{littered.bucket}/archive/table=public.log/';\n\nMSCK REPAIR TABLE `log_objects`;" in sql


def test_days(littered: House) -> None:
    sql = printed(littered, "log", "duckdb", since=date(2025, 9, 2), until=date(2025, 9, 30))
    assert query(littered, sql, "SELECT DISTINCT dt FROM log") == [(date(2025, 9, 3),)]
    with pytest.raises(NightshiftError, match="`archives` lists what there is"):
        printed(littered, "log", "duckdb", since=date(2025, 9, 2), until=date(2025, 9, 2))


@pytest.mark.fast_cases("athena")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_unknown_table(littered: House, engine: SqlEngine) -> None:
    with pytest.raises(NightshiftError, match="no such table") as raised:
        printed(littered, "logs", engine)
    assert "public.log" in str(raised.value.detail)
    assert "write it as it was archived, schema included" in str(raised.value.hint)


def test_too_many_objects_for_athena(house: House) -> None:
    fill(house)
    house.sql(
        "INSERT INTO nightshift_archive_object (bucket, object_key, table_name, state, dt, row_count, byte_count,"
        " sha256, schema_fingerprint, run_id, created_at)"
        " SELECT bucket, replace(object_key, '.parquet', n || '.parquet'), table_name, state, '2025-08-01', row_count,"
        " byte_count, sha256, schema_fingerprint, run_id, created_at"
        " FROM nightshift_archive_object, generate_series(1, 3000) n"
    )
    with pytest.raises(NightshiftError, match="longer than Athena takes") as raised:
        printed(house, "log", "athena")
    assert "narrow by --since and --until, and join several such views" in str(raised.value.hint)

    fits = printed(house, "log", "athena", since=date(2025, 9, 1))
    assert len(fits.encode()) < MAX_QUERY_BYTES and fits.count("',\n'") == 2


def test_a_damaged_object_does_not_stand_in_the_way(house: House) -> None:
    """Of each set of columns one sound object is enough; without any, the damage is named."""
    keys = fill(house)
    put(house, keys[2], b"altered")
    assert "`note` string" in printed(house, "log", "athena")
    for key in keys[:2]:
        put(house, key, b"altered")
    with pytest.raises(NightshiftError, match="look for an older version of it in the bucket"):
        printed(house, "log", "duckdb")


def test_duckdb_opens_no_file_of_another_day(house: House) -> None:
    fill(house)
    plan = query(
        house, printed(house, "log", "duckdb"), "EXPLAIN ANALYZE SELECT count(id) FROM log WHERE dt = '2025-09-02'"
    )
    assert re.search(r"(Scanning Files: 1/3|Total Files Read: 1\b)", str(plan))


def test_sqlite(sqlite_house: House) -> None:
    fill(sqlite_house)
    found = query(sqlite_house, printed(sqlite_house, "log", "duckdb"), "SELECT dt::text, note FROM log ORDER BY dt")
    assert found == [(f"2025-09-0{n}", "note") for n in (1, 2, 3)]
    assert "CREATE OR REPLACE VIEW `log` AS" in printed(sqlite_house, "log", "spark")
