"""pg_dump through the tunnel: TLS is verified as the control plane verifies it, and a login by SCRAM goes through."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from local.postgres import EmbeddedPostgres
from nightshift.backup import tls_proxy
from nightshift.backup.pg_tools import PgTools, find_pg_tools
from nightshift.backup.schema import SchemaRestore, dump_schema, schema_sql
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget, parse_database_url
from nightshift.errors import DatabaseUnavailable
from tests.support.login import LoginRecorder
from tests.support.tls import Authority, tls_postgres

PASSWORD = "hunter2-%41-'correct horse"
AUTHORITY = Authority.create("an authority")
ENCRYPTED_SCRAM = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl all all ::1/128 scram-sha-256\n"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that is called `localhost`; the database `app` with a table."""
    with tls_postgres(AUTHORITY, "localhost") as running:
        running.create_database("app")
        running.execute("CREATE TABLE t (a int PRIMARY KEY)", "app")
        yield running


@pytest.fixture
def root_cert(tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(AUTHORITY.pem())
    return path


@pytest.fixture
def scram(server: EmbeddedPostgres) -> Iterator[None]:
    """Whoever comes over TCP has to prove that they know the password, over TLS alone."""
    ((path,),) = server.execute("SHOW hba_file")
    hba = Path(str(path))
    before = hba.read_bytes()
    server.execute("ALTER ROLE postgres PASSWORD '" + PASSWORD.replace("'", "''") + "'")
    hba.write_text(ENCRYPTED_SCRAM)
    os.kill(server.pid, signal.SIGHUP)
    yield
    hba.write_bytes(before)
    os.kill(server.pid, signal.SIGHUP)


def client() -> PgTools:
    found = find_pg_tools(None, 15)
    assert found is not None
    return found


def target(server: EmbeddedPostgres, query: str, host: str = "localhost", *, database: str = "app") -> DatabaseTarget:
    url = f"postgresql://postgres@{host}:{server.port}/{database}?{query}"
    return parse_database_url(url, password=lambda: PASSWORD)


def tables(where: DatabaseTarget) -> int:
    return saved_sql(client(), where).count(b"CREATE TABLE public.t ")


def saved_sql(tools: PgTools, where: DatabaseTarget) -> bytes:
    archive, _ = dump_schema(tools, where, seconds=60)
    return schema_sql(tools, archive, seconds=60)


def test_modes_that_hold(server: EmbeddedPostgres, root_cert: Path) -> None:
    for query, host in (
        (f"sslmode=verify-full&sslrootcert={root_cert}", "localhost"),
        (f"sslmode=verify-ca&sslrootcert={root_cert}", "127.0.0.1"),
        ("sslmode=require", "127.0.0.1"),
        ("sslmode=prefer", "127.0.0.1"),
        ("sslmode=disable", "127.0.0.1"),
    ):
        assert tables(target(server, query, host)) == 1


@pytest.mark.parametrize("case", ["another authority", "another name", "the public authorities"])
def test_what_does_not_hold_is_refused(server: EmbeddedPostgres, root_cert: Path, case: str) -> None:
    query = f"sslmode=verify-full&sslrootcert={root_cert}"
    if case == "another authority":
        root_cert.write_bytes(Authority.create("an authority").pem())
    if case == "the public authorities":
        query = "sslmode=verify-full"

    with pytest.raises(DatabaseUnavailable) as raised:
        tables(target(server, query, "127.0.0.1" if case == "another name" else "localhost"))

    assert "certificate" in str(raised.value.detail) or "match" in str(raised.value.detail)
    assert PASSWORD not in str(raised.value)


def test_a_root_certificate_that_is_not_there(server: EmbeddedPostgres, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="tunnel") as raised:
        tables(target(server, f"sslmode=verify-full&sslrootcert={tmp_path}/none.pem"))
    assert "check sslrootcert in the URL" in str(raised.value.hint)


def test_a_directory_for_temporary_files_with_a_long_path(
    server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Unix socket's path has 107 bytes at the most."""
    (tmp_path / ("long" * 25)).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 25)))
    with pytest.raises(DatabaseUnavailable, match="AF_UNIX path too long") as raised:
        tables(target(server, "sslmode=require", "127.0.0.1"))
    assert "TMPDIR must be writable and its path short" in str(raised.value.hint)


