"""What a restore does not begin with: each refused with a hint, and nothing touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightshift.backup.models import ManifestDamaged
from nightshift.backup.opened_backup import BackupDamaged
from nightshift.errors import InvalidEvent, InvalidSettings, NightshiftError
from tests.backup.restore.vault import NEXT_NAME, Vault
from tests.support.handler import run_job


@pytest.fixture
def saved(vault: Vault) -> Vault:
    vault.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    vault.save()
    return vault


def refused(vault: Vault, **event: Any) -> dict[str, str]:
    """The refusal."""
    answer = vault.bring(**event)
    assert (answer["status"], answer["complete"], answer["rows"]) == ("refused", False, 0)
    refusal = dict(answer["refusal"])
    assert refusal["hint"]
    assert refusal["message"].split(":")[0] in vault.house.slack.messages[-1].seen
    return refusal


@pytest.mark.fast_cases("CREATE TABLE", "CREATE FUNCTION")
@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TABLE mine (a int)", "table public.mine"),
        ("CREATE VIEW mine AS SELECT 1", "view public.mine"),
        ("CREATE SEQUENCE mine", "sequence public.mine"),
        ("CREATE TYPE mine AS ENUM ('a')", "type public.mine"),
        ("CREATE TYPE mine AS (a int)", "type public.mine"),
        ("CREATE DOMAIN mine AS int", "type public.mine"),
        ("CREATE FUNCTION mine() RETURNS int RETURN 1", "function public.mine"),
        ("CREATE SCHEMA mine", "schema mine"),
        ("CREATE PUBLICATION mine FOR ALL TABLES", "publication mine"),
    ],
)
def test_a_database_that_is_not_empty(saved: Vault, statement: str, named: str) -> None:
    database = saved.target.rpartition("/")[2]
    saved.postgres.execute(statement, database)
    before = saved.schema(saved.target)

    refusal = refused(saved)

    assert refusal["guard"] == "not_empty" and named in refusal["message"]
    assert saved.schema(saved.target) == before


def test_the_database_that_was_backed_up(saved: Vault) -> None:
    saved.target = saved.house.url

    refusal = refused(saved)

    assert refusal["guard"] == "not_empty"
    assert "or --into-existing, which refuses collisions alone" in refusal["hint"]


def test_an_older_server(saved: Vault) -> None:
    saved.forge({**saved.manifest(), "server_version": "99.1"})

    refusal = refused(saved)

    assert refusal["guard"] == "older_server" and "a server of that version or a later one" in refusal["hint"]
    assert saved.is_empty(saved.target)


def test_no_tools(saved: Vault, tmp_path: Path) -> None:
    saved.env["BACKUP_PG_CLIENT"] = str(tmp_path)

    for event in ({}, {"table": "t"}):
        refusal = refused(saved, **event)
        assert refusal["guard"] == "no_client" and str(tmp_path) in refusal["message"]
        assert "let BACKUP_PG_CLIENT name the directory" in refusal["hint"]
    assert saved.is_empty(saved.target)


def test_a_backup_without_a_schema_gives_its_rows_table_by_table(vault: Vault, tmp_path: Path) -> None:
    vault.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    vault.env["BACKUP_PG_CLIENT"] = str(tmp_path)
    (missing,) = vault.save()["missing"]
    assert "schema" in missing

    for event, hint in (
        ({}, "make the tables, and restore them one by one"),
        ({"table": "t"}, "CREATE the table first"),
    ):
        refusal = refused(vault, **event)
        assert refusal["guard"] == "no_schema" and hint in refusal["hint"]

    vault.postgres.execute("CREATE TABLE t (a int)", vault.target.rpartition("/")[2])
    assert vault.bring(table="t")["status"] == "ok"
    assert vault.rows(vault.target) == {"public.t": ["(1)"]}


def test_no_target_is_named(saved: Vault) -> None:
    """DATABASE_URL is none."""
    with pytest.raises(InvalidSettings, match="RESTORE_DATABASE_URL: is not set") as raised:
        run_job("restore_backup", saved.env, {"backup": "newest"})
    assert "name the empty database that is to be filled" in str(raised.value.hint)
    with pytest.raises(InvalidSettings, match="RESTORE_DATABASE_URL is not usable") as raised:
        run_job("restore_backup", {**saved.env, "RESTORE_DATABASE_URL": "postgresql://a:b@c@d/e"}, {"backup": "newest"})
    assert "percent-encode" in str(raised.value.hint)


def test_no_backup_is_named(saved: Vault) -> None:
    with pytest.raises(InvalidEvent, match="backup"):
        run_job("restore_backup", {**saved.env, "RESTORE_DATABASE_URL": saved.target}, {})


def test_a_backup_that_is_not_there(saved: Vault) -> None:
    with pytest.raises(NightshiftError, match="there is no backup backup_1999_01_01_0000") as raised:
        saved.bring(backup="backup_1999_01_01_0000")
    assert "one without a manifest was never finished" in str(raised.value.hint)


def test_a_manifest_of_another_backup(saved: Vault) -> None:
    saved.put("manifest.json", saved.object("manifest.json"), NEXT_NAME)
    with pytest.raises(BackupDamaged, match="another backup's") as raised:
        saved.bring(backup=NEXT_NAME)
    assert "nightshift backups says which others there are" in str(raised.value.hint)
    assert saved.is_empty(saved.target)


def cut(vault: Vault) -> None:
    vault.put("manifest.json", vault.object("manifest.json")[:-9])


def by_a_newer_version(vault: Vault) -> None:
    vault.forge({**vault.manifest(), "invented_since": 1})


def without_its_groups(vault: Vault) -> None:
    vault.forge({**vault.manifest(), "groups": []})


def edited(vault: Vault) -> None:
    vault.put("manifest.json", json.dumps({**vault.manifest(), "missing": ["nothing"]}).encode())


@pytest.mark.fast_cases("edited")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "cannot be read"),
        (by_a_newer_version, "cannot be read"),
        (without_its_groups, "contradicts itself"),
        (edited, "was altered"),
    ],
)
def test_a_manifest_that_does_not_count(saved: Vault, damage: Callable[[Vault], None], said: str) -> None:
    damage(saved)
    with pytest.raises(ManifestDamaged, match=said) as raised:
        saved.bring()
    assert "take another backup" in str(raised.value.hint) and "written by a newer nightshift" in str(raised.value.hint)
    assert saved.is_empty(saved.target)
