"""A hold holds, whatever becomes of the table, its policy and its zone."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.errors import InvalidEvent
from tests.restore.simple import POLICY, archive, restore
from tests.support.house import House

T = "CREATE TABLE t (id integer, at timestamptz NOT NULL, later timestamptz)"
DAYS = "timestamptz '2025-08-01 12:00+00' + i * interval '1 day'"
ROWS = f"INSERT INTO t SELECT i, {DAYS}, '2025-08-01' FROM generate_series(1, 5) i"


def cleaned(house: House, **event: Any) -> dict[str, Any]:
    (table,) = house.run(**event)["tables"]
    return dict(table)


def test_held_rows_stay_and_others_go(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True, until="2025-08-03")
    house.sql("INSERT INTO t VALUES (9, '2025-08-20 12:00+00'), (10, '2025-08-02 20:00+00')")
    found = cleaned(house)
    assert found["archived_rows"] == 1
    assert "are left alone until" in found["warnings"][0]
    assert house.sql("SELECT id FROM t ORDER BY id") == [(1,), (2,), (10,)]
    assert found["oldest_overdue"] is None


@pytest.mark.slow
def test_a_hold_of_nothing_and_one_that_is_over(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True, hold="0")
    assert cleaned(house)["archived_rows"] == 5
    answer = restore(house, "t", into_original=True, hold="2025-10-10")
    assert answer["warnings"][0] == "the hold is over already: the next run may take the rows again"
    assert cleaned(house, scheduled_time="2025-10-09T12:00:00Z")["archived_rows"] == 0
    assert cleaned(house, scheduled_time="2025-10-10T12:00:00Z")["archived_rows"] == 5


def test_a_hold_can_be_set_anew(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True, hold="2025-10-01")
    again = restore(house, "t", into_original=True, hold="30d")
    assert again["status"] == "nothing"
    assert again["warnings"] == ["5 objects were there already; their hold is set anew"]
    assert cleaned(house)["archived_rows"] == 0
    restore(house, "t", into_original=True)
    assert cleaned(house)["archived_rows"] == 0, "nothing was said of the hold"
    restore(house, "t", into_original=True, hold="0")
    assert cleaned(house)["archived_rows"] == 5


def test_the_table_was_renamed(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True)
    house.sql("ALTER TABLE t RENAME TO u")
    house.policies(POLICY.format(table="u"))
    assert cleaned(house)["archived_rows"] == 0


def test_the_table_became_a_partition(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True)
    house.sql(f"{T.replace(' t ', ' p ')} PARTITION BY RANGE (at)")
    house.sql("ALTER TABLE p ATTACH PARTITION t FOR VALUES FROM ('2025-01-01') TO ('2025-09-01')")
    house.policies(POLICY.format(table="p"))
    found = cleaned(house)
    assert (found["archived_rows"], found.get("partitions_dropped")) == (0, None)


@pytest.mark.fast_cases("timestamptz-America", "timestamp-Pacific", "date-UTC")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("kind", ["timestamp", "date", "timestamptz"])
def test_the_policys_zone_changed(house: House, kind: str, zone: str) -> None:
    rows = "INSERT INTO t SELECT timestamp '2025-08-01 00:00' + i * interval '1 hour' FROM generate_series(0, 23) i"
    archive(house, "t", f"CREATE TABLE t (at {kind})", "SET TimeZone = 'Asia/Seoul'", rows)
    restore(house, "t", into_original=True)
    house.policies(POLICY.format(table="t") + f'timezone = "{zone}"\n')
    assert cleaned(house)["archived_rows"] == 0


def test_another_column_is_the_timestamp_now(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True)
    house.policies(POLICY.format(table="t").replace('"at"', '"later"'))
    house.sql("INSERT INTO t VALUES (9, '2025-10-01', '2025-08-01')")
    found = cleaned(house)
    assert (found["archived_rows"], "are left alone until" in found["warnings"][0]) == (1, True)
    assert house.value("SELECT count(*) FROM t") == 5


@pytest.mark.parametrize("hold", ["9999-12-31T23:59:59Z", "2201-01-01", "99999d"])
def test_a_hold_without_end_is_a_slip(house: House, hold: str) -> None:
    archive(house, "t", T, ROWS)
    with pytest.raises(InvalidEvent, match="hold"):
        restore(house, "t", into_original=True, hold=hold)
    assert house.value("SELECT count(*) FROM t") == 0


def test_sqlite_holds_too(sqlite_house: House) -> None:
    house = sqlite_house
    rows = "INSERT INTO t VALUES ('2025-08-01T10:00:00'), ('2025-08-01 23:59:59.999'), ('2025-08-02 00:00:00')"
    archive(house, "t", "CREATE TABLE t (at DATETIME)", rows)
    restore(house, "t", into_original=True)
    assert cleaned(house)["archived_rows"] == 0
    restore(house, "t", into_original=True, hold="0")
    assert cleaned(house)["archived_rows"] == 3


def test_a_hold_that_is_not_there_is_not_told(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True, hold="0")
    again = restore(house, "t", into_original=True)
    assert again["status"] == "nothing" and "hold_until" not in again


def test_a_refusal_leaves_holds_alone(house: House) -> None:
    archive(house, "t", T, ROWS)
    restore(house, "t", into_original=True, until="2025-08-03")
    house.sql("ALTER TABLE t ADD must integer DEFAULT 1 NOT NULL")
    house.sql("ALTER TABLE t ALTER must DROP DEFAULT")
    assert restore(house, "t", into_original=True, hold="0")["refusal"]["guard"] == "impossible_columns"
    assert house.value("SELECT count(hold_until) FROM nightshift_restored_object") == 2


def test_the_timestamp_was_renamed_on_the_way(house: House) -> None:
    archive(house, "t", "CREATE TABLE t (at timestamptz)", "INSERT INTO t VALUES ('2025-08-01')")
    house.sql("ALTER TABLE t RENAME at TO made")
    restore(house, "t", into_original=True, rename={"at": "made"})
    house.policies(POLICY.format(table="t").replace('"at"', '"made"'))
    assert cleaned(house)["archived_rows"] == 0


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Seoul"])
def test_sqlite_keeps_a_hold_set_anew_in_utc(sqlite_house: House, zone: str) -> None:
    house = sqlite_house
    house.env["TIMEZONE"] = zone
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME)"
    archive(house, "t", table, "INSERT INTO t VALUES (1, '2025-08-01')")
    query = "SELECT hold_until FROM nightshift_restored_object"
    restore(house, "t", into_original=True, hold="2027-01-01")
    first = house.value(query)
    restore(house, "t", into_original=True, hold="2027-01-01")
    assert house.value(query) == first
