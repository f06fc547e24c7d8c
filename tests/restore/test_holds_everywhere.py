"""A hold holds whichever job looks at the rows, by whichever column, and on whatever they hang."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.progress_events import ProgressStep
from tests.restore.simple import POLICY, restore
from tests.support.child import JobChild
from tests.support.handler import run_job
from tests.support.house import AS_OF, House

RETENTION = POLICY.replace('"at"', '"created_at"')
EXPIRY = '[[expiry]]\ntable = "{table}"\ntimezone = "UTC"\n'
HELD = "rows of restored days, and rows on which such rows hang, are left alone until "


def expired(house: House, **event: Any) -> dict[str, Any]:
    (table,) = run_job("expire_jobs", house.env, {"scheduled_time": AS_OF, **event})["tables"]
    return dict(table)


def left(house: House, table: str) -> list[int]:
    return [int(row[0]) for row in house.sql(f"SELECT id FROM {table} ORDER BY id")]


@pytest.fixture(params=["house", "sqlite_house"])
def home(request: pytest.FixtureRequest) -> House:
    built: House = request.getfixturevalue(request.param)
    return built


@pytest.mark.fast_cases('epoch = "ms"')
@pytest.mark.parametrize(
    ("kind", "value", "unit"),
    [
        ("TIMESTAMP", "'2025-08-0{} 12:00:00'", ""),
        ("BIGINT", "175400000{}000", 'epoch = "ms"\n'),
        ("BIGINT", "175400000{}", 'epoch = "s"\n'),
        ("DATE", "'2025-08-0{}'", ""),
    ],
)
def test_by_another_column(home: House, kind: str, value: str, unit: str) -> None:
    """The cleanup's column is created_at, in whatever form; rows expire by another."""
    home.sql(f"CREATE TABLE t (id INTEGER PRIMARY KEY, created_at {kind}, expires_at TIMESTAMP)")
    for n in range(1, 4):
        home.sql(f"INSERT INTO t VALUES ({n}, {value.format(n)}, '2025-09-01 00:00:00')")
    home.policies(RETENTION.format(table="t") + unit + EXPIRY.format(table="t"))
    assert home.run()["tables"][0]["archived_rows"] == 3
    restore(home, "t", into_original=True, hold="14d")
    home.sql("INSERT INTO t VALUES (8, NULL, '2025-09-01 00:00:00'), (9, NULL, '2026-09-01 00:00:00')")
    looked = expired(home, dry_run=True)
    assert (looked["expired"], looked["held"]) == (1, 3)
    done = expired(home)
    assert (done["expired"], done["held"], done["status"], done["oldest_overdue"]) == (1, 3, "ok", None)
    assert any(warning.startswith(HELD) for warning in done["warnings"])
    assert [w for w in looked["warnings"] if w.startswith(HELD)] == list(done["warnings"])
    assert left(home, "t") == [1, 2, 3, 9]
    restore(home, "t", into_original=True, hold="0")
    assert expired(home)["expired"] == 3
    assert left(home, "t") == [9]


TREE = """
CREATE TABLE job (id INTEGER PRIMARY KEY, expires_at TIMESTAMP);
CREATE TABLE note (id INTEGER PRIMARY KEY, job_id INTEGER REFERENCES job {cascade});
CREATE TABLE part (id INTEGER PRIMARY KEY, note_id INTEGER {note}, created_at TIMESTAMP);
INSERT INTO job VALUES (1, '2025-09-01 00:00:00'), (2, '2025-09-01 00:00:00'), (3, '2025-09-01 00:00:00');
INSERT INTO note VALUES (1, 1), (2, 2), (3, NULL);
INSERT INTO part VALUES (1, 1, '2025-08-01 00:00:00'), (2, 2, '2025-09-20 00:00:00'), (3, 3, '2025-08-01 00:00:00')
"""


@pytest.mark.fast_cases("stated")
@pytest.mark.parametrize(
    ("cascade", "note", "more"),
    [
        ("", "REFERENCES note", ""),
        ("ON DELETE CASCADE", "REFERENCES note ON DELETE CASCADE", ""),
        ("", "", '[[expiry.dependents]]\ntable = "part"\ncolumns = ["note_id"]\nreferences = "note"\n'),
    ],
    ids=["keys", "cascades", "stated"],
)
def test_below_an_expiring_row(home: House, cascade: str, note: str, more: str) -> None:
    """A row two references below is held: what it hangs on stays, with all of its own, and the others go."""
    for statement in TREE.format(cascade=cascade, note=note).split(";"):
        home.sql(statement)
    home.policies(RETENTION.format(table="part") + EXPIRY.format(table="job") + more)
    assert home.run()["tables"][0]["archived_rows"] == 2
    restore(home, "part", into_original=True)
    looked, done = expired(home, dry_run=True), expired(home)
    for one in (looked, done):
        gone = {table.removeprefix("public."): count for table, count in one["deleted_rows"].items()}
        assert (one["expired"], one["held"], gone) == (2, 1, {"part": 1, "note": 1, "job": 2})
    assert [left(home, table) for table in ("job", "note", "part")] == [[1], [1, 3], [1, 3]]
    assert home.run()["tables"][0]["archived_rows"] == 0
    restore(home, "part", into_original=True, hold="0")
    assert expired(home)["expired"] == 1


