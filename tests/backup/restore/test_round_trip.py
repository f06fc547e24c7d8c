"""A backup becomes the database that it was: to the letter of pg_dump, and row by row."""

from __future__ import annotations

import pytest

from tests.backup.restore import torture
from tests.backup.restore.vault import NAME, NEXT, NEXT_NAME, Vault


def test_everything_comes_back(vault: Vault) -> None:
    vault.sql(torture.ALL)
    source = vault.house.url
    vault.save()

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("ok", [])
    assert vault.schema(vault.target) == vault.schema(source)
    assert vault.rows(vault.target) == vault.rows(source)
    assert vault.sequences(vault.target) == vault.sequences(source)
    tables = [entry for entry in vault.manifest()["tables"] if not entry["name"].startswith("nightshift_")]
    assert {f"{entry['schema']}.{entry['name']}" for entry in tables} >= {
        "app.log_2025_odd",
        "app.derived",
        "app.quick",
    }
    assert answer["rows"] == sum(entry["rows"] for entry in vault.manifest()["tables"])


@pytest.mark.slow
def test_what_came_back_can_be_backed_up_and_come_back_again(vault: Vault) -> None:
    vault.sql(torture.ALL)
    vault.save()
    vault.bring()
    second = vault.another()
    vault.env.update(DATABASE_URL=vault.target, BACKUP_PREFIX="second")
    vault.save()
    first, vault.target = vault.target, second

    assert vault.bring()["differences"] == []

    assert vault.schema(second) == vault.schema(first) == vault.schema(vault.house.url)
    assert vault.rows(second) == vault.rows(vault.house.url)


def test_an_empty_database(vault: Vault) -> None:
    vault.save()

    assert vault.bring()["status"] == "ok"

    assert vault.schema(vault.target) == vault.schema(vault.house.url)


def test_chosen_schemas_alone(vault: Vault) -> None:
    vault.sql(
        'CREATE SCHEMA "A.b"; CREATE TABLE "A.b".kept (id serial PRIMARY KEY); INSERT INTO "A.b".kept DEFAULT VALUES;'
        "CREATE SCHEMA other; CREATE TABLE other.gone (a int); CREATE EXTENSION vector; CREATE TABLE kept (v vector)"
    )
    vault.env["BACKUP_SCHEMAS"] = "A.b,public"
    vault.save()

    assert vault.bring()["differences"] == []

    assert set(vault.rows(vault.target)) == {'"A.b".kept', "public.kept"}
    assert vault.rows(vault.target)['"A.b".kept'] == ["(1)"]
    assert vault.sequences(vault.target) == vault.sequences(vault.house.url)


def test_extensions_that_are_there_already_are_no_difference(vault: Vault) -> None:
    vault.sql("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    vault.save()
    vault.postgres.execute("CREATE EXTENSION vector", vault.target.rpartition("/")[2])

    answer = vault.bring()

    assert (answer["status"], answer["differences"]) == ("ok", [])


@pytest.mark.slow
def test_the_newest_one(vault: Vault) -> None:
    vault.sql("CREATE TABLE t (a int)")
    vault.save()
    vault.sql("INSERT INTO t VALUES (1)")
    vault.save(NEXT)

    assert vault.bring(backup="newest")["name"] == NEXT_NAME
    assert vault.rows(vault.target)["public.t"] == ["(1)"]

    vault.target = vault.another()
    assert vault.bring(backup=NAME)["name"] == NAME
    assert vault.rows(vault.target)["public.t"] == []


def test_a_dry_run_writes_nothing(vault: Vault) -> None:
    vault.sql("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 7)")
    vault.save()

    answer = vault.bring(dry_run=True)

    assert (answer["status"], answer["rows"]) == ("dry_run", sum(t["rows"] for t in vault.manifest()["tables"]))
    assert vault.is_empty(vault.target)
