"""The SQL that takes rows: what PostgreSQL 13 gets in place of a TID range scan takes the very same rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nightshift.archive.chunk_allocator import ChunkRange
from tests.support.engine import aim, policy_for
from tests.support.house import House


@pytest.mark.parametrize("pages", [(0, 1), (0, 3), (2, 4), (5, 400), (0, 400)])
def test_postgresql_13_finds_the_same_rows(house: House, pages: tuple[int, int]) -> None:
    house.sql(
        "CREATE TABLE log (id int, created_at timestamptz);"
        "INSERT INTO log SELECT n, timestamptz '2025-09-10' + (n * 7919 % 2000) * interval '10 minutes'"
        " FROM generate_series(1, 2000) n; DELETE FROM log WHERE id % 5 = 0; UPDATE log SET id = -id WHERE id % 7 = 0"
    )
    target, chunk = aim(house, policy_for("log")), ChunkRange(*pages)
    old = replace(target, server_version=13)

    found, found_by_13 = (
        house.sql(f"SELECT ctid::text, id FROM log WHERE {way.ctid_range_condition(chunk)} ORDER BY id")
        for way in (target, old)
    )

    assert found == found_by_13
    assert found or pages == (5, 400) or house.value(f"SELECT count(*) FROM log WHERE {target.due_condition}")
    whole = house.sql(f"SELECT ctid::text, id FROM log WHERE {target.due_condition} ORDER BY id")
    assert (found == whole) == (pages == (0, 400))
    plan = "\n".join(
        line for (line,) in house.sql(f"EXPLAIN SELECT 1 FROM log WHERE {old.ctid_range_condition(chunk)}")
    )
    assert "Tid Scan" in plan and "Seq Scan" not in plan


def test_a_page_holds_no_more_rows_than_we_name(house: House) -> None:
    """The narrowest rows there are: 13's list of places must reach the last of them."""
    house.sql("CREATE TABLE log (created_at timestamptz); INSERT INTO log SELECT NULL FROM generate_series(1, 2000)")
    highest = house.value("SELECT max((ctid::text::point)[1])::int FROM log")

    target = replace(aim(house, policy_for("log")), server_version=13)
    condition = target.ctid_range_condition(ChunkRange(0, 1))
    assert highest <= 291
    assert "generate_series(1, 291)" in condition
