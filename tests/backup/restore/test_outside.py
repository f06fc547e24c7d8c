"""A backup of some schemas says when it is taken what they need of others; and a restore shows that it is right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backup.restore.vault import NEXT, Vault

OTHER = """
CREATE SCHEMA other;
CREATE TYPE other.mood AS ENUM ('good');
CREATE DOMAIN other.short AS text CHECK (length(VALUE) < 9);
CREATE COLLATION other.plain (provider = libc, locale = 'C');
CREATE SEQUENCE other.numbers;
CREATE TABLE other.parent (id int PRIMARY KEY);
CREATE TABLE other.split (id int) PARTITION BY LIST (id);
CREATE FUNCTION other.f(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n;
CREATE FUNCTION other.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION other.watched() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE OPERATOR other.=== (leftarg = int, rightarg = int, function = int4eq);
CREATE OPERATOR CLASS other.ops FOR TYPE int USING btree AS OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
CREATE TEXT SEARCH CONFIGURATION other.words (COPY = simple);
"""

NEEDS = {
    "a column's type": ("CREATE TABLE t (m other.mood)", "other.mood"),
    "an array's type": ("CREATE TABLE t (m other.mood[])", "other.mood[]"),
    "a domain": ("CREATE TABLE t (d other.short)", "other.short"),
    "a domain's base type": ("CREATE DOMAIN d AS other.mood", "other.mood"),
    "a composite type's": ("CREATE TYPE c AS (m other.mood)", "other.mood"),
    "a range's": ("CREATE TYPE r AS RANGE (subtype = other.mood)", "other.mood"),
    "a collation": ("CREATE TABLE t (s text COLLATE other.plain)", "other.plain"),
    "a default's function": ("CREATE TABLE t (a int DEFAULT other.f(1))", "other.f(integer)"),
    "a default's sequence": ("CREATE TABLE t (a int DEFAULT nextval('other.numbers'))", "other.numbers"),
    "a check's function": ("CREATE TABLE t (a int CHECK (other.f(a) > 0))", "other.f(integer)"),
    "a check's operator": ("CREATE TABLE t (a int CHECK (a OPERATOR(other.===) a))", "other.===(integer,integer)"),
    "a generated column's": (
        "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (other.f(a)) STORED)",
        "other.f(integer)",
    ),
    "an index's function": ("CREATE TABLE t (a int); CREATE INDEX ON t (other.f(a))", "other.f(integer)"),
    "an index's operator class": ("CREATE TABLE t (a int); CREATE INDEX ON t (a other.ops)", "other.ops"),
    "statistics": ("CREATE TABLE t (a int); CREATE STATISTICS s ON (other.f(a)) FROM t", "other.f(integer)"),
    "a trigger's": (
        "CREATE TABLE t (a int); CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION other.fired()",
        "other.fired()",
    ),
    "an event trigger's": (
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION other.watched()",
        "other.watched()",
    ),
    "a parent": ("CREATE TABLE t () INHERITS (other.parent)", "other.parent"),
    "a partitioned table": ("CREATE TABLE t PARTITION OF other.split FOR VALUES IN (1)", "other.split"),
    "a referenced table": ("CREATE TABLE t (a int REFERENCES other.parent)", "other.parent"),
    "a view's table": ("CREATE VIEW v AS SELECT * FROM other.parent", "other.parent"),
    "a materialized view's": ("CREATE MATERIALIZED VIEW v AS SELECT other.f(1)", "other.f(integer)"),
    "a policy's function": ("CREATE TABLE t (a int); CREATE POLICY p ON t USING (other.f(a) > 0)", "other.f(integer)"),
    "an argument's type": ("CREATE FUNCTION g(m other.mood) RETURNS int LANGUAGE sql RETURN 1", "other.mood"),
    "a body": ("CREATE FUNCTION g() RETURNS int LANGUAGE sql RETURN other.f(1)", "other.f(integer)"),
    "a cast": ("CREATE CAST (int AS other.mood) WITH INOUT", "other.mood"),
    "a text search": (
        "CREATE TABLE t (s text, w tsvector GENERATED ALWAYS AS (to_tsvector('other.words', s)) STORED)",
        "other.words",
    ),
    "an extension's schema": ("CREATE EXTENSION vector SCHEMA other", "other"),
}


def missing(vault: Vault, schemas: str = "public", as_of: str | None = None) -> list[str]:
    vault.env["BACKUP_SCHEMAS"] = schemas
    answer: dict[str, Any] = vault.save(as_of) if as_of else vault.save()
    return list(answer.get("missing", []))


FIRST = set({named: need for need, (_, named) in reversed(NEEDS.items())}.values())
"""Of those that need the same object the first; the others are slow."""


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "need", [need if need in FIRST else pytest.param(need, marks=pytest.mark.slow) for need in NEEDS]
)
def test_a_need_is_told_when_the_backup_is_made(vault: Vault, need: str) -> None:
    made, named = NEEDS[need]
    vault.sql(f"{OTHER} {made}")

    try:
        (said,) = missing(vault)
        assert said.startswith("the schema other,") and f" {named}" in said and "add other to BACKUP_SCHEMAS" in said
        assert "add other" in vault.house.slack.messages[-1].seen
        assert vault.bring()["differences"] != []
        assert missing(vault, "public,other", NEXT) == []
    finally:
        vault.sql("DROP EVENT TRIGGER IF EXISTS e")


def test_what_a_schema_to_add_needs_itself(vault: Vault) -> None:
    vault.sql(
        'CREATE SCHEMA "Third.One"; CREATE TYPE "Third.One".base AS ENUM (\'a\'); CREATE SCHEMA other;'
        'CREATE DOMAIN other.d AS "Third.One".base; CREATE TABLE t (d other.d);'
        "CREATE SCHEMA idle; CREATE TABLE idle.t (a int)"
    )

    first, second = missing(vault)

    assert "add other to BACKUP_SCHEMAS" in first and "add Third.One to BACKUP_SCHEMAS" in second
    assert missing(vault, "public,other,Third.One", NEXT) == []


def test_many_needs_are_counted(vault: Vault) -> None:
    vault.sql(OTHER + "".join(f"CREATE TABLE t{n} (m other.mood);" for n in range(9)))

    (said,) = missing(vault)

    assert "table column public.t0.m (type other.mood)" in said and "and 4 more" in said


def test_what_needs_nothing(vault: Vault) -> None:
    """An extension's own objects in public, schemas that extensions make, what others need of the chosen schema."""
    vault.sql(
        f"{OTHER} CREATE EXTENSION vector; CREATE SCHEMA chosen;"
        "CREATE TABLE chosen.t (v vector(3), a int PRIMARY KEY);"
        "CREATE INDEX ON chosen.t USING hnsw (v vector_l2_ops); CREATE VIEW other.v AS SELECT * FROM chosen.t;"
        "CREATE TABLE other.child (a int REFERENCES chosen.t); CREATE DOMAIN other.named AS int"
    )

    assert missing(vault, "chosen") == []
    assert vault.bring()["differences"] == []


def test_functions_whose_text_names_a_schema(vault: Vault) -> None:
    vault.sql(
        f'{OTHER} CREATE SCHEMA oth; CREATE SCHEMA "O her";'
        "CREATE FUNCTION a() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN other.f(1); END';"
        "CREATE FUNCTION b() RETURNS int LANGUAGE plpgsql AS 'DECLARE another int; BEGIN RETURN another.f; END';"
        'CREATE FUNCTION c() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN "O her".x(); END$$'
    )

    assert sorted(missing(vault)) == [
        "the schema O her, which the text of functions names: public.c(); add it to BACKUP_SCHEMAS",
        "the schema other, which the text of functions names: public.a(); add it to BACKUP_SCHEMAS",
    ]
