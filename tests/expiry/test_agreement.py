"""What a dry run of expire_jobs says, the run does; names of ours are nobody's; rows that stay busy cost little."""

from __future__ import annotations

import pytest

from tests.support.expiry_runs import DUE, JOB, MAKE_JOB, column, expire, expired, jobs, only, script
from tests.support.house import House


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "names",
    [
        ("nightshift_at", "nightshift_step"),
        ("nightshift_step", "nightshift_at"),
        ("nightshift_at_", "nightshift_at"),
        ("gone", "bucket"),
        ("k", "c"),
        ("d", "n"),
        ("excluded", "object_key"),
    ],
)
def test_columns_with_names_of_ours(house: House, names: tuple[str, str]) -> None:
    """As keys and as what a table that references itself goes by."""
    key, parent = names
    script(
        house,
        f"CREATE TABLE job ({key} int PRIMARY KEY, expires_at timestamp, {parent} int REFERENCES job);"
        f"INSERT INTO job VALUES (1, '{DUE}', NULL), (2, '{DUE}', 1), (3, '2026-01-01', NULL);"
        f"CREATE TABLE part (id int PRIMARY KEY, {key} int REFERENCES job);"
        "INSERT INTO part VALUES (1, 2), (2, 3)",
    )
    told = only(expired(house, JOB))
    assert (told["status"], told["deleted_rows"]) == ("ok", {"public.part": 1, "public.job": 2})
    assert (column(house, "job", key), column(house, "part")) == ([3], [2])


@pytest.mark.parametrize("key", ["id", "Nightshift_At", "nightshift_step"])
def test_sqlite_keys_that_stand_for_the_row_identifier(sqlite_house: House, key: str) -> None:
    """Living rows have the identifiers that a table of the expired ones' keys would number them by."""
    script(
        sqlite_house,
        f"CREATE TABLE job ({key} INTEGER PRIMARY KEY, expires_at TEXT);"
        f"CREATE TABLE part (id INTEGER PRIMARY KEY, job_id REFERENCES job);"
        "INSERT INTO job VALUES (1, '2026-01-01 00:00:00'), (2, '2026-01-01 00:00:00');"
        f"INSERT INTO job VALUES (10, '{DUE}'), (20, '{DUE}'); INSERT INTO part VALUES (5, 1), (6, 20);",
    )
    assert only(expired(sqlite_house, JOB))["deleted_rows"] == {"part": 1, "job": 2}
    assert (column(sqlite_house, "job", key), column(sqlite_house, "part")) == ([1, 2], [5])


def test_rows_that_stay_busy_are_passed_over_at_once(house: House) -> None:
    """Each was a batch of its own, every run; those that hang on a spared row are still found one by one."""
    script(house, MAKE_JOB + "ALTER TABLE job ADD COLUMN retry_of int REFERENCES job; CREATE INDEX ON job (retry_of)")
    house.sql(
        f"INSERT INTO job SELECT i, timestamp '{DUE}' - (4000 - i) * interval '1 s' FROM generate_series(1, 3400) i"
    )
    house.sql("INSERT INTO job SELECT 10000 + i, '2026-01-01', i * 2 FROM generate_series(1, 1658) i")
    house.sql("UPDATE job SET retry_of = 3399 WHERE id = 3316")
    before = house.value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    house.policies(JOB)

    told = only(expire(house))

    assert (told["status"], told["expired"], told["busy"]) == ("partial", 1741, 1659)
    assert any("has not expired hangs on it" in warning for warning in told["warnings"])
    house.sql("SELECT pg_stat_clear_snapshot()")
    undone = house.value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()") - before
    assert undone < 100
    assert only(expire(house))["busy"] == 1659


def test_publications_and_triggers(house: House) -> None:
    script(house, MAKE_JOB + jobs(1) + "CREATE TABLE part (job_id int REFERENCES job); INSERT INTO part VALUES (1);")
    script(
        house,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER t AFTER DELETE ON part FOR EACH STATEMENT EXECUTE FUNCTION f();"
        "CREATE PUBLICATION p FOR ALL TABLES",
    )
    house.policies(JOB)
    expected, done = only(expire(house, dry_run=True)), only(expire(house))
    assert expected["refusal"] == done["refusal"]
    assert done["refusal"]["guard"] == "replica_identity" and "public.part" in done["refusal"]["message"]

    house.sql("DROP PUBLICATION p")
    expected = only(expire(house, dry_run=True))
    assert any("public.part: trigger t will run" in warning for warning in expected["warnings"])
    assert only(expire(house))["deleted_rows"] == expected["deleted_rows"] == {"public.part": 1, "public.job": 1}


def test_a_statement_trigger_that_raises_is_guarded_by_name(house: House) -> None:
    script(house, MAKE_JOB + jobs(1))
    house.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE 'append only' USING ERRCODE = 'insufficient_privilege'; END $$;"
        "CREATE TRIGGER keep BEFORE DELETE ON job FOR EACH STATEMENT EXECUTE FUNCTION keep()"
    )
    house.policies(JOB)
    refusal = only(expire(house, dry_run=True))["refusal"]
    assert refusal == only(expire(house))["refusal"]
    assert refusal["guard"] == "hidden_rows" and "trigger keep" in refusal["message"] and "job" in refusal["message"]


def test_a_privilege_that_a_trigger_lacks_is_about_its_rows(house: House) -> None:
    script(house, MAKE_JOB + jobs(1, 2, 3))
    house.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE 'not this one' USING ERRCODE = 'insufficient_privilege'; END $$;"
        "CREATE TRIGGER keep AFTER DELETE ON job FOR EACH ROW WHEN (OLD.id = 2) EXECUTE FUNCTION keep()"
    )
    house.policies(JOB)
    told = only(expire(house))
    assert (told["expired"], told["failed"], column(house, "job")) == (2, 1, [2])
