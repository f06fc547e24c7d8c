"""Code in a backup runs as a role without rights, on servers that ask for passwords, and by no superuser's leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from nightshift.backup.scratch import scratch_role
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import NightshiftError
from tests.backup.restore.vault import AS_OF
from tests.conftest import POSTGRES_VERSION
from tests.support.handler import run_job
from tests.support.house import House

OLD = Path("/usr/lib/postgresql/15/bin")
SECRET = "night5hift"

HBA = """
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""

PLANTED = """
CREATE TABLE heard (said text);
CREATE FUNCTION seize(n int, OUT ok bool) LANGUAGE plpgsql AS $$ BEGIN
  ok := true;
  IF current_database() NOT LIKE 'nightshift%' THEN RETURN; END IF;
  BEGIN EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE night PASSWORD ''known''';
  EXCEPTION WHEN insufficient_privilege THEN END;
  BEGIN EXECUTE 'ALTER ROLE night CREATEROLE'; EXCEPTION WHEN insufficient_privilege THEN END;
  BEGIN EXECUTE 'GRANT night TO eve'; EXCEPTION WHEN insufficient_privilege OR undefined_object
    OR invalid_grant_operation THEN END;
END $$;
CREATE FUNCTION plain(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM public.seize(n); RETURN n; END $$;
CREATE DOMAIN small AS int CHECK (public.seize(VALUE));
CREATE TABLE t (id int PRIMARY KEY CHECK (public.seize(id)), s small, g int GENERATED ALWAYS AS (plain(id)) STORED);
INSERT INTO t VALUES (1, 1), (2, 2);
CREATE INDEX t_plain ON t (plain(s)); CREATE INDEX t_part ON t (id) WHERE (plain(s) > 0);
CREATE MATERIALIZED VIEW m AS SELECT plain(id) AS n FROM t;
CREATE TABLE parted (k int) PARTITION BY LIST (plain(k)); CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO parted VALUES (1)
"""
"""Everywhere a restore runs functions; each asks for more than its role may."""

ENVIRONMENT = """
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM seize(1); END $$;
CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION watch(); ALTER EVENT TRIGGER watching DISABLE;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE FOREIGN DATA WRAPPER plain; CREATE SERVER far FOREIGN DATA WRAPPER plain;
CREATE FOREIGN TABLE elsewhere (a int) SERVER far; CREATE VIEW seen AS SELECT a FROM elsewhere;
ALTER SCHEMA public OWNER TO eve
"""
"""What takes a superuser, what hangs on that, and what belongs to others."""


