"""Chunks that cannot be cut as wished: values too large, moments too crowded, and SQLite's rows one by one."""

from __future__ import annotations

import pytest

from nightshift.progress_events import ProgressStep
from tests.support.engine import archive, policy_for
from tests.support.house import House

ROWS, DUE = 60, 30


@pytest.mark.fast_cases("33554432")
@pytest.mark.parametrize(("size", "chunks"), [(1, DUE), (32 << 20, 1)])
def test_any_chunk_size_in_sqlite(sqlite_house: House, size: int, chunks: int) -> None:
    house = sqlite_house
    house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at DATETIME)")
    house.sql(
        "WITH RECURSIVE n(n) AS (VALUES (0) UNION ALL SELECT n + 1 FROM n WHERE n < 59) INSERT INTO log"
        " SELECT n, datetime('2025-09-13 18:00:00', n || ' hours') FROM n"
    )

    done = archive(house, policy_for("log"), chunk_bytes=size)

    assert done.result.error is None
    assert set(house.archived_days("log")) == set(range(DUE))
    assert [id_ for (id_,) in house.sql("SELECT id FROM log ORDER BY id")] == list(range(DUE, ROWS))
    assert len(done.steps(ProgressStep.COMMITTED)) == chunks


@pytest.mark.slow
def test_large_values_are_split_off(house: House) -> None:
    """Small rows promise small chunks; where the large ones lie, chunks are undone and halved until they fit."""
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz, filler text, big text);"
        "ALTER TABLE log ALTER filler SET STORAGE plain, ALTER big SET STORAGE external;"
        "INSERT INTO log SELECT n, timestamptz '2025-09-10 12:00+09', repeat('x', 1500),"
        " CASE WHEN n BETWEEN 300 AND 339 THEN repeat('y', 200000) END FROM generate_series(0, 399) n; ANALYZE log"
    )

    done = archive(house, policy_for("log"), chunk_bytes=400_000, workers=1)

    assert done.result.error is None
    assert len(done.steps(ProgressStep.ROLLED_BACK)) >= 3
    assert set(house.archived_days("public.log")) == set(range(400))
    assert house.value("SELECT count(*) FROM log") == 0
    sizes = [len(row["big"]) for row in house.archived() if row["big"] is not None]
    assert sizes == [200_000] * 40


def test_rows_of_one_moment_go_together_however_many(house: House) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz); CREATE INDEX ON log (created_at);"
        "INSERT INTO log SELECT n, '2025-09-10 12:00+09' FROM generate_series(1, 20000) n;"
        "INSERT INTO log SELECT n, '2025-10-01' FROM generate_series(20001, 80000) n; ANALYZE log"
    )

    done = archive(house, policy_for("log"), chunk_bytes=100_000)

    assert done.result.error is None
    assert [event.rows for event in done.steps(ProgressStep.COMMITTED)] == [20_000]
    assert set(house.archived_days("public.log")) == set(range(1, 20_001))
    assert house.value("SELECT count(*) FROM log") == 60_000
