"""Many rows under one timestamp: no interval of time can divide them, so they go by number."""

from __future__ import annotations

import pytest

from tests.support.house import House


@pytest.mark.fast_cases("timestamptz")
@pytest.mark.parametrize("kind", ["timestamptz", "date"])
def test_a_bulk_load_under_one_timestamp_stays_within_memory(house: House, kind: str) -> None:
    house.sql(f"CREATE TABLE conversation_log (id bigint, payload text, created_at {kind})")
    house.sql("CREATE INDEX ON conversation_log (created_at)")
    house.sql(
        "INSERT INTO conversation_log SELECT i, repeat(md5(i::text), 30), '2025-03-01' FROM generate_series(1, 25000) i"
    )
    house.env["CLEANUP_CHUNK_MB"] = "1"

    table = house.run_table()

    assert (table["status"], table["archived_rows"]) == ("ok", 25_000)
    objects = house.objects()
    assert sorted(row["id"] for row in house.archived()) == list(range(1, 25_001))
    # 25 MB in chunks that may reach four times the 1 MB they aim at.
    assert max(item.rows.num_rows for item in objects) <= 4_200
