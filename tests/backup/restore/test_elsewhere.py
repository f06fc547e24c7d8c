"""A backup is restored and rehearsed where roles, tablespaces, extensions, owners and encodings are others.

Whatever can come back does; what cannot is told once, as the server's, and the proof says what it does not cover. The
role is that of a managed server: no superuser, CREATEDB and CREATEROLE or less, not the owner of `public`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backup.restore.journey import RICH, ROLES, Journey, journey, servers
from tests.backup.restore.vault import NAME
from tests.support.handler import run_job

__all__ = ["journey", "servers"]

CONTENT = "SELECT count(*), sum(hashtext(t::text)::bigint) FROM {table} t"


def has_rows(journey: Journey) -> bool:
    return all(journey.same(CONTENT.format(table=one)) for one in ("shop.goods", "plain", '"odd "" TO x"'))


def sentences(answer: dict[str, Any]) -> str:
    found = answer["environment"]
    assert isinstance(found, list)
    assert len(found) == len(set(found))
    return "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["postgres", "night"])
def test_roles_that_do_not_exist(journey: Journey, role: str) -> None:
    journey.save(RICH)

    answer = journey.bring(role)

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    assert has_rows(journey)
    said = sentences(answer)
    for gone in ("anon", "app", "authenticated", "reporter"):
        assert said.count(f"role {gone} does not exist here") == 1, said
    assert "policy shop.goods seen" in said and "policy shop.goods own" in said and "default privileges" in said
    policies = "SELECT CAST(polname AS text) FROM pg_policy ORDER BY 1"
    assert journey.there(policies) == [("everyone",)]
    assert journey.same("SELECT relrowsecurity FROM pg_class WHERE relname = 'goods'")
    assert journey.same("SELECT has_function_privilege('public', 'shop.twice(int)', 'EXECUTE')")

    proven = journey.rehearse(role)
    assert (proven["status"], proven["proven"], proven["differences"]) == ("ok", True, [])
    stamp = json.loads(
        journey.house.s3.client()
        .get_object(Bucket=journey.house.bucket, Key=f"backup/{NAME}/proven.json")["Body"]
        .read()
    )
    assert [one for one in stamp["but_for"] if not one.startswith("the backup does not hold")] == proven["environment"]
    assert "role anon does not exist here" in str(stamp["but_for"])


@pytest.mark.slow
def test_some_roles_of_a_policy(journey: Journey) -> None:
    journey.away.execute("CREATE ROLE anon")
    journey.away.execute("CREATE ROLE reporter")
    journey.save(RICH)

    answer = journey.bring("night")

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    roles = "SELECT CAST(polroles AS regrole[])::text FROM pg_policy WHERE polname = 'seen'"
    assert journey.there(roles) == [("{anon}",)]
    granted = "SELECT has_table_privilege('{}', '{}', 'SELECT'), has_schema_privilege('{}', 'shop', 'USAGE')"
    assert journey.there(granted.format("anon", "shop.goods", "anon")) == [(True, True)]
    assert journey.there(granted.format("reporter", 'public."odd "" TO x"', "reporter")) == [(True, True)]
    assert "role reporter" not in sentences(answer)


@pytest.mark.fast_cases("night")
@pytest.mark.parametrize("role", ["postgres", "night"])
def test_owners_and_grants_to_the_letter(journey: Journey, role: str) -> None:
    """As a member of the owners, who may create something in public only by a grant that comes last."""
    for name in ROLES:
        journey.away.execute(f"CREATE ROLE {name}")
        journey.away.execute(f"GRANT {name} TO night")
    journey.save(RICH)
    journey.house.sql("REVOKE ALL ON TABLE plain FROM app; GRANT SELECT, INSERT ON TABLE plain TO app")
    journey.house.sql("SET ROLE reporter; GRANT UPDATE ON shop.goods TO granter; RESET ROLE")
    journey.house.env["BACKUP_PREFIX"] = "again"
    journey.save("SELECT 1")

    answer = journey.bring(role)

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    there, here = journey.dumped(journey.away.url_of("copy")), journey.dumped(journey.house.url)
    superuser = {line for line in here ^ there if "postgres" in line or "night" in line}
    assert here ^ there == superuser, here ^ there
    assert has_rows(journey)
    if role == "postgres":
        assert sentences(answer) == "" and not superuser
    else:
        assert "not given to role postgres: " in sentences(answer) and "a superuser has to restore" in sentences(answer)
        lent = "SELECT has_schema_privilege('app', 'public', 'CREATE')"
        assert journey.there(lent) == [(False,)], "what was lent is taken back"


def test_a_role_that_is_no_member(journey: Journey) -> None:
    journey.away.execute("CREATE ROLE app")
    journey.save(RICH)

    answer = journey.bring("night")

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    said = sentences(answer)
    assert "not given to role app: " in said and 'to give them: GRANT "app" TO "night"' in said
    assert "table goods" in said and has_rows(journey)


@pytest.mark.slow
def test_a_schema_public_of_somebody_else(journey: Journey) -> None:
    journey.save(f"{RICH}; ALTER SCHEMA public OWNER TO app; REVOKE ALL ON SCHEMA public FROM PUBLIC")

    answer = journey.bring("night")
    proven = journey.rehearse("night")

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    assert (proven["proven"], proven["differences"]) == (True, []), proven


@pytest.mark.slow
@pytest.mark.parametrize("role", ["postgres", "night"])
def test_tablespaces(journey: Journey, role: str) -> None:
    ((data,),) = journey.home.execute("SHOW data_directory")
    place = Path(str(data)).with_name("fast")
    journey.home.execute(f"COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; mkdir -p {place}'")
    if not journey.home.execute("SELECT 1 FROM pg_tablespace WHERE spcname = 'fast'"):
        journey.home.execute(f"CREATE TABLESPACE fast LOCATION '{place}'")
    journey.save(
        "CREATE TABLE t (a int PRIMARY KEY USING INDEX TABLESPACE fast, b int) TABLESPACE fast;"
        "CREATE INDEX t_b ON t (b) TABLESPACE fast; INSERT INTO t SELECT i, i FROM generate_series(1, 100) i;"
        "CREATE TABLE parted (a int) PARTITION BY RANGE (a) TABLESPACE fast;"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9); INSERT INTO parted VALUES (1);"
        "CREATE MATERIALIZED VIEW m TABLESPACE fast AS SELECT count(*) FROM t"
    )

    answer = journey.bring(role, owners=False)
    proven = journey.rehearse(role)

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    (said,) = answer["environment"]
    assert said.startswith("tablespace fast does not exist here, or may not be used; in the database's own are: ")
    assert "table public.t" in said and "index public.t_b" in said
    assert journey.same("SELECT count(*) FROM t") and journey.same("SELECT * FROM m") and journey.same("TABLE parted")
    assert journey.there("SELECT count(*) FROM pg_class WHERE reltablespace <> 0 AND relname ~ '^(t|m|parted)'") == [
        (0,)
    ]
    assert (proven["proven"], proven["differences"]) == (True, [])
    assert said in proven["environment"]


@pytest.mark.slow
def test_an_encoding_of_its_own(journey: Journey) -> None:
    """The rehearsal makes a database of the backup's encoding; a restore into another counts what it cannot compare."""
    journey.save(RICH.replace("'이름 '", "'prix é '"))
    journey.away.execute("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        env = {**journey.house.env, "REHEARSE_DATABASE_URL": journey.away.url_of("latin")}
        proven = run_job("rehearse", env, {})
        answer = run_job(
            "restore_backup", {**env, "RESTORE_DATABASE_URL": journey.away.url_of("latin")}, {"backup": NAME}
        )
        found = journey.away.execute(
            "SELECT count(*), min(encode(convert_to(owner_name, 'UTF8'), 'hex')) FROM shop.goods", "latin"
        )
    finally:
        journey.away.drop_database("latin")

    assert (proven["proven"], proven["differences"]) == (True, [])
    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    assert answer["environment"][-1].startswith("the database's encoding is LATIN1, and was UTF8: rows were counted")
    assert found == journey.house.sql(
        "SELECT count(*), min(encode(convert_to(owner_name, 'UTF8'), 'hex')) FROM shop.goods"
    )


def test_rows_that_an_encoding_cannot_have(journey: Journey) -> None:
    journey.save(RICH)
    journey.away.execute("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        env = {**journey.house.env, "RESTORE_DATABASE_URL": journey.away.url_of("latin")}
        answer = run_job("restore_backup", env, {"backup": NAME})
    finally:
        journey.away.drop_database("latin")

    (said,) = answer["differences"]
    assert answer["status"] == "partial" and said.startswith("shop.goods: 0 of 300 rows came back: character with")


def test_one_table_alone(journey: Journey) -> None:
    journey.away.execute("CREATE ROLE app")
    journey.away.execute("GRANT app TO night")
    journey.save(RICH)

    answer = journey.bring("night", table="plain")

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    assert journey.same(CONTENT.format(table="plain"))
    assert journey.there("SELECT CAST(relowner AS regrole)::text FROM pg_class WHERE relname = 'plain'") == [("app",)]
    assert sentences(answer) == "role reporter does not exist here; left out: grants on TABLE plain"


def test_user_mappings_and_servers(journey: Journey) -> None:
    journey.save(
        "CREATE FOREIGN DATA WRAPPER plain_fdw; CREATE SERVER far FOREIGN DATA WRAPPER plain_fdw;"
        "CREATE USER MAPPING FOR app SERVER far; CREATE USER MAPPING FOR PUBLIC SERVER far;"
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1)"
    )

    answer = journey.bring("postgres")

    assert (answer["status"], answer["differences"]) == ("ok", []), answer
    assert sentences(answer) == "role app does not exist here; left out: user mapping USER MAPPING app SERVER far"
    assert journey.there("SELECT count(*) FROM pg_user_mappings") == [(1,)]
