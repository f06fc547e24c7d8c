"""The run history has a retention, and keeps what others rest on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.handler import run_job
from tests.support.house import House

AS_OF = "2025-10-17T00:00:00Z"


@pytest.fixture(params=["house", "sqlite_house"], ids=["postgresql", "sqlite"])
def home(request: pytest.FixtureRequest) -> House:
    built: House = request.getfixturevalue(request.param)
    built.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, feedback text, created_at timestamp)")
    return built


def _run(home: House, job: str = "feedback", **event: Any) -> dict[str, Any]:
    env = {**home.env, "FEEDBACK_CHART": "off", "HISTORY_KEEP_DAYS": "100"}
    return run_job(job, env, {"scheduled_time": AS_OF, **event})


def _past(home: House, run_id: str, job: str, started: str, status: str = "nothing", result: str | None = None) -> None:
    told = "NULL" if result is None else f"'{result}'"
    home.sql(
        "INSERT INTO nightshift_run (run_id, job, as_of, attempt, status, complete, started_at, finished_at, result)"
        f" VALUES ('{run_id}', '{job}', '{started} 00:00:00.000000', 1, '{status}', true,"
        f" '{started} 00:00:00.000000', '{started} 00:01:00.000000', {told})"
    )


def _kept(home: House) -> set[str]:
    return {str(run["run_id"]) for run in home.runs() if len(str(run["run_id"])) < 32}


def _worked_off(*tables: str) -> str:
    return json.dumps({"tables": [{"table": one, "status": "ok", "archived_rows": 5} for one in tables]})


def _archived(home: House, run_id: str, table: str) -> None:
    home.sql(
        "INSERT INTO nightshift_archive_object (bucket, object_key, table_name, state, dt, run_id, created_at) VALUES"
        f" ('b', '{run_id}/{table}', '{table}', 'archived', '2024-01-01', '{run_id}', '2024-01-01 00:00:00.000000')"
    )


def test_what_is_old_goes_and_the_last_of_each_job_stays(home: House) -> None:
    _run(home)
    _past(home, "f1", "feedback", "2024-01-01")
    _past(home, "e1", "expire_jobs", "2024-01-01")
    _past(home, "e2", "expire_jobs", "2024-01-02", "ok")
    _past(home, "e3", "expire_jobs", "2024-01-03")
    _past(home, "e4", "expire_jobs", "2024-01-04", "failed")
    _past(home, "r1", "rehearse", "2024-01-01", "running")
    _run(home)
    assert _kept(home) == {"e2", "e4", "r1"}, "the last run, and the last that was ok"
    assert len(home.runs()) == 5, "what this test ran is recent"


def test_a_dry_run_deletes_nothing(home: House) -> None:
    _run(home)
    _past(home, "f1", "feedback", "2024-01-01")
    _run(home, dry_run=True)
    assert _kept(home) == {"f1"}


def test_what_is_recent_stays(home: House) -> None:
    _run(home)
    days = "interval '99 days'" if home.url.startswith("postgresql") else "'-99 days'"
    recent = (
        f"now() - {days}" if home.url.startswith("postgresql") else f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {days})"
    )
    _past(home, "f1", "feedback", "2024-01-01")
    _past(home, "f2", "feedback", "2024-01-01")
    home.sql(f"UPDATE nightshift_run SET started_at = {recent} WHERE run_id = 'f2'")
    _run(home)
    assert _kept(home) == {"f2"}


def test_each_table_keeps_its_last_proof_that_it_was_worked_off(home: House) -> None:
    """The brake on abnormal volume goes by it, see `archive.volume`."""
    _run(home)
    for run_id, started, tables in (
        ("c1", "2024-01-01", ("a", "b", "c")),
        ("c2", "2024-01-02", ("a",)),
        ("c3", "2024-01-03", ("a",)),
        ("c4", "2024-01-04", ()),
    ):
        _past(home, run_id, "cleanup", started, "ok", _worked_off(*tables))
        for table in tables:
            _archived(home, run_id, table)
    recent = "2100-01-01"
    _past(home, "c5", "cleanup", recent, "ok", _worked_off("c"))
    _archived(home, "c5", "c")
    _run(home)
    assert _kept(home) == {"c1", "c3", "c5"}, "b has no later proof than c1, a none than c3, c has c5"
    _run(home)
    assert _kept(home) == {"c1", "c3", "c5"}


def test_the_brake_still_knows_a_table_that_was_last_archived_long_ago(house: House) -> None:
    house.env |= {"CLEANUP_VACUUM": "off", "HISTORY_KEEP_DAYS": "31"}
    house.sql("CREATE TABLE conversation_log (id bigint, created_at timestamptz)")
    house.sql("INSERT INTO conversation_log VALUES (1, '2025-08-01')")
    assert house.run()["status"] == "ok"
    house.sql("UPDATE nightshift_run SET started_at = started_at - interval '3 years'")
    for _ in range(2):
        house.run(scheduled_time="2025-10-16T00:00:00Z")
    house.sql("INSERT INTO conversation_log SELECT n, '2025-08-01' FROM generate_series(1, 100001) n")
    (table,) = house.run()["tables"]
    assert (table["status"], table["refusal"]["guard"]) == ("refused", "abnormal_volume")


def test_runs_of_backups_stay_and_forget_what_they_told(home: House) -> None:
    """Objects of a killed backup, and the backup before this one, are told by their run."""
    _run(home)
    for number in (1, 2, 3):
        _past(home, f"b{number}", "backup", f"2024-01-0{number}", "nothing", "{}")
    _run(home)
    assert _kept(home) == {"b1", "b2", "b3"}
    told = {run["run_id"]: run["result"] for run in home.runs() if run["job"] == "backup"}
    assert told == {"b1": None, "b2": None, "b3": {}}


def test_more_than_a_run_takes_is_taken_by_the_next(house: House) -> None:
    house.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, feedback text, created_at timestamp)")
    _run(house)
    house.sql(
        "INSERT INTO nightshift_run (run_id, job, as_of, attempt, status, started_at)"
        " SELECT n, 'expire_jobs', '2024-01-01', 1, 'ok', timestamptz '2024-01-01' + n * interval '1 second'"
        " FROM generate_series(1, 1500) n"
    )
    left = "SELECT count(*) FROM nightshift_run WHERE job = 'expire_jobs'"
    _run(house)
    assert house.value(left) == 500
    _run(house)
    assert house.value(left) == 1