def test_rows_without_a_time(house: House) -> None:
    """They were archived because they hung on others: all of their table wait, for expiry and for cleanup."""
    house.sql("CREATE TABLE job (id integer PRIMARY KEY, expires_at timestamp)")
    house.sql("CREATE TABLE note (id integer PRIMARY KEY, job_id integer REFERENCES job, created_at timestamp)")
    house.sql("INSERT INTO job VALUES (1, '2025-09-01'), (2, '2025-09-01')")
    house.sql("INSERT INTO note VALUES (1, 1, '2025-08-01')")
    house.policies(EXPIRY.format(table="job") + "archive = true\n" + RETENTION.format(table="note"))
    assert expired(house)["archived_rows"] == 3
    restore(house, "job", into_original=True, hold="0")
    restore(house, "note", into_original=True)
    assert expired(house)["held"] == 1
    assert [left(house, table) for table in ("job", "note")] == [[1], [1]]
    cleaned = house.run_table()
    assert (cleaned["archived_rows"], cleaned["warnings"][0][:30]) == (0, "all rows are left alone until ")
    house.sql("ALTER TABLE note RENAME created_at TO made")
    house.sql("UPDATE job SET expires_at = '2025-09-02'")
    assert left(house, "note") == [1] and expired(house)["held"] == 1


def test_the_column_is_gone(house: House) -> None:
    """Nobody can tell what is held: refused, with the way out."""
    house.sql("CREATE TABLE t (id integer PRIMARY KEY, created_at timestamp, expires_at timestamp)")
    house.sql("INSERT INTO t VALUES (1, '2025-08-01', '2025-09-01')")
    house.policies(RETENTION.format(table="t") + EXPIRY.format(table="t"))
    house.run()
    restore(house, "t", into_original=True)
    house.sql("ALTER TABLE t RENAME created_at TO made")
    assert expired(house)["refusal"]["guard"] == "held"
    house.policies(RETENTION.format(table="t").replace("created_at", "made"))
    refusal = house.run_table()["refusal"]
    assert refusal["guard"] == "held" and "UTC, or set another hold: nightshift restore" in refusal["hint"]
    assert left(house, "t") == [1]


@pytest.fixture
def two(house: House) -> House:
    """Rows that expire and whose elders are archived, a batch of some, and a table beside them."""
    house.env["EXPIRE_BATCH"] = "2"
    house.sql("CREATE TABLE t (id integer PRIMARY KEY, created_at timestamp, expires_at timestamp)")
    house.sql("CREATE TABLE u (id integer PRIMARY KEY, created_at timestamp)")
    house.sql("INSERT INTO t SELECT i, '2025-08-01', '2025-09-01' FROM generate_series(1, 3) i")
    house.policies(RETENTION.format(table="t"))
    house.run()
    house.sql("INSERT INTO t SELECT i, '2025-10-01', '2025-09-01' FROM generate_series(11, 18) i")
    house.sql("INSERT INTO u VALUES (1, '2025-08-01')")
    house.policies(RETENTION.format(table="u") + RETENTION.format(table="t") + EXPIRY.format(table="t"))
    return house


def child(house: House, job: str, event: dict[str, Any], step: ProgressStep) -> JobChild:
    """A run in a process of its own that stands still at a step."""
    built = JobChild(house.env, event, job=job, hold_at=step)
    built.await_step(step)
    return built


def test_a_restore_and_a_deleting_job_exclude_each_other(two: House) -> None:
    expiring = child(two, "expire_jobs", {"scheduled_time": AS_OF}, ProgressStep.COMMITTED)
    assert restore(two, "t", into_original=True)["refusal"]["guard"] == "busy"
    expiring.resume()
    assert expiring.wait() == 0, expiring.log
    assert left(two, "t") == []
    restoring = child(two, "restore", {"table": "t", "into_original": True}, ProgressStep.COMMITTING)
    assert expired(two)["refusal"]["guard"] == "busy"
    beside, refused = two.run()["tables"]
    assert (beside["status"], refused["refusal"]["guard"]) == ("ok", "busy"), "the other table has its turn"
    restoring.resume()
    assert restoring.wait() == 0, restoring.log
    assert expired(two)["held"] == 3
    assert left(two, "t") == [1, 2, 3]


@pytest.mark.parametrize("job", ["expire_jobs", "cleanup"])
def test_held_rows_that_come_while_a_run_goes_on_stay(two: House, job: str) -> None:
    """The locks are lost with their connections; the run that has begun without the hold deletes none of its rows."""
    two.sql("INSERT INTO t VALUES (19, '2025-08-01', '2025-09-01'), (20, '2025-08-01', '2025-09-01')")
    running = child(
        two, job, {"scheduled_time": AS_OF}, ProgressStep.TAKEN if job == "expire_jobs" else ProgressStep.STREAMED
    )
    locks = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory') AND datname = current_database()"
    two.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {locks}")
    assert restore(two, "t", into_original=True)["restored_rows"] == 3
    running.resume()
    assert running.wait() in (0, 1), running.log
    if job == "expire_jobs":
        assert running.error is not None and "while rows of their table were deleted" in running.error
    assert set(left(two, "t")) >= {1, 2, 3}
