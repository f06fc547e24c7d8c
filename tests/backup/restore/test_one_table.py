"""One table out of a backup: into the empty one that is there, or a new one."""

from __future__ import annotations

import pytest

from nightshift.backup.opened_backup import BackupDamaged
from nightshift.backup.pg_tools import PgToolError
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
    for name, said in (("plain", "several tables plain"), ("nowhere", "no table nowhere")):
        refusal = saved.bring(table=name)["refusal"]
        assert refusal["guard"] == "unknown_table" and said in refusal["message"]
        assert (
            "of a partitioned table each partition is one; it has: " in refusal["hint"] and "app.t" in refusal["hint"]
        )


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("statement", "guard", "hint"),
    [
        ("SELECT 1", "not_empty", "rename it, and a table will be made"),
        ("TRUNCATE app.t; ALTER TABLE app.t RENAME b TO c", "unusable_table", "rename it"),
        ("TRUNCATE app.t; ALTER TABLE app.t ALTER b TYPE varchar(5)", "unusable_table", "rename it"),
        ("TRUNCATE app.t; ALTER TABLE app.t ADD more int", "unusable_table", "rename it"),
        ("DROP TABLE app.t; CREATE VIEW app.t AS SELECT 1", "unusable_table", "rename it"),
        (
            "TRUNCATE app.t; CREATE RULE r AS ON INSERT TO app.t DO INSTEAD NOTHING",
            "altered_rows",
            "disable them until it is restored (ALTER TABLE … DISABLE)",
        ),
    ],
)
def test_a_table_that_is_not_as_it_was(saved: Vault, statement: str, guard: str, hint: str) -> None:
    saved.target = saved.house.url
    saved.sql(statement)
    before = saved.rows(saved.target)

    answer = saved.bring(table="app.t")

    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", guard)
    assert hint in answer["refusal"]["hint"]
    assert saved.rows(saved.target) == before


def test_what_the_role_may_not_do(saved: Vault) -> None:
    """Rows into a table of others, or a table in a schema of others: the hint is the GRANT that is lacking."""
    saved.target = saved.house.url.replace("postgres@", "clerk@")
    saved.sql("CREATE ROLE clerk LOGIN; TRUNCATE app.t; DROP TABLE plain; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        for grant in ("SELECT", "INSERT"):
            saved.sql(f"GRANT {grant} ON app.t TO clerk")
            refusal = saved.bring(table="app.t")["refusal"]
            assert (refusal["guard"], refusal["message"]) == (
                "unusable_table",
                "app.t may not be read and filled by us",
            )
            assert "GRANT SELECT, INSERT on it, and USAGE on its schema" in refusal["hint"]
        saved.sql("GRANT USAGE ON SCHEMA app TO clerk")
        assert saved.bring(table="app.t")["rows"] == 2
        with pytest.raises(PgToolError, match="permission denied for schema public") as raised:
            saved.bring(table="public.plain")
    finally:
        saved.sql("DROP OWNED BY clerk; DROP ROLE clerk")
    assert "GRANT CREATE ON the schema to the role" in str(raised.value.hint)


def test_an_object_that_is_missing(saved: Vault) -> None:
    """A restore of one table checks the objects of that table alone."""
    (entry,) = (entry for entry in saved.manifest()["tables"] if entry["name"] == "t")
    saved.remove(saved.manifest()["schema"]["sql"]["key"])
    saved.target = saved.house.url
    saved.sql("TRUNCATE app.t; TRUNCATE plain")
    assert saved.bring(table="public.plain")["status"] == "ok"
    saved.remove(entry["parts"][0]["key"])
    with pytest.raises(BackupDamaged, match="is missing") as raised:
        saved.bring(table="app.t")
    assert "nightshift backups says which others there are" in str(raised.value.hint)
    assert saved.rows(saved.house.url)["app.t"] == []


def test_a_new_table_whose_type_is_not_there(saved: Vault) -> None:
    with pytest.raises(PgToolError, match=r"app\.mood"):
        saved.bring(table="app.t")

    assert saved.rows(saved.target) == {}
