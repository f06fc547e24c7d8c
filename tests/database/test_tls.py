"""TLS for real: both planes verify what they are told to verify, and refuse what does not hold."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from local.postgres import EmbeddedPostgres
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget, parse_database_url
from nightshift.errors import DatabaseUnavailable
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import TransactionLimits
from tests.support.house import House
from tests.support.tls import Authority, tls_postgres

PASSWORD = "hunter2-correct-horse"
ENCRYPTED = "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
"""pg8000 drops the socket of a failed handshake unclosed."""

AUTHORITY = Authority.create("an authority")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that is called `localhost`."""
    with tls_postgres(AUTHORITY, "localhost") as running:
        yield running


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Dropped sockets are found here, not in somebody else's test."""
    yield
    gc.collect()


@pytest.fixture
def root_cert(tmp_path: Path) -> Path:
    path = tmp_path / "root.pem"
    path.write_bytes(AUTHORITY.pem())
    return path


def over_the_control_plane(target: DatabaseTarget) -> bool:
    """Returns whether the connection is encrypted."""
    with Database(target, deadline=time.monotonic() + 60).connect() as connection:
        return bool(connection.execute(text(ENCRYPTED)).scalar())


def over_the_data_plane(target: DatabaseTarget) -> bool:
    connection = PostgresConnection(target)
    try:
        rows = connection.read_table(
            ENCRYPTED, TransactionLimits(seconds=60, lock_seconds=1, bytes=1 << 20, stop=lambda: False)
        )
        return bool(rows.column(0)[0].as_py())
    finally:
        connection.close()


PLANES = pytest.mark.parametrize("encrypted", [over_the_control_plane, over_the_data_plane])
Plane = Callable[[DatabaseTarget], bool]


def target(server: EmbeddedPostgres, query: str, host: str = "localhost") -> DatabaseTarget:
    return parse_database_url(f"postgresql://postgres:{PASSWORD}@{host}:{server.port}/postgres?{query}")


@PLANES
def test_modes_that_hold(server: EmbeddedPostgres, root_cert: Path, encrypted: Plane) -> None:
    assert encrypted(target(server, f"sslmode=verify-full&sslrootcert={root_cert}"))
    assert encrypted(target(server, f"sslmode=verify-ca&sslrootcert={root_cert}", host="127.0.0.1"))
    assert encrypted(target(server, "sslmode=require", host="127.0.0.1"))
    assert encrypted(target(server, "sslmode=prefer"))
    assert not encrypted(target(server, "sslmode=disable"))


@PLANES
@pytest.mark.parametrize("case", ["another authority", "another name", "the public authorities", "no such file"])
def test_what_does_not_hold_is_refused(server: EmbeddedPostgres, root_cert: Path, encrypted: Plane, case: str) -> None:
    query = f"sslmode=verify-full&sslrootcert={root_cert}"
    host = "127.0.0.1" if case == "another name" else "localhost"
    if case == "another authority":
        root_cert.write_bytes(Authority.create("an authority").pem())
    if case == "the public authorities":
        query = "sslmode=verify-full"
    if case == "no such file":
        root_cert.unlink()

    with pytest.raises(DatabaseUnavailable) as raised:
        encrypted(target(server, query, host))

    assert PASSWORD not in str(raised.value)
    assert f"{host}:{server.port}/postgres" in str(raised.value.detail)


@PLANES
@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_without_tls_is_refused(
    postgres: EmbeddedPostgres, root_cert: Path, encrypted: Plane, mode: str
) -> None:
    """Not fallen back to, as the drivers would by themselves."""
    with pytest.raises(DatabaseUnavailable):
        encrypted(target(postgres, f"sslmode={mode}&sslrootcert={root_cert}"))


def test_a_whole_run(server: EmbeddedPostgres, root_cert: Path, sqlite_house: House) -> None:
    plain, env = server.create_database("app"), dict(sqlite_house.env)
    env["DATABASE_URL"] = plain
    house = House(env, sqlite_house.s3, sqlite_house.slack, sqlite_house.directory)
    house.sql("CREATE TABLE conversation_log (id int, created_at timestamptz)")
    house.sql("INSERT INTO conversation_log VALUES (1, '2025-01-01')")
    house.close()
    env["DATABASE_URL"] = plain.replace("127.0.0.1", "localhost") + f"?sslmode=verify-full&sslrootcert={root_cert}"

    assert house.run_table()["archived_rows"] == 1

    root_cert.write_bytes(Authority.create("another").pem())
    with pytest.raises(DatabaseUnavailable):
        house.run()
