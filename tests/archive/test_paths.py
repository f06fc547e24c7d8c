"""By pages or by the index: which way a table is walked, and that either way reads no more than it must."""

from __future__ import annotations

import pg8000.exceptions
import pytest

from tests.support.engine import paths, policy_for
from tests.support.house import House

DAYS = "timestamptz '2025-10-15 12:00+09' - n * interval '1 day'"
"""The row of n days ago."""


def table(house: House, moment: str, rows: int = 300, index: str = "(created_at)") -> None:
    house.sql(
        "CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz, kind text);"
        f"INSERT INTO log SELECT n, {moment}, 'a' FROM generate_series(1, {rows}) n;"
        + (f"CREATE INDEX made ON log {index};" if index else "")
        + "ANALYZE log"
    )


@pytest.mark.fast_cases("created_at, id", "kind = 'a'", "brin", "(created_at)-time")
@pytest.mark.parametrize(
    ("index", "path"),
    [
        ("(created_at)", "time_range_condition"),
        ("(created_at DESC NULLS LAST)", "time_range_condition"),
        ("(created_at, id)", "time_range_condition"),
        ("(id, created_at)", "ctid_range_condition"),
        ("(created_at) WHERE kind = 'a'", "ctid_range_condition"),
        ("((created_at AT TIME ZONE 'UTC'))", "ctid_range_condition"),
        ("USING brin (created_at)", "ctid_range_condition"),
        ("USING hash (created_at)", "ctid_range_condition"),
        ("", "ctid_range_condition"),
    ],
)
def test_only_an_index_that_serves_is_used(house: House, index: str, path: str) -> None:
    table(house, DAYS, rows=40, index=index)

    assert paths(house, policy_for("log")) == [path]
    answer = house_run(house)
    assert answer == {30 + n for n in range(1, 11)}


def house_run(house: House) -> set[int]:
    """The ids that a run archives."""
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    house.run()
    return set(house.archived_days("public.log"))


def test_an_invalid_index_is_not_used(house: House) -> None:
    table(house, DAYS, index="")
    house.sql("INSERT INTO log SELECT 1000, created_at FROM log WHERE id = 300")
    with pytest.raises(pg8000.exceptions.DatabaseError, match="duplicate"):
        house.sql("CREATE UNIQUE INDEX CONCURRENTLY invalid ON log (created_at)")
    assert house.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'invalid'::regclass") is False

    assert paths(house, policy_for("log")) == ["ctid_range_condition"]


@pytest.mark.parametrize(
    ("moment", "path"),
    [
        ("timestamptz '2025-09-01' - n * interval '1 hour'", "time_range_condition"),
        ("timestamptz '2025-10-15' - n * interval '3 hours'", "time_range_condition"),
        ("timestamptz '2025-09-01' - (n * 7919 % 300) * interval '1 hour'", "ctid_range_condition"),
        ("timestamptz '2025-10-15' - (n * 7919 % 300) * interval '5 hours'", "ctid_range_condition"),
        ("timestamptz '2025-10-15 12:00' - (n * 7919 % 300) * interval '150 minutes'", "time_range_condition"),
    ],
    ids=["all due, in order", "few due, in order", "all due, in no order", "half due, in no order", "few, in no order"],
)
def test_the_index_is_left_alone_where_pages_are_cheaper(house: House, moment: str, path: str) -> None:
    table(house, moment)

    assert paths(house, policy_for("log")) == [path]


@pytest.mark.parametrize("rows", [0, 20], ids=["an empty table", "no row is due"])
def test_an_index_shows_that_nothing_is_due(house: House, rows: int) -> None:
    table(house, DAYS, rows=rows)

    assert paths(house, policy_for("log")) == []


def blocks_touched(house: House, relation: str = "heap") -> int:
    """Pages of `log` that any backend has asked for, read or found in memory. A backend's counters are complete once it
    is gone, so all others must be.
    """
    while house.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") > 1:
        house.sql("SELECT pg_sleep(0.01)")
    house.sql("SELECT pg_stat_force_next_flush()")
    return int(
        house.value(
            f"SELECT {relation}_blks_hit + {relation}_blks_read FROM pg_statio_user_tables WHERE relname = 'log'"
        )
    )


def long_log(house: House, rows: int, due: int, *, indexed: bool) -> int:
    """One row a minute in order of time, the oldest of them due, nothing else in the way; returns its pages."""
    house.sql(
        "DROP TABLE IF EXISTS log; CREATE TABLE log (id int, created_at timestamptz, content text);"
        f"INSERT INTO log SELECT n, timestamptz '2025-09-15 00:00+09' + (n - {due}) * interval '1 minute'"
        f" - interval '1 second', repeat('x', 200) FROM generate_series(1, {rows}) n;"
        + ("CREATE INDEX ON log (created_at)" if indexed else "")
    )
    house.sql("VACUUM ANALYZE log")
    house.policies('[[retention]]\ntable = "log"\nkeep_days = 30')
    house.env["CLEANUP_VACUUM"] = "off"
    return int(house.value("SELECT relpages FROM pg_class WHERE relname = 'log'"))


def test_a_daily_run_reads_in_proportion_to_what_is_due(house: House) -> None:
    touched = []
    for rows in (15_000, 60_000):
        long_log(house, rows, due=1000, indexed=True)
        before = blocks_touched(house)
        assert house.run_table()["archived_rows"] == 1000
        touched.append(blocks_touched(house) - before)

    assert touched[1] <= touched[0] * 1.1, "four times the table, the same work"
    assert touched[1] <= 3 * 1000, "a due row's page is fetched to be read and to be deleted from; no other is"


def test_without_an_index_every_page_is_read_once(house: House) -> None:
    pages = long_log(house, 15_000, due=100, indexed=False)
    before = blocks_touched(house)

    assert house.run_table()["archived_rows"] == 100
    # Once to archive and once to look for the oldest row left; the due rows' own pages a few times more.
    assert blocks_touched(house) - before <= 2 * pages + 4 * 100
