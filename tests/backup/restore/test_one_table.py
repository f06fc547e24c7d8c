"""One table out of a backup: into the empty one that is there, or a new one."""

from __future__ import annotations

import pytest

from nightshift.backup.client import ClientFailed
from tests.backup.restore.vault import Vault

ROWS = ["(1,a,sad)", "(2,b,)"]


@pytest.fixture
def saved(vault: Vault) -> Vault:
    vault.sql(
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad'); CREATE TABLE app.parent (id int PRIMARY KEY);"
        "CREATE TABLE app.t (id int PRIMARY KEY REFERENCES app.parent, b text, m app.mood);"
        "INSERT INTO app.parent VALUES (1), (2); INSERT INTO app.t VALUES (1, 'a', 'sad'), (2, 'b', NULL);"
        'CREATE TABLE plain (a int); INSERT INTO plain VALUES (7); CREATE SCHEMA "O.o";'
        'CREATE TABLE "O.o".plain (a int);'
        'INSERT INTO "O.o".plain VALUES (8)'
    )
    vault.save()
    return vault


def test_into_the_database_that_lost_its_rows(saved: Vault) -> None:
    """It lives on: other tables are full, keys are in force."""
    saved.target = saved.house.url
    saved.sql("DELETE FROM app.t; UPDATE plain SET a = 70")

    answer = saved.bring(table="app.t")

    assert (answer["status"], answer["tables"], answer["rows"]) == ("ok", 1, 2)
    assert saved.rows(saved.target)["app.t"] == ROWS
    assert saved.rows(saved.target)["public.plain"] == ["(70)"]


def test_into_a_new_table(saved: Vault) -> None:
    answer = saved.bring(table='"O.o".plain')

    assert answer["status"] == "ok" and "without indexes" in answer["warnings"][0]
    assert saved.rows(saved.target) == {'"O.o".plain': ["(8)"]}


def test_a_name_alone_where_it_is_clear(saved: Vault) -> None:
    saved.target = saved.house.url
    saved.sql("TRUNCATE app.t")

    assert saved.bring(table="t")["status"] == "ok"
    assert saved.bring(table="plain")["refusal"]["guard"] == "unknown_table"
    assert saved.bring(table="nowhere")["refusal"]["guard"] == "unknown_table"


@pytest.mark.parametrize(
    ("statement", "guard"),
    [
        ("SELECT 1", "not_empty"),
        ("TRUNCATE app.t; ALTER TABLE app.t RENAME b TO c", "unusable_table"),
        ("TRUNCATE app.t; ALTER TABLE app.t ALTER b TYPE varchar(5)", "unusable_table"),
        ("TRUNCATE app.t; ALTER TABLE app.t ADD more int", "unusable_table"),
        ("DROP TABLE app.t; CREATE VIEW app.t AS SELECT 1", "unusable_table"),
        ("TRUNCATE app.t; CREATE RULE r AS ON INSERT TO app.t DO INSTEAD NOTHING", "altered_rows"),
    ],
)
def test_a_table_that_is_not_as_it_was(saved: Vault, statement: str, guard: str) -> None:
    saved.target = saved.house.url
    saved.sql(statement)
    before = saved.rows(saved.target)

    answer = saved.bring(table="app.t")

    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", guard)
    assert answer["refusal"]["hint"]
    assert saved.rows(saved.target) == before


def test_a_new_table_whose_type_is_not_there(saved: Vault) -> None:
    with pytest.raises(ClientFailed, match=r"app\.mood"):
        saved.bring(table="app.t")

    assert saved.rows(saved.target) == {}
