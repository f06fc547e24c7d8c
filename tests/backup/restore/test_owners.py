"""Owners and grants: brought back where their roles are, refused as a whole where they are not, left out when asked."""

from __future__ import annotations

import pytest

from nightshift.backup.schema import OwnersRefused
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


def test_a_role_that_is_gone_is_named_and_nothing_is_made(orphaned: Vault) -> None:
    with pytest.raises(OwnersRefused, match="leaver") as raised:
        orphaned.bring()

    assert "--no-owner" in str(raised.value.hint)
    assert orphaned.is_empty(orphaned.target)


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


def test_a_rehearsal_where_a_role_is_gone_leaves_owners_out_and_says_so(orphaned: Vault) -> None:
    answer = orphaned.rehearse()

    assert (answer["proven"], answer["differences"]) == (True, [])
    (warning,) = answer["warnings"]
    assert "owners and grants" in warning and "leaver" in warning
