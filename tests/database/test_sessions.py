"""Settings of the server, the database or the role do not end a run quietly: ours hold, or the run says what it is."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from nightshift.errors import DatabaseUnavailable, LockLost
from nightshift.progress_events import ProgressEvent, ProgressStep
from nightshift.run_services import RunWiring
from nightshift.runtime import run_job as run_by_frame
from tests.support.handler import environ_of, run_job
from tests.support.house import AS_OF, House
from tests.support.transaction_pool import TransactionPool

POLICIES = """
[[retention]]
table = "log"
timestamp = "created_at"
keep_days = 30
timezone = "UTC"
[[expiry]]
table = "ticket"
timezone = "UTC"
"""

SCHEMA = """
CREATE TABLE log (id int PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO log SELECT n, '2025-08-01' FROM generate_series(1, 5000) n;
CREATE TABLE ticket (id int PRIMARY KEY, expires_at timestamptz);
INSERT INTO ticket SELECT n, '2025-09-01' FROM generate_series(1, 500) n;
GRANT ALL ON ALL TABLES IN SCHEMA public TO guest
"""

HOSTILE = {
    "idle_session_timeout": "700ms",
    "idle_in_transaction_session_timeout": "700ms",
    "transaction_timeout": "700ms",
    "statement_timeout": "2s",
    "lock_timeout": "10ms",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "DateStyle": "German",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "search_path": "public, pg_catalog",
}


@pytest.fixture
def settled(house: House, guest: str) -> House:
    house.sql(SCHEMA)
    house.policies(POLICIES)
    return house


@pytest.mark.slow
def test_what_may_be_set_is_set(settled: House) -> None:
    for name, value in HOSTILE.items():
        if settled.sql(f"SELECT 1 FROM pg_settings WHERE name = '{name.lower()}' OR name = '{name}'"):
            settled.sql(f"ALTER ROLE guest SET {name} = {value if ',' in value else repr(value)}")
    # Each step waits longer than any of the limits.
    settled.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;"
        " CREATE TRIGGER slow AFTER DELETE ON log EXECUTE FUNCTION slow();"
        " CREATE TRIGGER slow AFTER DELETE ON ticket EXECUTE FUNCTION slow()"
    )

    for job in ("cleanup", "expire_jobs"):
        answer = run_job(job, settled.env, {"scheduled_time": AS_OF})
        assert (answer["status"], answer["complete"]) == ("ok", True), answer
    assert settled.sql("SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM ticket)") == [(0, 0)]


@pytest.mark.parametrize(
    ("setting", "message", "hint"),
    [
        (
            "default_transaction_read_only = on",
            "the database is read-only",
            "ALTER ROLE … SET default_transaction_read_only = off",
        ),
        (
            "session_replication_role = replica",
            "triggers and foreign keys are switched off",
            "ALTER ROLE … RESET session_replication_role (also IN DATABASE",
        ),
    ],
)
def test_what_may_not_be_worked_with_is_named(settled: House, setting: str, message: str, hint: str) -> None:
    settled.sql(f"ALTER ROLE guest SET {setting}")
    before = settled.state()

    for job in ("cleanup", "expire_jobs", "restore"):
        event = {"table": "log"} if job == "restore" else {"scheduled_time": AS_OF}
        with pytest.raises(DatabaseUnavailable) as raised:
            run_job(job, settled.env, event)
        assert message in str(raised.value)
        assert hint in str(raised.value.hint)
    assert settled.state() == before
    if "read_only" in setting:
        assert run_job("cleanup", settled.env, {"scheduled_time": AS_OF, "dry_run": True})["status"] == "dry_run"


def test_a_pool_in_transaction_mode_is_refused(settled: House, postgres: Any) -> None:
    before = settled.state()
    with TransactionPool(postgres.port, "guest", settled.database) as pool:
        settled.env["DATABASE_URL"] = f"postgresql://guest@127.0.0.1:{pool.port}/{settled.database}?sslmode=disable"
        for event in ({"dry_run": True}, {}):
            with pytest.raises(DatabaseUnavailable) as raised:
                run_job("cleanup", settled.env, {"scheduled_time": AS_OF, **event})
            assert "a pool in transaction mode" in str(raised.value) and "5432" in str(raised.value)
            assert "or to a pool in session mode" in str(raised.value.hint)
    assert settled.state() == before


OPERATOR = """
CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO guest; ALTER ROLE guest SET search_path = public, evil;
CREATE FUNCTION evil.never(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.never)
"""


def test_behind_a_pool_no_operator_may_be_mistaken(settled: House, postgres: Any) -> None:
    settled.sql(OPERATOR)
    before = settled.state()
    with TransactionPool(postgres.port, "guest", settled.database, keeps=True) as pool:
        settled.env["DATABASE_URL"] = f"postgresql://guest@127.0.0.1:{pool.port}/{settled.database}?sslmode=disable"
        with pytest.raises(DatabaseUnavailable, match=r"evil\.=\(text, text\)") as raised:
            run_job("cleanup", settled.env, {"scheduled_time": AS_OF})
        assert "REVOKE CREATE on their schema from those who made them" in str(raised.value.hint)
        assert settled.state() == before
        settled.sql("DROP OPERATOR evil.= (text, text)")
        assert run_job("cleanup", settled.env, {"scheduled_time": AS_OF})["status"] == "ok"


_HOLDERS = "FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = '{}')"


@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken"])
def test_a_lost_lock_is_noticed(settled: House, postgres: Any, taken: bool) -> None:
    """Its connection is ended; nobody else comes: it is taken again. Another run has come: this one stops."""
    holders = _HOLDERS.format(settled.database)
    seen: list[ProgressStep] = []

    def end_it(event: ProgressEvent) -> None:
        if event.step is ProgressStep.STREAMED and not seen:
            seen.append(event.step)
            ((key,),) = settled.sql(
                f"SELECT (classid::bigint << 32) | objid::bigint {holders} AND mode = 'ExclusiveLock'"
            )
            settled.sql(f"SELECT pg_terminate_backend(pid, 10000) {holders}")
            if taken:
                settled.sql(f"SELECT pg_advisory_lock({key})")

    with environ_of(settled.env):
        wiring = RunWiring(settled.env, listener=end_it)
        with pytest.raises(LockLost, match="does not end idle sessions") if taken else nullcontext():
            run_by_frame("cleanup", {"scheduled_time": AS_OF}, None, wiring)
    assert settled.value("SELECT count(*) FROM log") == (5000 if taken else 0)
