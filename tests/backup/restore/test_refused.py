"""What the server refuses costs nothing but itself: the rest comes back, and what does not is named."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from nightshift.backup.opened_backup import OpenedBackup
from nightshift.backup.pg_tools import PgToolError
from nightshift.backup.requests import RestoreOptions
from nightshift.backup.restore import restore_backup
from nightshift.database.connect import Database
from nightshift.database.url import parse_database_url
from nightshift.errors import DatabaseUnavailable, NightshiftError
from nightshift.rows.row_connection import ConnectionLost
from nightshift.store import ObjectStore
from tests.backup.restore.vault import NAME, NEXT, NEXT_NAME, Vault

GOOD = """
CREATE TABLE good (id serial PRIMARY KEY, a int); INSERT INTO good (a) SELECT generate_series(1, 500);
CREATE INDEX good_a ON good (a)
"""

RULE = "CREATE {replace} FUNCTION fair(n int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT n > {least}'"
"""A check that a table's rows passed when they came."""


def stricter(vault: Vault, least: int) -> None:
    """From now on only numbers above that pass."""
    vault.sql(RULE.format(replace="OR REPLACE", least=least))


@pytest.fixture
def ruled(vault: Vault) -> Vault:
    """A table whose rows the rule of now would not let in."""
    vault.sql(RULE.format(replace="", least=0))
    vault.sql(f"{GOOD}; CREATE TABLE bad (n int CHECK (fair(n))); INSERT INTO bad VALUES (1), (2)")
    stricter(vault, 5)
    vault.save()
    return vault


def test_rows_that_are_refused(ruled: Vault) -> None:
    answer = ruled.bring()

    assert (answer["status"], answer["complete"]) == ("partial", False)
    said = 'public.bad: 0 of 2 rows came back: new row for relation "bad" violates check constraint "bad_n_check"'
    assert answer["differences"] == [said]
    assert said[:30] in ruled.house.slack.messages[-1].seen
    assert ruled.schema(ruled.target) == ruled.schema(ruled.house.url)
    assert ruled.rows(ruled.target) == {**ruled.rows(ruled.house.url), "public.bad": []}
    assert ruled.sequences(ruled.target) == ruled.sequences(ruled.house.url)


def test_one_table_alone(ruled: Vault) -> None:
    ruled.target = ruled.house.url
    ruled.sql("TRUNCATE bad")

    answer = ruled.bring(table="bad")

    assert (answer["status"], answer["rows"]) == ("partial", 0)
    assert answer["differences"][0].startswith("public.bad: 0 of 2 rows came back: ")


@pytest.mark.slow
def test_a_sequence_that_cannot_stand_there(ruled: Vault) -> None:
    """It has another end by the schema than by the manifest; those beside it go where they stood."""
    ruled.sql("CREATE SEQUENCE short MAXVALUE 5; CREATE SEQUENCE other START 7")
    ruled.save(NEXT)
    facts = ruled.manifest(NEXT_NAME)
    (state,) = (one for one in facts["sequences"] if one["name"] == "short")
    state["last_value"] = 6
    ruled.forge(facts, NEXT_NAME)

    answer = ruled.bring(backup=NEXT_NAME)

    assert "sequence public.short stands elsewhere" in answer["differences"]
    assert ruled.sequences(ruled.target) == ruled.sequences(ruled.house.url)


def test_a_rehearsal_is_not_proven_by_it(ruled: Vault) -> None:
    answer = ruled.rehearse()

    assert (answer["status"], answer["proven"]) == ("partial", False)
    assert ruled.scratch() == []


@pytest.mark.slow
def test_one_part_of_many(vault: Vault) -> None:
    vault.sql(RULE.format(replace="", least=0))
    vault.sql("CREATE TABLE t (n int CHECK (fair(n)), body text)")
    vault.sql("INSERT INTO t SELECT n, repeat(md5(n::text), 32) FROM generate_series(1, 40000) n")
    stricter(vault, 1)
    vault.save()
    (entry,) = (entry for entry in vault.manifest()["tables"] if entry["name"] == "t")
    (refused,) = entry["parts"][:1]
    assert len(entry["parts"]) > 1

    answer = vault.bring()

    left = 40000 - refused["rows"]
    (said,) = answer["differences"]
    assert said.startswith(f"public.t: {left} of 40000 rows came back: new row")
    assert vault.postgres.execute("SELECT count(*) FROM t", vault.target.rpartition("/")[2]) == [(left,)]


