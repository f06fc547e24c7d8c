"""What PostgreSQL itself words differently after a restore is no fault of the backup; all else that differs is told."""

from __future__ import annotations

import json

import pytest

from tests.backup.restore.vault import Vault

STATES = """
CREATE TABLE job (id int, status varchar(10) CHECK (status IN ('new', 'done'))); INSERT INTO job VALUES (1, 'new');
CREATE INDEX job_open ON job (id) WHERE status IN ('new', 'held');
CREATE VIEW open AS SELECT * FROM job WHERE status IN ('new', 'held')
"""

INHERITED = """
CREATE TABLE parent (a int, b text); CREATE TABLE child (x int, b text, a int); ALTER TABLE child INHERIT parent;
INSERT INTO child VALUES (1, 'b', 2);
CREATE MATERIALIZED VIEW m AS SELECT 1 / count(*) AS n FROM child
"""
"""A restored child has its parent's columns first. The view can only be filled where there are rows."""

PRIVILEGES = """
CREATE VIEW grantees AS SELECT g.rolname
  FROM (SELECT oid, rolname FROM pg_roles UNION ALL SELECT 0::oid, 'PUBLIC') g(oid, rolname)
"""
"""As pg_partman and information_schema have it."""

SEVERAL = """
CREATE VIEW names AS SELECT n FROM (SELECT rolname FROM pg_roles UNION ALL SELECT '-') g(n);
CREATE TABLE parent (a int, b text); CREATE TABLE child (x int, b text, a int); ALTER TABLE child INHERIT parent;
ALTER TABLE child OWNER TO torture_owner
"""

LATER = f"""
{INHERITED}; CREATE TABLE t (a int); INSERT INTO t VALUES (1);
CREATE FUNCTION alter_child(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
  IF current_database() NOT LIKE 'nightshift%' THEN EXECUTE 'ALTER TABLE public.child ALTER x SET DEFAULT 7'; END IF;
  RETURN n; END $$;
CREATE FUNCTION index_by(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.alter_child(n); END $$
"""
"""With an index by `index_by`, the table has another definition where it is restored for good."""

MEDDLING = """
CREATE TABLE t (a int); INSERT INTO t VALUES (1);
CREATE FUNCTION say(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN EXECUTE $c$COMMENT ON TABLE public.t IS 'changed'$c$; RETURN n; END $$;
CREATE FUNCTION meddle(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.say(n); END $$;
CREATE INDEX t_a ON t (meddle(a)); COMMENT ON TABLE t IS 'as it was'
"""
"""An index that changes what somebody else has said, once there are rows to index."""


@pytest.mark.slow
def test_conditions_on_a_varchar(vault: Vault) -> None:
    vault.sql(STATES)
    vault.save()

    assert (vault.bring()["differences"], vault.rows(vault.target)) == ([], vault.rows(vault.house.url))
    answer = vault.rehearse()
    assert (answer["proven"], answer["differences"], answer.get("warnings")) == (True, [], None)


@pytest.mark.slow
def test_words_of_the_servers_own_are_no_fault_of_a_backup(vault: Vault) -> None:
    vault.sql(INHERITED)
    vault.save()

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, [])
    said = "PostgreSQL words these differently once restored: table public.child"
    assert answer["warnings"] == [said]
    assert said in vault.house.slack.messages[-1].seen
    assert vault.scratch() == []


def test_a_restore_tells_them_where_nothing_is_proven(vault: Vault) -> None:
    vault.sql(INHERITED)
    vault.save()

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("partial", ["table public.child is not as it was"])
    (said,) = answer["warnings"]
    assert "no rehearsal has proven this backup" in said and "schema.sql" in said


@pytest.mark.fast_cases("made0")
@pytest.mark.parametrize(
    ("made", "names"),
    [
        (INHERITED, "table public.child"),
        (PRIVILEGES, "view public.grantees"),
        (SEVERAL, "table public.child, view public.names"),
    ],
)
def test_a_restore_knows_them_by_the_proof(vault: Vault, made: str, names: str) -> None:
    vault.sql(made)
    vault.save()
    assert vault.rehearse()["proven"]

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("ok", [])
    assert f"PostgreSQL words these differently once restored: {names}" in answer["warnings"]


@pytest.mark.slow
def test_another_definition_than_the_proof_found_is_told(vault: Vault) -> None:
    vault.sql(f"{LATER}; CREATE INDEX t_a ON t (index_by(a)); ALTER TABLE child ALTER x DROP DEFAULT")
    vault.save()
    assert vault.rehearse()["proven"]

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("partial", ["table public.child is not as it was"])
    assert "warnings" not in answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "altered",
    [
        {"manifest_sha256": "0" * 64},
        {"reworded": {}},
        {"reworded": 1},
    ],
)
def test_a_stamp_that_does_not_speak_of_it(vault: Vault, altered: dict[str, object]) -> None:
    vault.sql(INHERITED)
    vault.save()
    vault.rehearse()
    vault.put("proven.json", json.dumps({**json.loads(vault.object("proven.json")), **altered}).encode())

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("partial", ["table public.child is not as it was"])


@pytest.mark.slow
@pytest.mark.parametrize("beside", ["", INHERITED])
def test_what_is_not_the_servers_doing_is_told(vault: Vault, beside: str) -> None:
    vault.sql(f"{MEDDLING};{beside}")
    vault.save()

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"]) == ("partial", False)
    assert answer["differences"] == ["comment public.TABLE t is not as it was"]
    assert vault.scratch() == []


def test_nothing_passes_where_something_is_gone(vault: Vault) -> None:
    vault.sql(
        f"{INHERITED}; CREATE TABLE t (a int); INSERT INTO t VALUES (1); CREATE FUNCTION f(a int) RETURNS int"
        " LANGUAGE sql IMMUTABLE RETURN a / (current_database() NOT LIKE 'nightshift%')::int;"
        "CREATE INDEX i ON t (f(a))"
    )
    vault.save()

    answer = vault.rehearse()

    assert not answer["proven"]
    assert "table public.child is not as it was" in answer["differences"]
