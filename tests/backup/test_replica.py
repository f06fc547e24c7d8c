"""A backup that is read from a hot standby; nightshift's own tables are on the primary."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from nightshift.errors import DatabaseUnavailable, InvalidSettings
from tests.conftest import POSTGRES_VERSION
from tests.support.backups import BackupHouse
from tests.support.handler import run_job
from tests.support.house import House

OLD = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="module", params=[pytest.param("15", marks=pytest.mark.slow), "current"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """A primary and its standby, of an old and of the current version."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "15":
            if not OLD.exists():
                pytest.skip("no PostgreSQL 15 here")
            patched.setenv("PG_BIN", str(OLD))
        own, data = (Path("/tmp") / f"nightshift-{name}-{os.getpid()}-{request.param}" for name in ("main", "standby"))
        try:
            with EmbeddedPostgres(POSTGRES_VERSION, directory=own, settings=DISPOSABLE) as primary:
                copy = primary.psql_path.with_name("pg_basebackup")
                subprocess.run([copy, "-D", data, "-R", "-c", "fast", "-d", primary.url], check=True)
                give_to_server(data)
                with EmbeddedPostgres(POSTGRES_VERSION, directory=data, settings=DISPOSABLE) as standby:
                    yield primary, standby
        finally:
            for directory in (own, data):
                shutil.rmtree(directory, ignore_errors=True)


def give_to_server(data: Path) -> None:
    """To the user that the server runs as where we are root."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        for path in (data, *data.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)


@pytest.fixture
def replicated(house: House, cluster: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> Iterator[BackupHouse]:
    """A deployment on the primary, whose rows are read from the standby."""
    primary, standby = cluster
    primary.drop_database("service")
    env = {**house.env, "DATABASE_URL": primary.create_database("service")}
    built = BackupHouse(
        {**env, "BACKUP_REPLICA_HOST": f"127.0.0.1:{standby.port}"}, house.s3, house.slack, house.directory
    )
    built.sql(
        "CREATE TABLE t (a serial PRIMARY KEY, b text); INSERT INTO t (b) SELECT 'x' FROM generate_series(1, 500)"
    )
    replay(primary, standby)
    yield built
    built.close()


def replay(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
    ((wanted,),) = primary.execute("SELECT CAST(pg_current_wal_insert_lsn() AS text)")
    while standby.execute(f"SELECT pg_last_wal_replay_lsn() < '{wanted}'") != [(False,)]:
        time.sleep(0.02)


@pytest.mark.slow
def test_rows_come_from_the_standby(
    replicated: BackupHouse, cluster: tuple[EmbeddedPostgres, EmbeddedPostgres]
) -> None:
    primary, standby = cluster
    standby.execute("SELECT pg_wal_replay_pause()")
    try:
        replicated.sql("INSERT INTO t (b) SELECT 'late' FROM generate_series(1, 7)")
        planned = replicated.run(dry_run=True)
        answer = replicated.run()
    finally:
        standby.execute("SELECT pg_wal_replay_resume()")

    manifest = replicated.manifest()
    entry = manifest.find_table("public.t")
    assert planned["status"] == "dry_run"
    assert (answer["status"], answer.get("missing", [])) == ("ok", []), answer
    assert entry is not None and (entry.rows, replicated.saved(entry).num_rows) == (500, 500), "the standby's, not ours"
    assert manifest.replayed_at is not None and manifest.replayed_at <= manifest.groups[0].snapshot_time
    (said,) = answer["warnings"]
    assert said.startswith("rows were read from a standby, whose last replayed transaction was committed at ")
    assert replicated.value("SELECT count(*) FROM nightshift_run WHERE status = 'ok'") == 1
    assert run_job("rehearse", replicated.env, {})["proven"]
    replay(primary, standby)


def test_a_host_that_is_another_cluster(replicated: BackupHouse, postgres: EmbeddedPostgres) -> None:
    postgres.drop_database("service")
    postgres.create_database("service")
    replicated.env["BACKUP_REPLICA_HOST"] = f"127.0.0.1:{postgres.port}"
    try:
        with pytest.raises(InvalidSettings, match="is no replica of DATABASE_URL's server") as raised:
            replicated.run()
        assert "name a standby of the same cluster" in str(raised.value.hint)
    finally:
        postgres.drop_database("service")
    assert replicated.s3.keys(replicated.bucket) == []


def test_a_standby_as_the_database(replicated: BackupHouse, cluster: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> None:
    """The history cannot be written there; the refusal says what to do."""
    _, standby = cluster
    replicated.env["DATABASE_URL"] = standby.url_of("service")
    with pytest.raises(DatabaseUnavailable, match="read-only") as raised:
        replicated.run()
    assert "BACKUP_REPLICA_HOST" in str(raised.value.hint)
    assert replicated.s3.keys(replicated.bucket) == []


def test_a_standby_that_is_down(replicated: BackupHouse) -> None:
    replicated.env["BACKUP_REPLICA_HOST"] = "127.0.0.1:1"
    with pytest.raises(DatabaseUnavailable, match="could not be reached"):
        replicated.run()
