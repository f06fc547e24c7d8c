"""The brake on abnormal volume: what it lets through, and what it asks the operator about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.archive.volume import check_share
from tests.support.house import House

counts = st.integers(0, 10**10)


@pytest.mark.parametrize(
    ("due", "total", "limit", "refused"),
    [
        *[(100_000, 200_000, 0.5, False), (100_001, 200_000, 0.5, True), (3, 10, 0.3, False), (4, 10, 0.3, True)],
        *[(10, 10, 1.0, False), (0, 0, 0.1, False)],
    ],
    ids=["half", "more than half", "a third", "more than a third", "all is allowed", "an empty table"],
)
def test_examples(due: int, total: int, limit: float, refused: bool) -> None:
    refusal = check_share("log", due, total, limit)

    assert (refusal is not None) == refused
    if refusal is not None:
        assert refusal.guard == "abnormal_volume"
        assert f"{due:,} of {total:,}" in refusal.message


@given(counts, counts, st.floats(0.001, 1))
def test_more_rows_are_never_less_abnormal(due: int, kept: int, limit: float) -> None:
    if check_share("log", due, due + kept, limit) is not None:
        assert check_share("log", due + 1, due + 1 + kept, limit) is not None
        assert due > limit * (due + kept)


@pytest.mark.slow
def test_after_a_first_complete_run_the_usual_share_counts(house: House) -> None:
    """Nobody set a limit: the first run that finds rows takes all, a later one that would take most of a large table
    asks. A run that finds none is no first one, however many come before or after it."""
    house.sql("CREATE TABLE log (created_at timestamptz)")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    load = "INSERT INTO log SELECT timestamptz '2025-01-01 09:00' FROM generate_series(1, 100001)"
    house.sql(load)
    assert house.run(scheduled_time="2024-10-15T00:00:00Z")["status"] == "nothing"
    assert house.run_table(dry_run=True)["status"] == "dry_run"

    assert house.run_table()["archived_rows"] == 100_001

    house.sql(
        "INSERT INTO nightshift_run (run_id, job, as_of, attempt, status, started_at, result)"
        " SELECT n::text, job, as_of, 1, 'nothing', now() + n * interval '1 s',"
        " replace(result, '\"ok\"', '\"nothing\"')"
        " FROM nightshift_run, generate_series(1, 70) n WHERE status = 'ok'"
    )
    house.sql(load)
    (refused,) = house.run()["tables"]
    assert refused["refusal"]["guard"] == "abnormal_volume"
    assert house.value("SELECT count(*) FROM log") == 100_001

    assert house.run_table(force=True)["archived_rows"] == 100_001

    house.sql(load.replace("100001", "99999"))  # small tables swing
    assert house.run_table()["archived_rows"] == 99_999


NEW, OLD = "timestamptz '2025-10-14'", "timestamptz '2025-01-01'"
LOG = "CREATE TABLE log (id int, created_at timestamptz) {} WITH (autovacuum_enabled = off);"
PARTS = (
    LOG.format("PARTITION BY RANGE (created_at)").replace(" WITH (autovacuum_enabled = off)", "")
    + "CREATE TABLE log_old PARTITION OF log FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');"
    + "CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2025-10-01') TO ('2025-11-01');"
)
ROWS = "INSERT INTO log SELECT n, {} FROM generate_series(1, {}) n;"
INDEX = "CREATE INDEX ON log (created_at);"
STALE = {
    "all rows became old": (
        LOG.format("") + INDEX + ROWS.format(NEW, 3000) + "ANALYZE log;" + f"UPDATE log SET created_at = {OLD}",
        "3,000 of 3,000",
    ),
    "all rows became old, without an index": (
        LOG.format("") + ROWS.format(NEW, 3000) + "ANALYZE log;" + f"UPDATE log SET created_at = {OLD}",
        "3,000 of 3,000",
    ),
    "most of what is kept was deleted": (
        LOG.format("") + ROWS.format(OLD, 300) + ROWS.format(NEW, 5000) + "ANALYZE log; DELETE FROM log WHERE id > 600",
        "300 of 900",
    ),
    "emptied and filled again": (
        LOG.format("") + INDEX + ROWS.format(NEW, 3000) + "ANALYZE log; TRUNCATE log;" + ROWS.format(OLD, 10),
        "10 of 10",
    ),
    "never analysed": (LOG.format("") + ROWS.format(OLD, 31) + ROWS.format(NEW, 69), "31 of 100"),
    "partitions, of which one is dropped whole": (
        PARTS + ROWS.format(NEW, 3000) + "ANALYZE log;" + ROWS.format(OLD, 2000),
        "2,000 of 5,000",
    ),
}


@pytest.mark.fast_cases("never analysed", "of which one")
@pytest.mark.parametrize("case", STALE)
def test_a_set_limit_is_held_against_what_is_counted(house: House, case: str) -> None:
    """Whatever the statistics say; and the table that is within its limit goes."""
    sql, counted = STALE[case]
    for statement in sql.split(";"):
        house.sql(statement)
    due, total = (int(number.replace(",", "")) for number in counted.split(" of "))
    house.env["CLEANUP_MAX_SHARE"] = "0.3"
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    before = house.state()["tables"]

    for dry_run in (True, False):
        (refused,) = house.run(dry_run=dry_run)["tables"]
        assert refused["refusal"]["guard"] == "abnormal_volume"
        assert f"{counted} rows" in refused["refusal"]["message"]
    assert house.state()["tables"] == before

    house.env["CLEANUP_MAX_SHARE"] = str(due / total)
    assert house.run_table()["archived_rows"] == due


def test_a_set_limit_on_sqlite(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE log (id INTEGER PRIMARY KEY, created_at timestamp)")
    sqlite_house.sql(
        "INSERT INTO log WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
        " SELECT i, CASE WHEN i <= 31 THEN '2025-01-01' ELSE '2025-10-14' END FROM n"
    )
    sqlite_house.policies('[[retention]]\ntable = "log"\nkeep_days = 30\nmax_share = 0.3')

    (refused,) = sqlite_house.run()["tables"]
    assert refused["refusal"]["message"].startswith("31 of 100 rows")

    sqlite_house.sql("DELETE FROM log WHERE id = 1")
    sqlite_house.sql("INSERT INTO log VALUES (200, '2025-10-14')")
    assert sqlite_house.run_table()["archived_rows"] == 30
