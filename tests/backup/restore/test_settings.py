"""What `ALTER DATABASE … SET` says comes back to the letter, last of all, and never at the expense of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.backup.restore import torture
from tests.backup.restore.vault import Vault

SEARCHED = 'app, "$user", "Od,d ""n\'ame", public'
SETTINGS = {
    "search_path": SEARCHED,
    "temp_tablespaces": "''",
    "DateStyle": "'ISO, DMY'",
    "TimeZone": "'Asia/Seoul'",
    "work_mem": "65536",
    "app.key": "E'it''s, \"x\" %s %% :y \\\\ 한\\n'",
    "app.empty": "''",
    "log_min_duration_statement": "'1h'",
}


def settle(vault: Vault, settings: dict[str, str], whose: str | None = None) -> None:
    """Set them for the database that is backed up."""
    name = vault.house.url.rpartition("/")[2]
    of = f"DATABASE {name}" if whose is None else f"ROLE {whose} IN DATABASE {name}"
    for setting, value in settings.items():
        vault.sql(f"ALTER {of} SET {setting} = {value}")


def settings(vault: Vault, url: str) -> list[tuple[Any, ...]]:
    """As pg_db_role_setting has them."""
    return vault.postgres.execute(
        "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting"
        f" WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = '{url.rpartition('/')[2]}') ORDER BY 1"
    )


@pytest.fixture
def saved(vault: Vault) -> Vault:
    """A backup of a database with a setting."""
    vault.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    settle(vault, {"app.kept": "'yes'"})
    vault.save()
    return vault


@pytest.fixture
def clerk(saved: Vault) -> Iterator[str]:
    """A role that may create databases, and no more."""
    saved.sql("CREATE ROLE clerk LOGIN CREATEDB")
    yield "clerk"
    saved.postgres.execute("REASSIGN OWNED BY clerk TO postgres", saved.target.rpartition("/")[2])
    saved.sql("DROP ROLE clerk")


def with_one_more(vault: Vault, name: str, value: str, role: str | None = None) -> None:
    """Let the manifest say that it was set."""
    facts = vault.manifest()
    vault.forge({**facts, "settings": [*facts["settings"], {"role": role, "name": name, "value": value}]})


@pytest.mark.slow
def test_to_the_letter(vault: Vault) -> None:
    settle(vault, SETTINGS)
    settle(vault, {"search_path": "only_here", "app.role": "'x'"}, whose="torture_reader")
    before = settings(vault, vault.house.url)
    assert [len(kept) for _, kept in before] == [8, 2]
    (roles,) = vault.save()["missing"]
    assert roles.endswith(": torture_reader")

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("ok", [])
    assert answer["warnings"] == [f"the backup does not hold {roles}"]
    assert settings(vault, vault.target) == before
    assert vault.rehearse()["proven"]
    assert vault.scratch() == []


def test_our_own_tables_are_found_again(vault: Vault) -> None:
    """They lie where the search path leads: the next night is the same database's, and the same ledger's."""
    vault.sql("CREATE SCHEMA app")
    settle(vault, {"search_path": "app, public"})
    vault.save()
    assert vault.bring()["status"] == "ok"

    vault.env["DATABASE_URL"] = vault.target

    with pytest.raises(AssertionError, match="'status': 'nothing'"):
        vault.save()
    own = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'nightshift%'"
    assert vault.postgres.execute(own, vault.target.rpartition("/")[2]) == [("app",)]


def test_settings_that_change_what_connections_see(vault: Vault) -> None:
    vault.sql(torture.ALL)
    for setting in ("quote_all_identifiers = on", "client_encoding = 'LATIN1'", "DateStyle = 'German'"):
        vault.sql(f"ALTER DATABASE {vault.house.url.rpartition('/')[2]} SET {setting}")
    vault.save()

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("ok", [])
    for url in (vault.target, vault.house.url):
        vault.postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} RESET ALL")
    assert vault.schema(vault.target) == vault.schema(vault.house.url)
    assert vault.rows(vault.target) == vault.rows(vault.house.url)
    assert vault.rehearse()["proven"]


@pytest.mark.slow
def test_one_that_is_refused_costs_nothing_else(saved: Vault) -> None:
    with_one_more(saved, "no_such_setting", "1")
    with_one_more(saved, "work_mem", "secret value")
    with_one_more(saved, "app.last", "x")

    answer = saved.bring()

    assert answer["status"] == "partial"
    assert answer["differences"] == [
        'setting no_such_setting did not come back: unrecognized configuration parameter "no_such_setting"',
        'setting work_mem did not come back: invalid value for parameter "…"',
    ]
    assert settings(saved, saved.target) == [("-", ["app.kept=yes", "app.last=x"])]
    assert saved.rows(saved.target)["public.t"] == ["(1)"]
    assert not saved.rehearse()["proven"]


def test_one_without_which_only_nobody_can_connect(saved: Vault) -> None:
    with_one_more(saved, "session_preload_libraries", '"no_such_library"')

    answer = saved.bring()

    (difference,) = answer["differences"]
    assert "nobody could connect" in difference and "setting session_preload_libraries" in difference
    assert settings(saved, saved.target) == []
    assert saved.rows(saved.target)["public.t"] == ["(1)"]


def test_a_role_that_is_not_there(saved: Vault) -> None:
    with_one_more(saved, "work_mem", "5MB", role="leaver")

    answer = saved.bring()

    said = "setting work_mem of role leaver was left out: there is no such role"
    assert (answer["status"], answer["environment"]) == ("ok", [said])


def test_roles_are_left_out_with_owners(saved: Vault) -> None:
    with_one_more(saved, "work_mem", "5MB", role="torture_reader")

    answer = saved.bring(owners=False)

    said = "setting work_mem of role torture_reader was left out with the owners"
    assert (answer["status"], answer["environment"]) == ("ok", [said])
    assert settings(saved, saved.target) == [("-", ["app.kept=yes"])]


def test_what_we_may_not_set_is_told(saved: Vault, clerk: str) -> None:
    saved.postgres.execute(f"ALTER DATABASE {saved.target.rpartition('/')[2]} OWNER TO {clerk}")
    saved.target = saved.target.replace("postgres@", f"{clerk}@")

    answer = saved.bring(owners=False)

    said = 'setting app.kept did not come back: permission denied to set parameter "app.kept"'
    assert (answer["status"], answer["differences"], answer["environment"]) == ("ok", [], [said])


def test_what_we_may_not_set_is_no_fault_of_a_rehearsed_backup(saved: Vault, clerk: str) -> None:
    saved.env["REHEARSE_DATABASE_URL"] = saved.postgres.url.replace("postgres@", f"{clerk}@")

    answer = saved.rehearse()

    assert (answer["proven"], answer["differences"]) == (True, [])
    assert any("permission denied to set parameter" in one for one in answer["environment"])


def test_what_the_new_database_has_of_its_own_is_said(saved: Vault) -> None:
    saved.postgres.execute(f"ALTER DATABASE {saved.target.rpartition('/')[2]} SET work_mem = '9MB'")

    answer = saved.bring()

    assert (answer["status"], answer["warnings"]) == ("ok", ["setting work_mem is not in the backup"])


def test_an_older_manifest_knows_of_none(saved: Vault) -> None:
    facts = saved.manifest()
    assert facts.pop("settings") == [{"role": None, "name": "app.kept", "value": "yes"}]
    saved.forge(facts)

    assert saved.bring()["status"] == "ok"
    assert settings(saved, saved.target) == []


def test_one_table_alone_brings_none(saved: Vault) -> None:
    assert saved.bring(table="t")["status"] == "ok"

    assert settings(saved, saved.target) == []


def test_values_are_told_to_nobody(saved: Vault) -> None:
    settle(saved, {"app.password": "'hush'"})
    saved.env["BACKUP_PREFIX"] = "another"

    assert "hush" not in str(saved.save())
    assert not any("hush" in message.seen for message in saved.house.slack.messages)
