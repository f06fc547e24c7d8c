"""What the server or SQLite says is told in its own words, with the remedy that fits."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import DatabaseUnavailable, NightshiftError
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.sqlite import SqliteConnection
from tests.support.handler import run_job
from tests.support.house import House
from tests.support.login import LoginRecorder

AS_OF = {"scheduled_time": "2025-10-17T00:00:00Z"}


def _run(home: House, job: str = "feedback") -> NightshiftError:
    with pytest.raises(NightshiftError) as raised:
        run_job(job, {**home.env, "FEEDBACK_CHART": "off"}, AS_OF)
    return raised.value


def test_a_database_that_nobody_made(house: House) -> None:
    house.env["DATABASE_URL"] = house.url.rpartition("/")[0] + "/nowhere"
    error = _run(house)
    assert 'database "nowhere" does not exist' in str(error.detail)
    assert "correct the database's name" in str(error.hint)


def test_a_role_that_nobody_made(house: House) -> None:
    house.env["DATABASE_URL"] = house.url.replace("postgres@", "nobody@")
    error = _run(house)
    assert 'role "nobody" does not exist' in str(error.detail)
    assert "CREATE ROLE nobody" in str(error.hint)


def test_a_role_that_ours_is_no_member_of(house: House, guest: str) -> None:
    """It exists: to make it, as for one that does not, would be the wrong way."""
    house.sql("CREATE ROLE boss")
    try:
        database = Database(parse_database_url(house.env["DATABASE_URL"]), deadline=float("inf"))
        with closing(database), pytest.raises(NightshiftError) as raised, database.connect() as connection:
            _explained(connection, "SET ROLE boss")
        assert 'permission denied to set role "boss"' in str(raised.value.detail)
        assert "GRANT boss TO nightshift's role" in str(raised.value.hint)
        with closing(database), pytest.raises(NightshiftError) as raised, database.connect() as connection:
            _explained(connection, "SET ROLE nobody")
        assert "CREATE ROLE nobody" in str(raised.value.hint)
    finally:
        house.sql("DROP ROLE boss")


def _explained(connection: object, statement: str) -> None:
    from sqlalchemy import Connection
    from sqlalchemy.exc import DBAPIError

    from nightshift.database.connect import refused_statement

    assert isinstance(connection, Connection)
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as exc:
        raise refused_statement(exc) from exc


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        ("TABLE public.t", "GRANT SELECT on it to nightshift's role"),
        ("SELECT nextval('public.s')", "GRANT USAGE on it to nightshift's role"),
        ("SELECT public.f()", "GRANT EXECUTE on it to nightshift's role"),
        ("TABLE app.t", "GRANT USAGE on it to nightshift's role"),
        ("ALTER TABLE public.t ADD n int", "only its owner may do that: connect as the owner, or GRANT that role"),
        ("CREATE ROLE another", "see the database's log"),
    ],
)
def test_the_right_that_is_missing_is_named(house: House, guest: str, statement: str, hint: str) -> None:
    house.sql(
        "CREATE TABLE t (id int); CREATE SEQUENCE s; CREATE SCHEMA app; CREATE TABLE app.t (id int);"
        " CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f FROM PUBLIC"
    )
    database = Database(parse_database_url(house.env["DATABASE_URL"]), deadline=float("inf"))
    with closing(database), pytest.raises(NightshiftError) as raised, database.connect() as connection:
        _explained(connection, statement)
    assert re.search("permission denied|must be owner", str(raised.value.detail))
    assert str(raised.value.hint).startswith(hint)


LOGINS = [
    ("28P01", 'password authentication failed for user "app"', "check the user and the password in DATABASE_URL"),
    ("28000", 'no pg_hba.conf entry for host "10.0.0.7", user "app"', "lets this role in from here by no line of its"),
    ("53300", "sorry, too many clients already", "the server has no connection to spare: close some"),
    ("57P03", "the database system is starting up", "the server is starting or stopping; the next run"),
]


@pytest.mark.parametrize(("state", "words", "hint"), LOGINS, ids=[one[0] for one in LOGINS])
def test_a_login_that_is_refused(state: str, words: str, hint: str) -> None:
    with LoginRecorder(state, words) as server:
        url = f"postgresql://app:pw@127.0.0.1:{server.port}/main?sslmode=disable"
        for connect in (_control, _data):
            with pytest.raises(DatabaseUnavailable) as raised:
                connect(url)
            assert words in str(raised.value.detail) and hint in str(raised.value.hint)


def _control(url: str) -> None:
    with closing(Database(parse_database_url(url), deadline=float("inf"))) as database, database.connect():
        pass


def _data(url: str) -> None:
    PostgresConnection(parse_database_url(url)).close()


@pytest.mark.parametrize("how", ["database", "role"])
def test_a_read_only_database(house: House, guest: str, how: str) -> None:
    whose = f"DATABASE {house.database}" if how == "database" else f"ROLE {guest}"
    house.sql(f"ALTER {whose} SET default_transaction_read_only = on")
    error = _run(house)
    assert error.message == "the database is read-only"
    assert "SET default_transaction_read_only = off" in str(error.hint)
    assert "GRANT" not in str(error.hint)


def test_no_right_to_make_tables(house: House, guest: str) -> None:
    house.sql(
        "CREATE TABLE conversation_log (feedback text, created_at timestamptz);"
        f" GRANT SELECT ON conversation_log TO {guest}"
    )
    house.sql(f"REVOKE CREATE ON SCHEMA public FROM {guest}")
    error = _run(house)
    assert "permission denied for schema public" in str(error.detail)
    assert "or create the tables once as the owner" in str(error.hint)


def test_a_lock_table_that_is_full(house: House) -> None:
    slots = (
        "SELECT current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int"
        " + current_setting('max_prepared_transactions')::int)"
    )
    tables = 10 * int(house.value(slots))
    database = Database(parse_database_url(house.url), deadline=float("inf"))
    with closing(database), pytest.raises(NightshiftError) as raised, database.connect() as connection:
        _explained(connection, f"SELECT count(pg_advisory_xact_lock(n)) FROM generate_series(1, {tables}) n")
    assert "out of shared memory" in str(raised.value.detail)
    assert "raise max_locks_per_transaction on the server" in str(raised.value.hint)


def test_the_servers_own_hint_is_not_dropped(house: House) -> None:
    database = Database(parse_database_url(house.url), deadline=float("inf"))
    with closing(database), pytest.raises(NightshiftError) as raised, database.connect() as connection:
        _explained(connection, "SELECT lenght('a')")
    assert "lenght" in str(raised.value.detail)
    assert "No function matches" in str(raised.value.hint)


def test_a_connection_that_is_lost_in_mid_run(house: House) -> None:
    database = Database(parse_database_url(house.url), deadline=float("inf"))
    with closing(database), database.connect() as connection:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        connection.commit()
        house.sql(f"SELECT pg_terminate_backend({pid}, 60000)")
        with pytest.raises(NightshiftError) as raised:
            _explained(connection, "SELECT 1")
    assert isinstance(raised.value, DatabaseUnavailable)
    assert "connection to the database was lost" in raised.value.message
    assert "see that the server is up, and its log" in str(raised.value.hint)


def test_a_data_connection_says_what_the_server_said(house: House) -> None:
    target = parse_database_url(house.url.rpartition("/")[0] + "/nowhere")
    with pytest.raises(DatabaseUnavailable) as raised:
        PostgresConnection(target)
    assert 'database "nowhere" does not exist' in str(raised.value.detail)
    assert "correct the database's name" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("statement", "message", "hint"),
    [
        (
            "DELETE FROM public.child",
            "the database is read-only",
            "connect to the primary server (a cluster's writer endpoint)",
        ),
        (
            "DELETE FROM public.parent",
            "rows that are due are still referenced by another table",
            "archive the referencing table first, with a retention",
        ),
    ],
)
def test_what_a_data_connection_may_not_delete(house: House, statement: str, message: str, hint: str) -> None:
    house.sql("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int REFERENCES parent)")
    house.sql("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)")
    connection = PostgresConnection(parse_database_url(house.url))
    if "read-only" in message:
        connection.run_statement("SET TRANSACTION READ ONLY")
    with closing(connection), pytest.raises(NightshiftError) as raised:
        connection.run_statement(statement)
    assert (raised.value.message, hint in str(raised.value.hint)) == (message, True)


def _sqlite(home: House) -> Path:
    return Path(home.url.removeprefix("sqlite:///"))


def test_what_a_data_connection_to_sqlite_may_not_delete(sqlite_house: House) -> None:
    sqlite_house.sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    sqlite_house.sql("CREATE TABLE child (id REFERENCES parent)")
    sqlite_house.sql("INSERT INTO parent VALUES (1)")
    sqlite_house.sql("INSERT INTO child VALUES (1)")
    connection = SqliteConnection(str(_sqlite(sqlite_house)), ())
    with closing(connection), pytest.raises(NightshiftError, match="still referenced by another table") as raised:
        connection.run_statement("DELETE FROM parent")
    assert "archive the referencing table first, with a retention" in str(raised.value.hint)


@pytest.mark.slow
def test_a_sqlite_file_that_somebody_else_writes(sqlite_house: House) -> None:
    with closing(sqlite3.connect(_sqlite(sqlite_house), check_same_thread=False)) as somebody:
        somebody.execute("BEGIN EXCLUSIVE")
        error = _run(sqlite_house)
        somebody.rollback()
    assert "database is locked" in str(error)
    assert "another process is writing to the SQLite file" in str(error.hint)


def test_a_file_that_is_no_database(sqlite_house: House) -> None:
    _sqlite(sqlite_house).write_bytes(b"hello, this is no database" * 100)
    error = _run(sqlite_house)
    assert "file is not a database" in str(error)
    assert "no SQLite database" in str(error.hint)
