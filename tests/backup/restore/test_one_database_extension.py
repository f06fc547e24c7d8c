"""An extension that may be in one database of its server only, as pg_cron: the backup is proven but for it.

The server is a copy, with the extension among its own: before version 18 it looks nowhere else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from tests.backup.restore.journey import OLD
from tests.backup.restore.vault import AS_OF, NAME
from tests.conftest import POSTGRES_VERSION
from tests.support.handler import run_job
from tests.support.house import House

CONTROL = "default_version = '1.0'\nrelocatable = false\nschema = cron\ntrusted = {trusted}\n"
SCRIPT = """
DO $$ BEGIN IF current_database() <> 'service' THEN RAISE EXCEPTION 'can only create extension in database service'
  USING DETAIL = 'Jobs must be scheduled from the database configured in cron.database_name'; END IF; END $$;
CREATE TABLE cron.job (id serial PRIMARY KEY, command text);
CREATE TYPE cron.state AS ENUM ('on', 'off');
CREATE FUNCTION cron.schedule(command text) RETURNS int LANGUAGE sql
  AS 'INSERT INTO cron.job (command) VALUES ($1) RETURNING id';
"""
SAVED = """
CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100); CREATE EXTENSION pg_cronlike;
SELECT cron.schedule('select 1'); CREATE VIEW jobs AS SELECT id, command FROM cron.job; CREATE VIEW later AS TABLE jobs;
COMMENT ON VIEW jobs IS 'hangs on it'; GRANT USAGE ON SCHEMA cron TO reporter; GRANT SELECT ON jobs TO reporter
"""


@pytest.fixture(
    scope="module", params=[pytest.param("15 true", marks=pytest.mark.slow), "current true", "current false"]
)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A server with such an extension, trusted or for superusers alone; of an old and of the current version."""
    version, trusted = request.param.split()
    with tempfile.TemporaryDirectory(dir="/tmp") as place, pytest.MonkeyPatch.context() as patched:
        if version == "15":
            if not OLD.exists():
                pytest.skip("no PostgreSQL 15 here")
            patched.setenv("PG_BIN", str(OLD))
        Path(place).chmod(0o755)
        programs, extensions = copy_server(EmbeddedPostgres(POSTGRES_VERSION).psql_path.parent, Path(place))
        (extensions / "pg_cronlike.control").write_text(CONTROL.format(trusted=trusted))
        (extensions / "pg_cronlike--1.0.sql").write_text(SCRIPT)
        patched.setenv("PG_BIN", str(programs))
        with EmbeddedPostgres(POSTGRES_VERSION, settings=DISPOSABLE) as running:
            running.execute("CREATE ROLE reporter")
            running.execute("CREATE ROLE night LOGIN CREATEDB CREATEROLE PASSWORD 'night5hift'")
            yield running


def copy_server(programs: Path, place: Path) -> tuple[Path, Path]:
    """Copy a server; returns where its programs and its extensions are.

    It finds its files by the way that leads there from its programs: in Debian's packages by way of /usr.
    """
    installed = programs.parent
    above, paths = installed.parent.parent, [installed, *installed.parent.parent.glob("*.libs")]
    if programs == OLD:
        above, paths = Path("/"), [installed, Path("/usr/share/postgresql") / installed.name]
    for path in paths:
        shutil.copytree(path, place / path.relative_to(above), symlinks=True)
    (extensions,) = (found.parent for found in place.rglob("plpgsql.control"))
    return place / programs.relative_to(above), extensions


@pytest.fixture
def saved(house: House, server: EmbeddedPostgres) -> Iterator[House]:
    server.drop_database("service")
    built = House(
        {**house.env, "DATABASE_URL": server.create_database("service")}, house.s3, house.slack, house.directory
    )
    built.sql(f"{SAVED}; GRANT pg_read_all_data TO night; GRANT CREATE, USAGE ON SCHEMA public TO night")
    yield built
    built.close()


def save(house: House) -> None:
    assert run_job("backup", house.env, {"scheduled_time": AS_OF})["status"] == "ok"


def as_night(house: House) -> None:
    house.env["DATABASE_URL"] = house.url.replace("postgres@", "night:night5hift@")


def told(answer: dict[str, Any]) -> str:
    """What is said of it: the script's words, or that a role without rights may not make it."""
    words = ("can only create extension in database service", "permission denied to create extension")
    found = [one for one in answer["environment"] if any(said in one for said in words)]
    assert len(found) == 1, answer
    return str(found[0])


@pytest.mark.fast_cases("current true-night")
@pytest.mark.parametrize("role", ["night", "postgres"])
def test_proven_but_for_it(saved: House, role: str) -> None:
    if role == "night":
        as_night(saved)
    save(saved)

    answer = run_job("rehearse", saved.env, {})

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, []), answer
    assert "extension pg_cronlike" in told(answer) and "view public.jobs" in told(answer)
    assert "view public.later" in told(answer) and "아래 항목을 제외하고" in saved.slack.messages[-1].seen


@pytest.mark.fast_cases("true")
def test_restored_but_for_it(saved: House, server: EmbeddedPostgres) -> None:
    save(saved)
    server.drop_database("copy")
    env = {**saved.env, "RESTORE_DATABASE_URL": server.create_database("copy")}

    answer = run_job("restore_backup", env, {"backup": NAME})

    assert (answer["status"], answer["differences"]) == ("ok", []), answer["differences"]
    assert "extension pg_cronlike" in told(answer)
    assert server.execute("SELECT count(*) FROM t", "copy") == [(100,)]


@pytest.mark.fast_cases("true")
def test_rows_that_need_it_are_not_proven(saved: House) -> None:
    """A table with its type cannot be made: a proof without its rows would be none, and the cause is named."""
    saved.sql("CREATE TABLE typed (s cron.state); INSERT INTO typed VALUES ('on')")
    save(saved)

    answer = run_job("rehearse", saved.env, {})

    assert (answer["status"], answer["proven"]) == ("partial", False)
    (said,) = answer["differences"]
    assert said.startswith("public.typed: it does not exist (extension pg_cronlike: ")
