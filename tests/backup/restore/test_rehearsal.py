"""A rehearsal restores for real, stamps what came back whole, and leaves no database behind, whichever way it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pg8000.native
import pytest

from nightshift.errors import NightshiftError
from tests.backup.restore import torture
from tests.backup.restore.vault import NAME, NEXT, NEXT_NAME, Vault
from tests.cli.command import environment
from tests.support.s3_faults import Request, call_before
from tests.support.s3_proxy import S3Proxy

CALL = "from rehearse.app import lambda_handler; lambda_handler({}, None)"


@pytest.fixture
def saved(vault: Vault) -> Vault:
    vault.sql("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)")
    vault.save()
    return vault


def stamp(vault: Vault) -> dict[str, object]:
    return dict(json.loads(vault.object("proven.json")))


def stamped(vault: Vault) -> bool:
    return vault.key("proven.json") in vault.house.s3.keys(vault.house.bucket)


def test_what_came_back_whole_is_stamped(vault: Vault) -> None:
    vault.sql(torture.ALL)
    vault.save()
    before = vault.object("manifest.json")

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, [])
    assert vault.object("manifest.json") == before
    assert stamp(vault)["name"] == NAME
    assert str(stamp(vault)["server_version"]).startswith(("16.", "18."))
    assert vault.scratch() == []
    assert NAME in vault.house.slack.messages[-1].seen
    assert vault.save(NEXT)["proven_name"] == NAME


@pytest.mark.slow
def test_a_second_rehearsal_leaves_the_stamp(saved: Vault) -> None:
    saved.rehearse()
    first = stamp(saved)

    assert saved.rehearse()["proven"]

    assert stamp(saved) == first


@pytest.mark.slow
def test_a_stamp_for_another_manifest_makes_way(saved: Vault) -> None:
    saved.rehearse()
    saved.put("proven.json", json.dumps({**stamp(saved), "manifest_sha256": "0" * 64}).encode())

    assert saved.rehearse()["proven"]

    assert stamp(saved)["manifest_sha256"] != "0" * 64


@pytest.mark.slow
def test_a_difference_is_told_and_not_stamped(saved: Vault) -> None:
    facts = saved.manifest()
    (entry,) = (entry for entry in facts["tables"] if entry["name"] == "t")
    entry["digest"] = "0" * 64
    saved.forge(facts)

    answer = saved.rehearse()

    assert (answer["status"], answer["proven"]) == ("partial", False)
    assert "public.t" in answer["differences"][0] and "public.t" in saved.house.slack.messages[-1].seen
    assert not stamped(saved)
    assert saved.scratch() == []


@pytest.mark.slow
def test_an_index_that_cannot_be_built_again(saved: Vault) -> None:
    """It costs nothing but itself, and is told twice: by who refused it, and by the look at the end."""
    saved.sql(
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql IMMUTABLE"
        " RETURN a / (current_database() NOT LIKE 'nightshift%')::int;"
        "CREATE INDEX a_first ON t (f(a)); CREATE INDEX b_second ON t (a)"
    )
    saved.save(NEXT)

    answer = saved.rehearse()

    assert (answer["status"], answer["proven"]) == ("partial", False)
    assert answer["differences"] == [
        "CREATE INDEX a_first ON public.t USING btree (public.f(a)): division by zero",
        "index public.a_first did not come back",
    ]
    assert saved.scratch() == []


def test_a_damaged_part_fails_and_leaves_no_database(saved: Vault) -> None:
    (entry,) = (entry for entry in saved.manifest()["tables"] if entry["name"] == "t")
    key = entry["parts"][0]["key"]
    body = saved.object(key)
    saved.put(key, body[:-1] + bytes([body[-1] ^ 1]))

    with pytest.raises(NightshiftError, match="damaged") as raised:
        saved.rehearse()

    assert key in str(raised.value)
    assert (saved.scratch(), stamped(saved)) == ([], False)


def test_no_backup_at_all(vault: Vault) -> None:
    answer = vault.rehearse()

    assert (answer["status"], answer["name"]) == ("nothing", None)
    assert "no good backup" in answer["warnings"][0]


def test_a_dry_run_makes_no_database(saved: Vault) -> None:
    answer = saved.rehearse(dry_run=True)

    assert (answer["status"], answer["name"]) == ("dry_run", NAME)
    assert (saved.scratch(), stamped(saved)) == ([], False)


def test_a_role_that_may_not_create_databases(saved: Vault) -> None:
    """Nor roles: then code in the backup would run with its rights, which is refused before anything else."""
    saved.sql(
        "CREATE ROLE clerk LOGIN; GRANT ALL ON SCHEMA public TO clerk;GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk"
    )
    saved.env["DATABASE_URL"] = saved.house.url.replace("postgres@", "clerk@")
    try:
        answer = saved.rehearse()
        assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "own_rights")
        assert 'ALTER ROLE "clerk" CREATEROLE CREATEDB' in answer["refusal"]["hint"]
        assert "to another server, or to a role of this one made by CREATE ROLE" in answer["refusal"]["hint"]
        saved.env["REHEARSE_WITH_OWN_RIGHTS"] = "on"
        with pytest.raises(NightshiftError, match="a database for the rehearsal could not be made") as raised:
            saved.rehearse()
    finally:
        saved.sql("DROP OWNED BY clerk; DROP ROLE clerk")

    assert "ALTER ROLE … CREATEDB for nightshift's role" in str(raised.value.hint)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_is_ended_from_outside(saved: Vault, how: signal.Signals) -> None:
    """Held in its own scratch database by a view that takes a minute to fill, so that it is there that it ends."""
    saved.sql("CREATE FUNCTION held() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN 1; END $$")
    saved.sql("CREATE VIEW v AS SELECT held(); CREATE MATERIALIZED VIEW slow AS SELECT * FROM v WITH NO DATA")
    saved.sql("UPDATE pg_class SET relispopulated = true WHERE relname = 'slow'")
    saved.save(NEXT)
    with subprocess.Popen(
        [sys.executable, "-c", CALL], env=environment(saved.env), stderr=subprocess.DEVNULL
    ) as running:
        while not saved.postgres.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            assert running.poll() is None
            time.sleep(0.02)
        os.kill(running.pid, how)
        running.wait()
    assert running.returncode != 0
    (left,) = saved.scratch() or [""]
    assert bool(left) == (how == signal.SIGKILL)

    saved.postgres.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    saved.sql("DROP VIEW v CASCADE")
    saved.env["BACKUP_PREFIX"] = "another"
    saved.save("2025-10-22T15:00:00Z")
    answer = saved.rehearse()

    assert answer["proven"] and saved.scratch() == []
    assert [warning.split()[0] for warning in answer.get("warnings", [])] == ([left] if left else [])


def test_the_database_of_one_that_lives_is_left_alone(saved: Vault) -> None:
    name = f"nightshift_rehearsal_{'a' * 32}"
    saved.postgres.create_database(name)
    other = pg8000.native.Connection("postgres", "127.0.0.1", name, saved.postgres.port, ssl_context=False)
    try:
        assert saved.rehearse()["proven"]
        assert saved.scratch() == [name]
    finally:
        other.close()
        saved.postgres.drop_database(name)


def test_a_database_that_is_only_called_so_is_left_alone(saved: Vault) -> None:
    """Nobody is connected to it, and it is no rehearsal's."""
    saved.postgres.create_database("nightshift_rehearsal_results")
    try:
        assert "warnings" not in saved.rehearse()
        assert saved.scratch() == ["nightshift_rehearsal_results"]
    finally:
        saved.postgres.drop_database("nightshift_rehearsal_results")


