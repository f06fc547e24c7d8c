"""Rows that are hard to bring back: whoever declared them has used PostgreSQL's freedoms, or our own names."""

from __future__ import annotations

import pytest

from tests.backup.restore.vault import AS_OF, Vault
from tests.support.handler import run_job

CASTS = """
CREATE TYPE state AS ENUM ('on', 'off');
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION to_words(state) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'off';
CREATE FUNCTION to_words(pair) RETURNS text LANGUAGE sql IMMUTABLE RETURN ($1).b;
CREATE FUNCTION to_state(text) RETURNS state LANGUAGE sql IMMUTABLE RETURN CAST('off' AS state);
CREATE CAST (state AS text) WITH FUNCTION to_words(state);
CREATE CAST (pair AS text) WITH FUNCTION to_words(pair);
CREATE CAST (text AS state) WITH FUNCTION to_state(text) AS IMPLICIT;
CREATE DOMAIN switch AS state;
CREATE TABLE t (a state, b switch, c pair, d state[], e pair[], f int);
INSERT INTO t VALUES
  ('on', 'on', ROW(1, 'one'), '{on,NULL}', ARRAY[ROW(1, NULL)::pair], 1), (NULL, NULL, NULL, NULL, NULL, NULL),
  ('off', 'on', ROW(NULL, NULL), '{}', ARRAY[ROW(NULL, NULL)::pair, NULL], 2);
"""

OUR_NAMES = """
CREATE TABLE t (_nightshift_exact text, c date, _nightshift_hash int, _nightshift_exact_ bytea);
INSERT INTO t VALUES ('{"c": "x"}', 'infinity', 1, '\\x00'), (NULL, '2025-01-01', NULL, NULL);
CREATE TABLE u (_nightshift_exact date);
INSERT INTO u VALUES ('-infinity'), ('2025-01-01'), (NULL);
CREATE TYPE state AS ENUM ('on', 'off');
CREATE FUNCTION to_words(state) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'off';
CREATE CAST (state AS text) WITH FUNCTION to_words(state);
CREATE TABLE v (_nightshift_exact state, d date); INSERT INTO v VALUES ('on', 'infinity'), (NULL, NULL)
"""

ALIKE = """
CREATE SCHEMA "a.b"; CREATE SCHEMA a;
CREATE TABLE "a.b".c AS SELECT 1 AS x; CREATE TABLE a."b.c" AS SELECT 2 AS x;
CREATE TABLE "A" AS SELECT 3 AS x; CREATE TABLE a AS SELECT 4 AS x;
CREATE TABLE "line
break; --" ("co
lumn" int, "%s" text); INSERT INTO "line
break; --" VALUES (5, '%');
CREATE TYPE "a.b"."T y.p" AS ENUM ('v'); CREATE TYPE a."T y.p" AS ENUM ('v', 'w');
CREATE TYPE a.text AS ENUM ('q'); CREATE DOMAIN a.int4 AS bigint; CREATE TYPE a.date AS (d int);
CREATE TABLE types (a "a.b"."T y.p", b a."T y.p"[], c a.text, d a.int4, e a.date);
INSERT INTO types VALUES ('v', '{w,v}', 'q', 5000000000, ROW(1))
"""

WIDE = f"""
CREATE TABLE t ({", ".join(f"c{n} date" for n in range(1590))});
INSERT INTO t (c0, c1589) VALUES ('infinity', '-infinity'), ('2025-01-01', NULL)
"""


@pytest.mark.fast_cases("wide", "casts")
@pytest.mark.parametrize("sql", [CASTS, OUR_NAMES, ALIKE, WIDE], ids=["casts", "our names", "names alike", "wide"])
def test_it_comes_back(vault: Vault, sql: str) -> None:
    vault.sql(sql)
    vault.save()

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("ok", [])
    assert vault.schema(vault.target) == vault.schema(vault.house.url)
    assert vault.rows(vault.target) == vault.rows(vault.house.url)


HASHED = """
CREATE TYPE mood AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
CREATE TABLE kept (k mood, day date, n int GENERATED ALWAYS AS IDENTITY, ip inet) PARTITION BY HASH (k);
CREATE TABLE kept_0 PARTITION OF kept FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE kept_1 (n int NOT NULL, gone int, ip inet, day date, k mood);
ALTER TABLE kept_1 DROP COLUMN gone;
ALTER TABLE kept ATTACH PARTITION kept_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO kept (k, day, ip) SELECT m, CASE WHEN i = 1 THEN 'infinity' ELSE date '2025-01-01' + i END, '10.0.0.1'
  FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 40) i;
INSERT INTO kept (k) VALUES (NULL)
"""


def _hashed_elsewhere(vault: Vault) -> set[str]:
    """Restore until the enum's numbers have led some row into another partition; the partitions whose rows differ."""
    for _ in range(8):
        answer = vault.bring()
        assert (answer["status"], answer["differences"]) == ("ok", [])
        found, saved = vault.rows(vault.target), vault.rows(vault.house.url)
        if moved := {name for name in saved if found[name] != saved[name]}:
            return moved
        vault.target = vault.another()
    raise AssertionError("every row belongs where it was")


@pytest.mark.slow
def test_rows_that_another_database_hashes_elsewhere(vault: Vault) -> None:
    """An enum's values are hashed by numbers that no two databases share: the target's own routing places the rows."""
    vault.sql(HASHED)
    vault.save()

    assert _hashed_elsewhere(vault) <= {"public.kept_0", "public.kept_1"}

    columns = "SELECT k, day, n, ip FROM kept ORDER BY n"
    name = vault.target.rpartition("/")[2]
    assert [tuple(row) for row in vault.postgres.execute(columns, name)] == vault.sql(columns)
    assert vault.schema(vault.target) == vault.schema(vault.house.url)


@pytest.mark.slow
def test_what_the_backup_never_held_is_said(vault: Vault) -> None:
    """A restore without any difference is no promise of what was never saved."""
    vault.sql("CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES")
    vault.save()

    answer = vault.bring()

    said = "the backup does not hold the rows of public.bare, which has no stored columns: 1"
    assert (answer["status"], answer["warnings"]) == ("ok", [said])
    assert said in vault.rehearse()["warnings"]


def test_a_row_that_cannot_be_sent_costs_its_table_alone(vault: Vault) -> None:
    """Each bit is a digit of the text, by which rows are told: 160 MB become 1.3 GB."""
    vault.sql("CREATE TABLE small AS SELECT 1 AS x; CREATE TABLE big (id int, b varbit)")
    bits = "(SELECT '1'::bit(80000000)::varbit AS b)"
    for _ in range(4):
        bits = f"(SELECT b || b AS b FROM {bits} x OFFSET 0)"
    vault.sql(f"INSERT INTO big SELECT 1, b FROM {bits} x")
    assert run_job("backup", vault.env, {"scheduled_time": AS_OF})["status"] == "partial"

    answer = vault.bring()

    (said,) = answer["but_for"]
    assert said.startswith("the backup does not hold the rows of public.big: a row is larger than PostgreSQL can send")
    found = vault.rows(vault.target)
    assert (found["public.small"], found["public.big"]) == (["(1)"], [])
