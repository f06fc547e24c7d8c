"""Own tables of every published version are upgraded by the next run of whatever job, with all that they hold.

`published/` has the statements with which each version made its tables, as its own code wrote them.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from local.chatlog import connect
from nightshift.database.connect import Database
from nightshift.database.own_tables import find_faults
from nightshift.database.tables import metadata
from nightshift.database.upgrades import UPGRADING, old_tables
from nightshift.database.url import parse_database_url
from nightshift.errors import DatabaseUnavailable
from tests.support.child import JobChild
from tests.support.handler import run_job
from tests.support.house import House
from tests.support.running import RunningHouse

PUBLISHED = Path(__file__).parent / "published"
VERSIONS = sorted({path.name.split(".")[0] for path in PUBLISHED.iterdir()})
AS_OF = {"scheduled_time": "2025-10-17T00:00:00Z"}
CHANGING = ("nightshift_run", "nightshift_feedback_day")
"""Tables that every run of `feedback` writes."""
COLUMNS = {
    "sqlite": "SELECT name, lower(type) FROM pragma_table_info('{}') ORDER BY cid",
    "postgresql": "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = '{}'::regclass"
    " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
}


def _dialect(home: House) -> str:
    return home.url.partition(":")[0]


def _publish(home: House, version: str) -> None:
    """Make the tables as that version did."""
    ending = "sqlite.sql" if _dialect(home) == "sqlite" else "sql"
    for statement in (PUBLISHED / f"{version}.{ending}").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            home.sql(statement)


def _columns(home: House, table: str) -> dict[str, str]:
    return {str(name): str(kind) for name, kind in home.sql(COLUMNS[_dialect(home)].format(table))}


def _value(name: str, kind: str, number: int) -> str:
    """SQL of a value for a column, another for each row."""
    if name in ("result", "event"):
        return f"""'{{"tables": [], "n": {number}}}'"""
    if name == "state":
        return "'retraining'"
    if name == "reason":
        return "'certain'"
    if "int" in kind:
        return str(number)
    if "bool" in kind:
        return "true"
    if "time" in kind:
        return f"'2025-10-0{number} 00:00:00.000000'"
    if "double" in kind or "float" in kind:
        return f"0.{number}"
    return f"'값 {number} ''q''{name[:3]}'"


def _there(home: House) -> list[str]:
    found = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'nightshift_%'"
        if _dialect(home) == "sqlite"
        else "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'nightshift_%'"
    )
    return sorted(str(name) for (name,) in home.sql(found))


def _fill(home: House) -> dict[str, list[dict[str, Any]]]:
    """Two rows in each table that is there; all rows, by table."""
    kept = {}
    for table in _there(home):
        columns = {name: kind for name, kind in _columns(home, table).items() if name != "id"}
        for number in (1, 2):
            values = ", ".join(_value(name, kind, number) for name, kind in columns.items())
            home.sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})")
        kept[table] = home._own_table(table, "1")
    return kept


def _upgraded(table: str, row: dict[str, Any], home: House) -> dict[str, Any]:
    """A row of an earlier version as it should be now."""
    row = dict(row)
    if "object_key" in row and table == "nightshift_file_deletion":
        row["object_keys"], row["files"] = json.dumps([row.pop("object_key")], ensure_ascii=False), 1
    if table == "nightshift_restored_object":
        by_name = isinstance(row["target_id"], int) and _dialect(home) == "sqlite"
        row["target_id"] = row["target_table"] if by_name else str(row["target_id"])
    return row


def _run(home: House, job: str = "feedback", **event: Any) -> dict[str, Any]:
    return run_job(job, {**home.env, "FEEDBACK_CHART": "off"}, {**AS_OF, **event})


def _votes(home: House) -> None:
    home.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, feedback text, created_at timestamp)")


@pytest.fixture(params=["house", "sqlite_house"], ids=["postgresql", "sqlite"])
def home(request: pytest.FixtureRequest) -> House:
    built: House = request.getfixturevalue(request.param)
    return built


@pytest.mark.fast_cases("1_archive", "5_feedback", "4_expiry")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_upgrades_a_version_with_its_data(home: House, version: str) -> None:
    _publish(home, version)
    _votes(home)
    before = _fill(home)
    assert before

    assert _run(home)["status"] in ("ok", "nothing")

    for table, rows in before.items():
        now = home._own_table(table, "1")
        for row in rows:
            wanted = _upgraded(table, row, home)
            assert any(wanted.items() <= found.items() for found in now), (table, wanted, now)
    assert _there(home) == sorted(metadata.tables)
    database = Database(parse_database_url(home.url), deadline=float("inf"))
    with closing(database), database.connect() as connection:
        assert old_tables(connection) == frozenset()
        assert find_faults(connection, metadata.tables.values()) == ()
    after = {table: home._own_table(table, "1") for table in metadata.tables if table not in CHANGING}
    assert _run(home)["status"] in ("ok", "nothing")
    assert {table: home._own_table(table, "1") for table in after} == after


@pytest.mark.parametrize("version", VERSIONS)
def test_a_dry_run_changes_nothing_and_reads_or_says_why_not(home: House, version: str) -> None:
    _publish(home, version)
    _votes(home)
    before = _fill(home)
    old_shape = version in ("2_restore", "4_expiry")
    if old_shape:
        with pytest.raises(DatabaseUnavailable, match="an earlier version's") as raised:
            _run(home, dry_run=True)
        assert "a run that is no dry run" in str(raised.value.hint)
    else:
        assert _run(home, dry_run=True)["status"] == "dry_run"
    assert {table: home._own_table(table, "1") for table in _there(home)} == before


def test_a_decision_of_an_earlier_version_is_found_and_told(home: House) -> None:
    """By a real run and, before there was one, by a dry run: its name is what it was."""
    _votes(home)
    home.sql("INSERT INTO conversation_log VALUES (1, 'like', '2025-10-16 12:00:00')")
    first = _run(home)
    for column in ("unknown", "week_likes", "week_dislikes"):
        home.sql(f"ALTER TABLE nightshift_feedback_run DROP COLUMN {column}")
    for dry_run in (True, False):
        again = _run(home, dry_run=dry_run)
        assert (again["decided_before"], again["decision"]) == (True, first["decision"])
    assert home.value("SELECT count(*) FROM nightshift_feedback_run") == 1
    assert home.value("SELECT count(*) FROM nightshift_feedback_run WHERE unknown IS NULL") == 1


def test_of_two_records_of_one_object_in_one_table_the_later_stays_with_the_longer_hold(home: House) -> None:
    _publish(home, "2_restore")
    _votes(home)
    renamed = "t" if _dialect(home) == "sqlite" else "renamed"
    for number, (target, identity, hold) in enumerate(
        [("t", 16, "2030-01-01"), (renamed, 16 if renamed != "t" else 17, "2026-01-01")]
    ):
        home.sql(
            "INSERT INTO nightshift_restored_object (object_key, source_table, target_table, target_id, into_original,"
            " row_count, existing_count, hold_until, run_id, restored_at) VALUES"
            f" ('k', 't', '{target}', {identity}, true, {number}, 0, '{hold} 00:00:00.000000', 'r', '2025-01-01')"
        )
    _run(home)
    ((count, hold),) = home.sql("SELECT row_count, CAST(hold_until AS text) FROM nightshift_restored_object")
    assert (count, str(hold)[:10]) == (1, "2030-01-01")


def test_two_jobs_that_begin_at_once_upgrade_it_once(house: House) -> None:
    running = RunningHouse(house.env, house.s3, house.slack, house.directory)
    _publish(house, "4_expiry")
    _votes(house)
    _fill(house)
    with closing(connect(house.url)) as somebody:
        somebody.run("SELECT pg_advisory_lock(:key)", key=UPGRADING)
        env = {**house.env, "FEEDBACK_CHART": "off"}
        children = [JobChild(env, AS_OF, job=job) for job in ("feedback", "rehearse")]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'advisory'"
        running.await_value(waiting, 2)
        somebody.run("SELECT pg_advisory_unlock(:key)", key=UPGRADING)
        codes = [child.wait() for child in children]
    assert codes[0] == 0, children[0].log
    assert "own tables" not in str(children[1].error)
    assert _there(house) == sorted(metadata.tables)