@pytest.mark.slow
@pytest.mark.parametrize("what", ["logs", "schema.sql"])
def test_an_object_that_no_restore_reads_is_altered(saved: Vault, what: str) -> None:
    (saved.house.directory / "app.log").write_text("a line\n")
    saved.env["BACKUP_LOG_DIRECTORY"] = str(saved.house.directory)
    saved.save(NEXT)
    facts = saved.manifest(NEXT_NAME)
    key = facts["logs"][0]["key"] if what == "logs" else facts["schema"]["sql"]["key"]
    body = saved.object(key, NEXT_NAME)
    saved.put(key, body[:-1] + bytes([body[-1] ^ 1]), NEXT_NAME)

    with pytest.raises(NightshiftError, match="damaged") as raised:
        saved.rehearse()

    assert key in str(raised.value)
    assert not any(one.endswith("proven.json") for one in saved.house.s3.keys(saved.house.bucket))


def test_a_backup_that_goes_while_it_is_rehearsed(saved: Vault, proxy: S3Proxy) -> None:
    """What retention has taken away meanwhile is not called proven."""

    def prune(_: Request) -> None:
        saved.remove("manifest.json")

    gone = proxy.inject(call_before(prune), method="GET", target="schema.sql")
    saved.env["AWS_ENDPOINT_URL"] = proxy.endpoint

    with pytest.raises(NightshiftError, match="there is no backup"):
        saved.rehearse()

    assert gone.fired == 1
    assert (stamped(saved), saved.scratch()) == (False, [])
