"""What a restore does not begin with: each refused with a hint, and nothing touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nightshift.errors import InvalidEvent, InvalidSettings, NightshiftError
from tests.backup.restore.vault import Vault
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

    assert refused(saved)["guard"] == "not_empty"


def test_an_older_server(saved: Vault) -> None:
    saved.forge({**saved.manifest(), "server_version": "99.1"})

    assert refused(saved)["guard"] == "older_server"
    assert saved.is_empty(saved.target)


def test_no_tools(saved: Vault, tmp_path: Path) -> None:
    saved.env["BACKUP_PG_CLIENT"] = str(tmp_path)

    refusal = refused(saved)

    assert refusal["guard"] == "no_client" and str(tmp_path) in refusal["message"]
    assert saved.is_empty(saved.target)


def test_a_backup_without_a_schema_gives_its_rows_table_by_table(vault: Vault, tmp_path: Path) -> None:
    vault.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    vault.env["BACKUP_PG_CLIENT"] = str(tmp_path)
    (missing,) = vault.save()["missing"]
    assert "schema" in missing

    assert refused(vault)["guard"] == "no_schema"
    assert refused(vault, table="t")["guard"] == "no_schema"

    vault.postgres.execute("CREATE TABLE t (a int)", vault.target.rpartition("/")[2])
    assert vault.bring(table="t")["status"] == "ok"
    assert vault.rows(vault.target) == {"public.t": ["(1)"]}


def test_no_target_is_named(saved: Vault) -> None:
    """DATABASE_URL is none."""
    with pytest.raises(InvalidSettings, match="RESTORE_DATABASE_URL: is not set"):
        run_job("restore_backup", saved.env, {"backup": "newest"})


def test_no_backup_is_named(saved: Vault) -> None:
    with pytest.raises(InvalidEvent, match="backup"):
        run_job("restore_backup", {**saved.env, "RESTORE_DATABASE_URL": saved.target}, {})


def test_a_backup_that_is_not_there(saved: Vault) -> None:
    with pytest.raises(NightshiftError, match="there is no backup backup_1999_01_01_0000"):
        saved.bring(backup="backup_1999_01_01_0000")