@pytest.fixture(scope="module", params=[pytest.param("15", marks=pytest.mark.slow), "current"])
def guarded(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server that asks for passwords, of an old and of the current version."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "15":
            if not OLD.exists():
                pytest.skip("no PostgreSQL 15 here")
            patched.setenv("PG_BIN", str(OLD))
        with EmbeddedPostgres(POSTGRES_VERSION, settings=DISPOSABLE) as server:
            ((path,),) = server.execute("SHOW hba_file")
            lines = ", ".join(f"('{line}')" for line in HBA.strip().splitlines())
            server.execute(f"COPY (VALUES {lines}) TO '{path}'")
            server.execute("SELECT pg_reload_conf()")
            server.execute("CREATE ROLE eve LOGIN")
            server.execute(f"CREATE ROLE night LOGIN CREATEDB CREATEROLE PASSWORD '{SECRET}'")
            yield server


@pytest.fixture
def night(house: House, guarded: EmbeddedPostgres) -> Iterator[House]:
    """A deployment whose role is no superuser, on that server."""
    guarded.drop_database("service")
    url = guarded.create_database("service")
    moved = House({**house.env, "DATABASE_URL": url}, house.s3, house.slack, house.directory)
    guarded.execute(f"ALTER ROLE night PASSWORD '{SECRET}'")
    moved.sql(f"{PLANTED}; GRANT USAGE, CREATE ON SCHEMA public TO night; GRANT pg_read_all_data TO night")
    moved.env["DATABASE_URL"] = url.replace("postgres@", f"night:{SECRET}@")
    yield moved
    moved.close()


def save(house: House) -> None:
    assert run_job("backup", house.env, {"scheduled_time": AS_OF})["status"] == "ok"


def traces(server: EmbeddedPostgres) -> list[tuple[object, ...]]:
    """What a rehearsal may not leave."""
    return server.execute(
        "SELECT CAST(datname AS text) FROM pg_database WHERE datname LIKE 'nightshift%'"
        " UNION ALL SELECT CAST(rolname AS text) FROM pg_roles WHERE rolname LIKE 'nightshift%'"
        " UNION ALL SELECT CAST(rolname AS text) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member"
        " WHERE rolname = 'eve'"
    )


def test_code_in_a_backup_has_no_rights(night: House, guarded: EmbeddedPostgres) -> None:
    night.sql(ENVIRONMENT)
    save(night)
    password = guarded.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'night'")
    seen: list[tuple[object, ...]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            seen.extend(
                guarded.execute(
                    "SELECT r.rolname, rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls,"
                    " has_database_privilege('eve', d.oid, 'CONNECT') AND datallowconn"
                    " FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE datname ~ '^nightshift_rehearsal'"
                )
            )

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        answer = run_job("rehearse", night.env, {})
    finally:
        over.set()
        watcher.join()

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, [])
    said = "; ".join(answer["environment"])
    for name in ("event trigger watching", "publication everything", "server far", "foreign table public.elsewhere"):
        assert name in said
    assert answer["environment"][-1] == "owners and grants, which a rehearsal's role cannot give"
    assert guarded.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'night'") == password
    assert seen and {row[1:] for row in seen} == {(False, False)}
    assert all(str(row[0]).startswith("nightshift_scratch_") for row in seen)
    assert traces(guarded) == []
    assert "PASSWORD 'SCRAM" not in str(answer)


@pytest.mark.slow
def test_what_a_killed_one_has_left(night: House, guarded: EmbeddedPostgres) -> None:
    save(night)
    left, dead, alive = (f"nightshift_scratch_{letter * 32}" for letter in "abc")
    night.sql(f"CREATE ROLE {left} LOGIN VALID UNTIL '2090-01-01'; CREATE ROLE {dead} VALID UNTIL '2020-01-01'")
    night.sql(f"CREATE ROLE {alive} LOGIN VALID UNTIL '2090-01-01'")
    night.sql(f"GRANT {left}, {dead}, {alive} TO night WITH ADMIN OPTION")
    guarded.execute(f"CREATE DATABASE nightshift_rehearsal_{'a' * 32} OWNER {left}")

    answer = run_job("rehearse", night.env, {})

    found = traces(guarded)
    night.sql(f"DROP ROLE {alive}")
    assert answer["proven"] and answer["warnings"][0].startswith(f"nightshift_rehearsal_{'a' * 32} was left")
    assert found == [(alive,)]


@pytest.mark.slow
def test_without_a_way_to_make_a_role(night: House, guarded: EmbeddedPostgres) -> None:
    save(night)
    guarded.execute("ALTER ROLE night NOCREATEROLE")
    try:
        for event in ({}, {"dry_run": True}):
            refused = run_job("rehearse", night.env, event)
            assert (refused["status"], refused["refusal"]["guard"]) == ("refused", "own_rights")
            assert 'ALTER ROLE "night" CREATEROLE,' in refused["refusal"]["hint"]
        assert "night" in night.slack.messages[-1].seen and traces(guarded) == []

        # Another server is its own affair; so is another role here, if it may do nothing but make databases.
        here = guarded.url.partition("@")[2]
        guarded.execute(f"CREATE ROLE rehearser LOGIN CREATEDB PASSWORD '{SECRET}'")
        night.env["REHEARSE_DATABASE_URL"] = f"postgresql://rehearser:{SECRET}@{here}"
        assert run_job("rehearse", night.env, {})["proven"]
        guarded.execute("GRANT pg_read_all_settings TO rehearser")
        assert run_job("rehearse", night.env, {})["status"] == "refused"
        with EmbeddedPostgres(POSTGRES_VERSION, settings=DISPOSABLE) as other:
            night.env["REHEARSE_DATABASE_URL"] = other.url
            assert "refusal" not in run_job("rehearse", night.env, {})
        del night.env["REHEARSE_DATABASE_URL"]

        # What it accepts: the code changes our password, and at the next connection we are shut out.
        password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'night'"
        known = guarded.execute(password)
        night.env["REHEARSE_WITH_OWN_RIGHTS"] = "on"
        with suppress(NightshiftError):
            run_job("rehearse", night.env, {})
        assert guarded.execute(password) != known
    finally:
        guarded.execute("ALTER ROLE night CREATEROLE")
        guarded.execute("DROP ROLE IF EXISTS rehearser")


def test_a_role_that_may_not_make_roles_any_more(night: House, guarded: EmbeddedPostgres) -> None:
    """Or whom a managed server does not let give passwords (`rds.restrict_password_commands`)."""
    guarded.execute("ALTER ROLE night NOCREATEROLE")
    database = Database(parse_database_url(night.env["DATABASE_URL"]), deadline=time.monotonic() + 60)
    try:
        with pytest.raises(NightshiftError, match="a role for the rehearsal could not be made") as raised:  # noqa: SIM117
            with scratch_role(database, "f" * 32, connections=2, warn=print):
                pass
    finally:
        guarded.execute("ALTER ROLE night CREATEROLE")
        database.close()
    assert "permission denied to create role" in str(raised.value.detail)
    assert "has to be allowed to make roles with a password" in str(raised.value.hint)


def test_a_server_that_does_not_let_it_in(night: House, guarded: EmbeddedPostgres) -> None:
    save(night)
    ((path,),) = guarded.execute("SHOW hba_file")
    guarded.execute(f"COPY (VALUES ('host all postgres,night 127.0.0.1/32 trust')) TO '{path}'")
    guarded.execute("SELECT pg_reload_conf()")
    try:
        with pytest.raises(NightshiftError, match="cannot log in") as raised:
            run_job("rehearse", night.env, {})
    finally:
        lines = ", ".join(f"('{line}')" for line in HBA.strip().splitlines())
        guarded.execute(f"COPY (VALUES {lines}) TO '{path}'")
        guarded.execute("SELECT pg_reload_conf()")

    assert "pg_hba.conf has to let roles nightshift_scratch_… in" in str(raised.value.hint) and traces(guarded) == []