@pytest.mark.usefixtures("scram")
def test_a_login_by_scram(server: EmbeddedPostgres, root_cert: Path) -> None:
    """The server offers to bind the login to its TLS, which a client in front of a tunnel could not."""
    query = f"sslmode=verify-full&sslrootcert={root_cert}"

    assert tables(target(server, query)) == 1
    with pytest.raises(DatabaseUnavailable) as raised:
        tables(replace(target(server, query), password=lambda: "wrong"))

    assert "password authentication failed" in str(raised.value.detail)
    with pytest.raises(DatabaseUnavailable, match="no encryption"):
        tables(target(server, "sslmode=disable"))


def test_several_connections_at_once(server: EmbeddedPostgres, root_cert: Path) -> None:
    query = f"sslmode=verify-full&sslrootcert={root_cert}"
    archive = dump_schema(client(), target(server, query), seconds=60)[0]
    server.create_database("copy")
    restored = target(server, query, database="copy")
    schema = SchemaRestore(client(), Database(restored, deadline=time.monotonic() + 60), archive)

    schema.restore_pre_data()
    assert schema.restore_post_data(jobs=4) == ()

    assert b"t_pkey" in saved_sql(client(), restored)


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_a_server_without_tls_is_refused(postgres: EmbeddedPostgres, mode: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="does not speak TLS"):
        dump_schema(client(), target(postgres, f"sslmode={mode}", "127.0.0.1", database="postgres"), seconds=60)


def test_a_server_without_tls_is_taken_where_tls_is_only_preferred(postgres: EmbeddedPostgres) -> None:
    found = find_pg_tools(None, 18)
    assert found is not None
    where = target(postgres, "sslmode=prefer", "127.0.0.1", database="postgres")
    assert b"PostgreSQL database dump" in saved_sql(found, where)


@contextmanager
def slipped_in(extra: bytes) -> Iterator[int]:
    """A port behind which somebody answers for the server, and sends more than the one byte."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(8)
                connection.sendall(b"S" + extra)
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def test_bytes_that_are_slipped_in_before_tls_begins_are_never_the_servers() -> None:
    ready = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"
    with slipped_in(ready) as port:
        where = parse_database_url(f"postgresql://postgres@127.0.0.1:{port}/x?sslmode=require")
        with pytest.raises(DatabaseUnavailable):
            dump_schema(client(), where, seconds=30)


def test_the_socket_is_ours_alone_and_gone_afterwards(server: EmbeddedPostgres, root_cert: Path) -> None:
    where = target(server, f"sslmode=verify-full&sslrootcert={root_cert}")
    with tls_proxy.pg_environment(where) as variables:
        directory = Path(variables["PGHOST"])
        assert directory.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in directory.iterdir()] == [f".s.PGSQL.{server.port}"]
    assert not directory.exists()


def test_the_password_goes_by_the_environment() -> None:
    with LoginRecorder() as recorder:
        where = parse_database_url(f"postgresql://u@127.0.0.1:{recorder.port}/d", password=lambda: PASSWORD)
        with pytest.raises(DatabaseUnavailable, match="password authentication failed") as raised:
            dump_schema(client(), where, seconds=30)

    assert set(recorder.passwords) == {PASSWORD}
    assert PASSWORD not in str(raised.value)


def test_the_offer_without_the_bound_mechanism() -> None:
    """AuthenticationSASL, as PostgreSQL's manual has it: names, each ended by a zero, and one more zero."""
    both = b"\0\0\0\nSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    assert tls_proxy._unbound(both) == b"\0\0\0\nSCRAM-SHA-256\0\0"
