"""A database on one server, its backup, and another server that has nothing of what the first one has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.postgres import DISPOSABLE, EmbeddedPostgres
from tests.backup.restore.vault import AS_OF, NAME
from tests.conftest import POSTGRES_VERSION
from tests.support.handler import run_job
from tests.support.house import House

OLD = Path("/usr/lib/postgresql/15/bin")

ROLES = ("app", "authenticated", "anon", "reporter", "granter")

RICH = """
CREATE SCHEMA shop AUTHORIZATION app; GRANT USAGE ON SCHEMA shop TO anon, reporter;
CREATE TABLE shop.goods (id serial PRIMARY KEY, price int CHECK (price > 0), owner_name text);
CREATE INDEX goods_price ON shop.goods (price);
INSERT INTO shop.goods (price, owner_name) SELECT i, '이름 ' || i FROM generate_series(1, 300) i;
ALTER TABLE shop.goods OWNER TO app; ALTER TABLE shop.goods ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON shop.goods FOR SELECT TO authenticated, anon USING (price < 200);
CREATE POLICY own ON shop.goods AS RESTRICTIVE TO authenticated USING (owner_name = current_user);
CREATE POLICY everyone ON shop.goods USING (true);
GRANT SELECT ON shop.goods TO anon; GRANT INSERT (price), UPDATE ON shop.goods TO reporter WITH GRANT OPTION;
CREATE TABLE plain (a int PRIMARY KEY, b text); INSERT INTO plain SELECT i, 'row ' || i FROM generate_series(1, 200) i;
ALTER TABLE plain OWNER TO app; GRANT SELECT ON plain TO reporter;
CREATE TABLE "odd "" TO x" (a int); INSERT INTO "odd "" TO x" VALUES (1); GRANT SELECT ON "odd "" TO x" TO reporter;
CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
ALTER FUNCTION shop.twice(int) OWNER TO app; REVOKE ALL ON FUNCTION shop.twice(int) FROM PUBLIC;
CREATE VIEW shop.cheap AS SELECT id, price FROM shop.goods WHERE price < 10; ALTER VIEW shop.cheap OWNER TO app;
CREATE TYPE shop.mood AS ENUM ('a', 'b'); ALTER TYPE shop.mood OWNER TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA shop GRANT SELECT ON TABLES TO reporter;
ALTER DEFAULT PRIVILEGES FOR ROLE app GRANT EXECUTE ON FUNCTIONS TO anon
"""
"""Owners, grants, policies and default privileges in each of their shapes."""


@pytest.fixture(scope="module", params=[pytest.param("15", marks=pytest.mark.slow), "current"])
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[EmbeddedPostgres, EmbeddedPostgres]]:
    """The server that is backed up, with roles, and another one without any, of an old and of the current version."""
    with pytest.MonkeyPatch.context() as patched:
        if request.param == "15":
            if not OLD.exists():
                pytest.skip("no PostgreSQL 15 here")
            patched.setenv("PG_BIN", str(OLD))
        with (
            EmbeddedPostgres(POSTGRES_VERSION, settings=DISPOSABLE) as home,
            EmbeddedPostgres(POSTGRES_VERSION, settings=DISPOSABLE) as away,
        ):
            for role in ROLES:
                home.execute(f"CREATE ROLE {role}")
            away.execute("CREATE ROLE night LOGIN CREATEDB CREATEROLE")
            yield home, away


class Journey:
    """A database on one server, its backup, and another server."""

    def __init__(self, house: House, home: EmbeddedPostgres, away: EmbeddedPostgres) -> None:
        home.drop_database("service")
        away.drop_database("copy")
        for (role,) in away.execute(f"SELECT CAST(rolname AS text) FROM pg_roles WHERE rolname IN {ROLES}"):
            away.execute(f"DROP ROLE {role}")
        self.home = home
        self.away = away
        self.house = House(
            {**house.env, "DATABASE_URL": home.create_database("service")}, house.s3, house.slack, house.directory
        )

    def save(self, statements: str) -> None:
        self.house.sql(statements)
        answer = run_job("backup", self.house.env, {"scheduled_time": AS_OF})
        assert answer["status"] == "ok", answer

    def bring(self, role: str, **event: object) -> dict[str, Any]:
        """Restore into a database of the other server that the role owns."""
        self.away.execute(f"CREATE DATABASE copy OWNER {role} TEMPLATE template0")
        url = self.away.url_of("copy").replace("postgres@", f"{role}@")
        env = {**self.house.env, "RESTORE_DATABASE_URL": url}
        return run_job("restore_backup", env, {"backup": NAME, **event})

    def rehearse(self, role: str) -> dict[str, Any]:
        """Rehearse on the other server."""
        env = {**self.house.env, "REHEARSE_DATABASE_URL": self.away.url.replace("postgres@", f"{role}@")}
        return run_job("rehearse", env, {})

    def there(self, sql: str) -> list[tuple[object, ...]]:
        return self.away.execute(sql, "copy")

    def same(self, sql: str) -> bool:
        """Returns whether a query has one answer on both sides."""
        return self.there(sql) == self.house.sql(sql)

    def dumped(self, url: str) -> set[str]:
        """What pg_dump says, a statement's line each."""
        pg_dump = self.home.psql_path.with_name("pg_dump")
        command = [str(pg_dump), "--schema-only", "--exclude-table=nightshift_*", url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET "))}


@pytest.fixture
def journey(house: House, servers: tuple[EmbeddedPostgres, EmbeddedPostgres]) -> Iterator[Journey]:
    built = Journey(house, *servers)
    yield built
    built.house.close()