def test_rows_that_another_table_should_place(vault: Vault) -> None:
    """They pass into a table of their own first, and are refused on the way from there."""
    vault.sql(RULE.format(replace="", least=0))
    vault.sql(
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE kept (k mood, n int CHECK (fair(n))) PARTITION BY HASH (k);"
        "CREATE TABLE kept_0 PARTITION OF kept FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        "INSERT INTO kept VALUES ('a', 1), ('b', 2)"
    )
    stricter(vault, 1)
    vault.save()

    (said,) = vault.bring()["differences"]

    assert said.startswith("public.kept_0: 0 of 2 rows came back: new row")
    assert vault.rows(vault.target)["public.kept_0"] == []


def test_a_server_that_is_lost_is_no_refusal(ruled: Vault) -> None:
    """Behind the first table that is in, its connection is cut."""
    backup = OpenedBackup.open_named(ObjectStore(ruled.house.s3.client, ruled.house.bucket), "backup", NAME)
    name = ruled.target.rpartition("/")[2]
    cut = []

    def told(_label: str, _rows: int) -> None:
        ours = f"datname = '{name}' AND pid <> pg_backend_pid() AND query LIKE 'COMMIT%'"
        cut.extend(ruled.postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}"))

    with (
        closing(Database(parse_database_url(ruled.target), deadline=time.monotonic() + 60)) as database,
        pytest.raises((ConnectionLost, DatabaseUnavailable)),
    ):
        restore_backup(backup, database, RestoreOptions(workers=1, listener=told))
    assert cut


OF_ITSELF = """
CREATE TABLE t (k int); INSERT INTO t VALUES (1);
CREATE VIEW v AS SELECT k FROM t; CREATE OR REPLACE VIEW v AS SELECT k FROM v;
CREATE TABLE lost (a v); CREATE INDEX t_k ON t (k)
"""


def test_objects_that_are_refused(vault: Vault) -> None:
    """A view that reads itself is one that nobody can make anew; a table of its rows goes with it."""
    vault.sql(f"{GOOD}; {OF_ITSELF}")
    vault.save()

    answer = vault.bring()

    assert answer["status"] == "partial"
    assert answer["differences"][0] == 'CREATE VIEW public.v: relation "public.v" does not exist'
    assert {*answer["differences"]} >= {
        "public.lost: it does not exist",
        "view public.v did not come back",
        "table public.lost did not come back",
    }
    before = vault.rows(vault.house.url)
    del before["public.lost"]
    assert vault.rows(vault.target) == before
    assert vault.sequences(vault.target) == vault.sequences(vault.house.url)
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename IN ('good', 't') ORDER BY 1"
    assert vault.postgres.execute(indexes, vault.target.rpartition("/")[2]) == vault.sql(indexes)
    assert not vault.rehearse()["proven"]


def test_where_nothing_can_be_made(vault: Vault) -> None:
    vault.sql(GOOD)
    vault.save()
    vault.sql("CREATE ROLE clerk LOGIN")
    vault.target = vault.target.replace("postgres@", "clerk@")
    try:
        with pytest.raises(PgToolError, match="permission denied for schema public"):
            vault.bring(owners=False)
    finally:
        vault.sql("DROP ROLE clerk")

    assert vault.is_empty(vault.target)


def test_a_damaged_part_is_no_refusal(ruled: Vault) -> None:
    (entry,) = (entry for entry in ruled.manifest()["tables"] if entry["name"] == "good")
    key = entry["parts"][0]["key"]
    body = ruled.object(key)
    ruled.put(key, body[:-1] + bytes([body[-1] ^ 1]))

    with pytest.raises(NightshiftError, match="damaged") as raised:
        ruled.bring()

    assert key in str(raised.value)
