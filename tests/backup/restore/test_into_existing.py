"""Into a hosted database that is not quite empty: refused on any collision, all of it restored otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from nightshift.errors import InvalidEvent
from tests.backup.restore.journey import Journey, journey, servers
from tests.backup.restore.vault import NAME
from tests.support.handler import run_job

__all__ = ["journey", "servers"]

SAVED = """
CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('a', 'b');
CREATE TABLE app.goods (id serial PRIMARY KEY, m app.mood);
INSERT INTO app.goods (m) SELECT 'a' FROM generate_series(1, 40);
CREATE TABLE public.events (a int PRIMARY KEY, b text); INSERT INTO events SELECT i, 'e' FROM generate_series(1, 30) i;
CREATE FUNCTION app.f(n int, t text DEFAULT '') RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n';
CREATE VIEW app.seen AS SELECT id FROM app.goods; CREATE INDEX goods_m ON app.goods (m)
"""

HOSTED = (
    "CREATE SCHEMA auth",
    "CREATE TABLE auth.users (id int PRIMARY KEY, secret text)",
    "INSERT INTO auth.users VALUES (1, 'hush')",
    "CREATE TABLE public.theirs (a int)",
    "INSERT INTO public.theirs VALUES (7)",
    "CREATE FUNCTION public.uid() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COMMENT ON DATABASE copy IS 'hosted'",
    "CREATE SCHEMA app",
    "COMMENT ON SCHEMA app IS 'the host''s own'",
    "CREATE FUNCTION app.f(n text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "GRANT CREATE, USAGE ON SCHEMA public, app TO night",
)
"""What a host has put there; the role may read nothing of it."""


def hosted(journey: Journey, *more: str) -> dict[str, str]:
    """The environment of a restore into such a database."""
    journey.away.execute("CREATE DATABASE copy TEMPLATE template0")
    for statement in (*HOSTED, *more):
        journey.away.execute(statement, "copy")
    url = journey.away.url_of("copy").replace("postgres@", "night@")
    return {**journey.house.env, "RESTORE_DATABASE_URL": url}


def bring(env: dict[str, str], **event: Any) -> dict[str, Any]:
    return run_job("restore_backup", env, {"backup": NAME, "into_existing": True, **event})


def test_beside_what_is_there(journey: Journey) -> None:
    journey.save(f"{SAVED}; COMMENT ON DATABASE service IS 'ours'")
    env = hosted(journey)

    planned = bring(env, dry_run=True)
    answer = bring(env, owners=False)

    assert (planned["status"], planned["rows"]) == ("dry_run", answer["rows"])
    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    for table in ("app.goods", "public.events"):
        assert journey.same(f"SELECT count(*), sum(hashtext(t::text)::bigint) FROM {table} t")
    assert journey.there("SELECT count(*), nextval('app.goods_id_seq') FROM app.seen") == [(40, 41)]
    assert journey.there("SELECT * FROM auth.users") == [(1, "hush")] and journey.there("TABLE theirs") == [(7,)]
    assert journey.there("SELECT obj_description('app'::regnamespace)") == [("the host's own",)]
    described = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'copy'"
    assert journey.there(described) == [("hosted",)]
    assert any("there before, and left as they were" in one and "schema app" in one for one in answer["environment"])


@pytest.mark.fast_cases("VIEW public.events", "TABLE app.goods")
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE app.goods (a int)", "table app.goods"),
        ("CREATE VIEW public.events AS SELECT 1 AS a", "table public.events"),
        ("CREATE TYPE public.events AS ENUM ('x')", "table public.events"),
        ("CREATE DOMAIN app.mood AS int", "type app.mood"),
        (
            "CREATE FUNCTION app.f(x int, y text) RETURNS text LANGUAGE sql AS 'SELECT y'",
            "function app.f(integer, text)",
        ),
        ("CREATE SEQUENCE app.goods_m", "index app.goods_m"),
        ("CREATE MATERIALIZED VIEW app.goods_id_seq AS SELECT 1", "sequence app.goods_id_seq"),
        ("CREATE TABLE public.nightshift_run (a int)", "table public.nightshift_run"),
        ("ALTER DATABASE copy SET work_mem = '5MB'", "setting work_mem"),
    ],
)
def test_what_collides_is_named_and_nothing_is_touched(journey: Journey, statement: str, named: str) -> None:
    journey.save(f"{SAVED}; ALTER DATABASE service SET work_mem = '9MB'")
    env = hosted(journey, statement)
    before = journey.dumped(journey.away.url_of("copy"))

    answer = bring(env)

    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "collision")
    assert answer["refusal"]["message"] == f"the database has these already: {named}"
    assert "rename, drop or (settings) RESET them" in answer["refusal"]["hint"]
    assert journey.dumped(journey.away.url_of("copy")) == before
    assert named in journey.house.slack.messages[-1].seen
    assert bring(env, dry_run=True)["status"] == "refused"


def test_without_being_asked_it_is_refused(journey: Journey) -> None:
    journey.save(SAVED)
    refusal = bring(hosted(journey), into_existing=False)["refusal"]
    assert refusal["guard"] == "not_empty" and "--into-existing" in refusal["hint"]


def test_an_extension_that_is_there(journey: Journey) -> None:
    """It may lie in another schema than it did; what depends on it finds it."""
    known = "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'hstore', 'citext') ORDER BY 1 LIMIT 1"
    found = journey.home.execute(known)
    if not found:
        pytest.skip("the server has no extension with a type")
    ((name,),) = found
    value = {"vector": "'[1,2]'", "hstore": "'a=>1'", "citext": "'A'"}[str(name)]
    journey.save(f"{SAVED}; CREATE EXTENSION {name}; CREATE TABLE typed (v {name}); INSERT INTO typed VALUES ({value})")

    answer = bring(hosted(journey, f"CREATE EXTENSION {name}"), owners=False)

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    assert journey.same("SELECT v::text FROM typed")
    assert any(f"extension {name}" in one for one in answer["environment"])


def test_one_table_alone_asks_for_no_leave(journey: Journey) -> None:
    journey.save(SAVED)
    with pytest.raises(InvalidEvent, match="into_existing is for a whole backup") as raised:
        bring(hosted(journey), table="app.goods")
    assert "leave it out: a table alone goes into any database" in str(raised.value.hint)
