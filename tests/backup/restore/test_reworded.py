"""What PostgreSQL itself words differently after a restore is no fault of the backup; all else that differs is told."""

from __future__ import annotations

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

MEDDLING = """
CREATE TABLE t (a int); INSERT INTO t VALUES (1);
CREATE FUNCTION say(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN EXECUTE $c$COMMENT ON TABLE public.t IS 'changed'$c$; RETURN n; END $$;
CREATE FUNCTION meddle(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.say(n); END $$;
CREATE INDEX t_a ON t (meddle(a)); COMMENT ON TABLE t IS 'as it was'
"""
"""An index that changes what somebody else has said, once there are rows to index."""


def test_conditions_on_a_varchar(vault: Vault) -> None:
    vault.sql(STATES)
    vault.save()

    assert (vault.bring()["differences"], vault.rows(vault.target)) == ([], vault.rows(vault.house.url))
    answer = vault.rehearse()
    assert (answer["proven"], answer["differences"], answer.get("warnings")) == (True, [], None)


def test_words_of_the_servers_own_are_no_fault_of_a_backup(vault: Vault) -> None:
    vault.sql(INHERITED)
    vault.save()

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, [])
    said = "PostgreSQL words these differently once restored: table public.child"
    assert answer["warnings"] == [said]
    assert said in vault.house.slack.messages[-1].seen
    assert vault.scratch() == []


def test_a_restore_tells_them_all_the_same(vault: Vault) -> None:
    vault.sql(INHERITED)
    vault.save()

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("partial", ["table public.child is not as it was"])


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
