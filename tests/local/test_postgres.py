"""The embedded PostgreSQL starts anywhere, restarts, and leaves nothing behind however its owner ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres, LocalServerError
from tests.support.child import IMPORT_PATH

OWNER = """
import sys
from local.postgres import EmbeddedPostgres
with EmbeddedPostgres() as server:
    print(server.pid, server.socket_directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A process that owns a server, until its stdin closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(IMPORT_PATH)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_behind_however_the_owner_ends(owner: subprocess.Popen[str], how: signal.Signals) -> None:
    assert owner.stdout is not None and owner.stderr is not None
    pid, directory = owner.stdout.readline().split()
    assert running(int(pid)) and Path(directory, "data", "PG_VERSION").exists()

    owner.send_signal(how)
    owner.stderr.read()  # the guardian holds the other end: end of file means that it has gone too

    assert not running(int(pid))
    assert not Path(directory).exists()


@pytest.mark.parametrize("version", [16, 18])
def test_both_versions_start_with_an_empty_environment_for_psql(version: int) -> None:
    with EmbeddedPostgres(version, settings=DISPOSABLE) as server:
        shown = subprocess.run(
            [server.psql_path, server.url, "-XAtc", "show server_version; show server_encoding; show fsync"],
            env={},
            capture_output=True,
            text=True,
            check=True,
        )
    assert shown.stdout.split("\n")[0].startswith(f"{version}.")
    assert shown.stdout.split("\n")[1:] == ["UTF8", "off", ""]


def test_restart_keeps_the_port_and_committed_rows() -> None:
    with EmbeddedPostgres(settings=DISPOSABLE) as server:
        server.execute("CREATE TABLE kept (id int)")
        server.execute("INSERT INTO kept VALUES (1)")
        before = server.pid, server.url
        server.restart()
        assert server.pid != before[0]
        assert server.url == before[1]
        assert server.execute("SELECT id FROM kept") == [(1,)]


def test_data_in_a_directory_of_ones_own_outlive_the_server(tmp_path: Path) -> None:
    home = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own directories are closed to the server's user
    home.chmod(0o755)
    try:
        with EmbeddedPostgres(directory=home / "data") as server:
            server.execute("CREATE TABLE kept AS SELECT 1 AS id")
        with EmbeddedPostgres(directory=home / "data") as server:
            assert server.execute("SELECT id FROM kept") == [(1,)]
    finally:
        shutil.rmtree(home)


def test_databases_are_copied_and_dropped_while_in_use(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("original")
    postgres.execute("CREATE TABLE t AS SELECT 7 AS id", "original")
    url = postgres.create_database('a "copy"', template="original", strategy="file_copy")
    assert url.endswith('/a "copy"')
    assert postgres.execute("SELECT id FROM t", 'a "copy"') == [(7,)]
    postgres.drop_database("original")
    postgres.drop_database('a "copy"')
    names = {name for (name,) in postgres.execute("SELECT datname FROM pg_database")}
    assert not names & {"original", 'a "copy"'}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_binaries_below_a_closed_directory_are_copied_to_where_the_server_can_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres
) -> None:
    wheel = postgres.psql_path.parents[2]
    closed = tmp_path / "closed"
    shutil.copytree(wheel / "pginstall18", closed / wheel.name / "pginstall18", symlinks=True)
    shutil.copytree(f"{wheel}.libs", closed / f"{wheel.name}.libs", symlinks=True)
    closed.chmod(0o700)
    monkeypatch.setenv("PG_BIN", str(closed / wheel.name / "pginstall18" / "bin"))
    with EmbeddedPostgres(settings=DISPOSABLE) as server:
        assert server.execute("SELECT 1") == [(1,)]


def test_a_server_that_does_not_start_is_an_error_with_its_log() -> None:
    with (
        pytest.raises(LocalServerError, match='unrecognized configuration parameter "no_such_setting"'),
        EmbeddedPostgres(settings={"no_such_setting": "1"}),
    ):
        raise AssertionError("it started")


def test_a_directory_without_postgresql_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(LocalServerError, match="initdb, postgres, psql"):
        EmbeddedPostgres()
