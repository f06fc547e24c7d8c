"""Owners and grants: brought back where their roles are, told where they are not, left out when asked."""

from __future__ import annotations

import json

import pytest

from tests.backup.restore.vault import Vault

OWNER = "SELECT pg_get_userbyid(relowner), relacl::text FROM pg_class WHERE relname = 't'"


@pytest.fixture
def orphaned(vault: Vault) -> Vault:
    """A backup of a table whose owner is gone from the server by now."""
    vault.sql(
        "CREATE ROLE leaver; CREATE TABLE t (a int); INSERT INTO t VALUES (1); ALTER TABLE t OWNER TO leaver;"
        "GRANT SELECT ON t TO torture_reader"
    )
    vault.save()
    vault.sql("REASSIGN OWNED BY leaver TO postgres; DROP OWNED BY leaver; DROP ROLE leaver")
    return vault


def test_a_role_that_is_gone_is_named_and_costs_nothing_else(orphaned: Vault) -> None:
    answer = orphaned.bring()

    said = "role leaver does not exist here; left out: the ownership of table public.t"
    assert (answer["status"], answer["differences"], answer["environment"]) == ("ok", [], [said])
    assert orphaned.rows(orphaned.target)["public.t"] == ["(1)"]
    ((owner, granted),) = orphaned.postgres.execute(OWNER, orphaned.target.rpartition("/")[2])
    assert owner == "postgres" and "torture_reader=r/postgres" in str(granted)
    assert said in orphaned.house.slack.messages[-1].seen


def test_without_owners(orphaned: Vault) -> None:
    answer = orphaned.bring(owners=False)

    assert (answer["status"], answer["differences"]) == ("ok", [])
    assert orphaned.rows(orphaned.target)["public.t"] == ["(1)"]
    assert orphaned.postgres.execute(OWNER, orphaned.target.rpartition("/")[2]) == [("postgres", None)]


def test_with_owners(vault: Vault) -> None:
    vault.sql("CREATE TABLE t (a int); ALTER TABLE t OWNER TO torture_owner; GRANT SELECT ON t TO torture_reader")
    vault.save()

    vault.bring()

    ((owner, granted),) = vault.postgres.execute(OWNER, vault.target.rpartition("/")[2])
    assert owner == "torture_owner" and "torture_reader=r/torture_owner" in str(granted)


def test_a_rehearsal_where_a_role_is_gone_says_so(orphaned: Vault) -> None:
    answer = orphaned.rehearse()

    assert (answer["proven"], answer["differences"]) == (True, [])
    (said,) = answer["environment"]
    assert said == "owners and grants, which a rehearsal's role cannot give; roles that are gone: leaver"
    unsaved, unproven = json.loads(orphaned.object("proven.json"))["but_for"]
    assert unsaved.startswith("the backup does not hold roles") and unproven == said
