"""What a restore computes anew is compared with what was saved: generated columns, and rows of materialized views."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nightshift.progress_events import ProgressStep
from tests.backup.restore.vault import NAME, NEXT, Vault
from tests.support.backups import BackupHouse

LOG = "CREATE TABLE log (id int PRIMARY KEY, n int); INSERT INTO log SELECT i, i FROM generate_series(1, 10) i;"
PRICE = "CREATE FUNCTION price(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 2;"
DEARER = "CREATE OR REPLACE FUNCTION price(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 3;"


def told_of(answer: dict[str, Any], key: str) -> str:
    (one,) = answer[key]
    return str(one)


def stamp(vault: Vault) -> dict[str, Any]:
    return dict(json.loads(vault.object("proven.json")))


@pytest.mark.fast_cases("INSERT")
@pytest.mark.parametrize(
    ("change", "held", "yields"),
    [
        ("DELETE FROM log WHERE id > 2", 10, 2),
        ("UPDATE log SET n = -n", 10, 10),
        ("TRUNCATE log", 10, 0),
        ("INSERT INTO log VALUES (11, NULL)", 10, 11),
    ],
)
def test_a_materialized_view_older_than_its_table(vault: Vault, change: str, held: int, yields: int) -> None:
    vault.sql(f"{LOG} CREATE MATERIALIZED VIEW seen AS SELECT * FROM log; {change}")
    vault.save()

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"], answer["differences"]) == ("ok", True, [])
    said = told_of(answer, "but_for")
    assert "materialized view public.seen" in said and f"{yields} that its query" in said and f"the {held} " in said
    assert said in stamp(vault)["but_for"]
    assert "public.seen" in vault.house.slack.messages[-1].seen and "제외하고" in vault.house.slack.messages[-1].seen
    assert told_of(vault.bring(), "but_for") == said


@pytest.mark.slow
def test_views_on_views_without_data_and_up_to_date(vault: Vault) -> None:
    """The one on top is stale because of the one below it; the others are as they were, and nothing is said."""
    vault.sql(
        f"{LOG} CREATE MATERIALIZED VIEW below AS SELECT n FROM log;"
        "CREATE VIEW between AS SELECT n + 1 AS n FROM below;"
        "CREATE MATERIALIZED VIEW above AS SELECT sum(n) FROM between; DELETE FROM log WHERE id > 5;"
        "REFRESH MATERIALIZED VIEW below; CREATE MATERIALIZED VIEW fresh AS SELECT max(n) FROM below;"
        "CREATE MATERIALIZED VIEW never AS SELECT * FROM log WITH NO DATA;"
        "CREATE MATERIALIZED VIEW no_columns AS SELECT FROM log;"
        "CREATE MATERIALIZED VIEW no_rows AS SELECT 1 WHERE false"
    )
    vault.save()

    assert "public.above" in told_of(vault.rehearse(), "but_for")

    vault.bring()
    database = vault.target.rpartition("/")[2]
    assert vault.postgres.execute("SELECT relispopulated FROM pg_class WHERE relname = 'never'", database) == [(False,)]
    assert vault.rows(vault.target)["public.above"] == ["(20)"]


@pytest.mark.slow
def test_a_materialized_view_of_another_answer_each_time(vault: Vault) -> None:
    vault.sql("CREATE MATERIALIZED VIEW dice AS SELECT random() AS r FROM generate_series(1, 3)")
    vault.save()

    assert "public.dice" in told_of(vault.rehearse(), "but_for")


def test_a_materialized_view_that_cannot_be_filled(vault: Vault) -> None:
    vault.sql(f"{LOG} CREATE MATERIALIZED VIEW shares AS SELECT 1 / n AS s FROM log; UPDATE log SET n = 0 WHERE id = 3")
    vault.save()

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"]) == ("partial", False)
    assert answer["differences"] == [
        "REFRESH MATERIALIZED VIEW public.shares: division by zero",
        "materialized view data public.shares did not come back",
    ]


def test_a_materialized_view_that_may_not_be_read(vault: Vault) -> None:
    vault.sql(f"{LOG} CREATE MATERIALIZED VIEW closed AS SELECT * FROM log")
    vault.sql("CREATE ROLE clerk LOGIN; GRANT ALL ON SCHEMA public TO clerk; GRANT SELECT ON log TO clerk")
    vault.env["DATABASE_URL"] = vault.house.url.replace("postgres@", "clerk@")
    try:
        answer = vault.save()
    finally:
        vault.sql("DROP OWNED BY clerk; DROP ROLE clerk")

    assert "public.closed" in told_of(answer, "missing") and "GRANT SELECT" in told_of(answer, "missing")
    assert vault.manifest()["views"] == []


@pytest.mark.slow
def test_a_materialized_view_that_is_refreshed_meanwhile(backups: BackupHouse) -> None:
    """Whoever looks sees the new rows, which are of no snapshot."""
    backups.sql(f"{LOG} CREATE MATERIALIZED VIEW seen AS SELECT * FROM log; CREATE MATERIALIZED VIEW kept AS SELECT 1")
    child = backups.child(hold_at=ProgressStep.STREAMED)
    child.await_step(ProgressStep.STREAMED)
    backups.sql("INSERT INTO log VALUES (11, 11); REFRESH MATERIALIZED VIEW seen")
    child.resume()
    assert child.wait() == 0

    manifest = backups.manifest("backup_2025_10_15_0900")

    assert [view.label for view in manifest.views] == ["public.kept"]
    (said,) = manifest.missing
    assert "public.seen" in said and "refreshed while the backup was taken" in said


@contextmanager
def one_table(vault: Vault) -> Iterator[str]:
    """Into the database that lives, where the table was emptied."""
    vault.sql("TRUNCATE item")
    vault.target = vault.house.url
    yield "item"


@pytest.mark.slow
def test_a_generated_column_whose_function_has_changed(vault: Vault) -> None:
    vault.sql(
        f"{PRICE} CREATE TABLE item (n int, total int GENERATED ALWAYS AS (price(n)) STORED,"
        ' "half N" int GENERATED ALWAYS AS (n / 2) STORED); INSERT INTO item SELECT generate_series(10, 20, 10);'
        f"{DEARER}"
    )
    vault.save()

    answer = vault.rehearse()

    assert (answer["status"], answer["proven"]) == ("partial", False)
    assert "public.item: the generated column total " in told_of(answer, "differences")
    vault.sql("UPDATE item SET n = n")  # as the message says
    vault.save(NEXT)
    answer = vault.rehearse()
    assert (answer["proven"], answer["differences"]) == (True, [])
    with one_table(vault) as table:
        vault.sql("CREATE OR REPLACE FUNCTION price(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 4")
        answer = vault.bring(backup="newest", table=table)
        assert "generated column total" in told_of(answer, "differences")


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("30 - n", "n"),  # the same values, of other rows
        ("n", "CASE WHEN n > 10 THEN n END"),
        ("NULL", "0"),
        ("1 - n", "n + 1"),
    ],
)
def test_what_the_digest_tells_apart(vault: Vault, before: str, after: str) -> None:
    made = "CREATE OR REPLACE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN {}; END'"
    vault.sql(
        f"{made.format(before)}; CREATE TABLE item (n int, f int GENERATED ALWAYS AS (f(n)) STORED);"
        f"INSERT INTO item VALUES (10), (20); {made.format(after)}"
    )
    vault.save()

    assert "public.item: the generated column f " in told_of(vault.bring(), "differences")


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("CREATE TABLE item (n int CHECK (f(n) > 0))", "public.item: 0 of 2 rows came back"),
        ("CREATE DOMAIN d AS int CHECK (f(VALUE) > 0); CREATE TABLE item (n d)", "public.item: 0 of 2 rows came back"),
        ("CREATE TABLE item (n int); CREATE UNIQUE INDEX one ON item (f(n))", "index public.one did not come back"),
        (
            "CREATE TABLE item (n int) PARTITION BY RANGE (f(n));"
            "CREATE TABLE item_1 PARTITION OF item FOR VALUES FROM (1) TO (9)",
            "public.item_1: 0 of 2 rows came back",
        ),
    ],
)
def test_what_a_function_refuses_since_it_changed(vault: Vault, table: str, told: str) -> None:
    """Checks, domains, unique expressions, partitions: rows or the index do not come back, and are no proof."""
    made = "CREATE OR REPLACE FUNCTION f(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN {}; END'"
    vault.sql(f"{made.format('n')}; {table}; INSERT INTO item VALUES (1), (2); {made.format('-1')}")
    vault.save()

    answer = vault.rehearse()

    assert not answer["proven"] and any(one.startswith(told) for one in answer["differences"]), answer


@pytest.mark.slow
def test_generated_columns_of_every_kind_of_table(vault: Vault) -> None:
    """Partitions, children, rows that go in by way of another table, rows in many pieces, hard types."""
    vault.sql(
        "CREATE TYPE mood AS ENUM ('a', 'b', 'c'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 99);"
        "CREATE TABLE hashed (m mood, n int, g int GENERATED ALWAYS AS (n * 2) STORED) PARTITION BY HASH (m);"
        "CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO hashed SELECT m, i FROM unnest(ARRAY['a', 'b', 'c']::mood[]) m, generate_series(1, 50) i;"
        "CREATE TABLE base (n int, g text GENERATED ALWAYS AS ('é' || n::text) STORED);"
        "CREATE TABLE child (t tsvector GENERATED ALWAYS AS (to_tsvector('simple', n::text)) STORED) INHERITS (base);"
        "INSERT INTO base VALUES (1), (NULL); INSERT INTO child VALUES (1), (2);"
        'CREATE TABLE odd ("a "" %s" float8, "b "" %s" short GENERATED ALWAYS AS ("a "" %s"::text) STORED,'
        " at timestamp, j numeric(40, 3), k numeric(40, 3) GENERATED ALWAYS AS (j / 3) STORED);"
        'INSERT INTO odd ("a "" %s", at, j)'
        " VALUES ('NaN', 'infinity', 'NaN'), ('-0', '2025-01-01', 1), (1e300, NULL, NULL);"
        "CREATE TABLE empty (a int, g int GENERATED ALWAYS AS (a) STORED);"
        "CREATE TABLE large (n int, g int GENERATED ALWAYS AS (n % 7) STORED, filler char(500) DEFAULT '');"
        "INSERT INTO large SELECT generate_series(1, 150000)"
    )
    source = vault.rows(vault.house.url)
    vault.save()

    answer = vault.rehearse()
    assert (answer["proven"], answer["differences"]) == (True, [])
    vault.bring()

    found = vault.rows(vault.target)
    for parts in (source, found):  # an enum's rows may lie in the other partition
        parts["hashed"] = sorted(parts.pop("public.hashed_0") + parts.pop("public.hashed_1"))
    assert found == source
    entries = {entry["name"]: entry for entry in vault.manifest()["tables"]}
    assert [column["name"] for column in entries["child"]["computed"]] == ["g", "t"]
    assert {column["name"] for column in entries["hashed_0"]["computed"]} == {"g"}


def test_a_table_that_has_lost_its_generated_column(vault: Vault) -> None:
    vault.sql(f"{PRICE} CREATE TABLE item (n int, g int GENERATED ALWAYS AS (price(n)) STORED)")
    vault.sql("INSERT INTO item VALUES (1), (2)")
    vault.save()
    vault.sql("ALTER TABLE item DROP COLUMN g")
    with one_table(vault) as table:
        answer = vault.bring(table=table)

    assert (answer["rows"], told_of(answer, "differences")) == (2, "public.item: the generated column g is gone")


def test_a_backup_of_an_older_version_knows_of_neither(vault: Vault) -> None:
    vault.sql(f"{PRICE} CREATE TABLE item (n int, g int GENERATED ALWAYS AS (price(n)) STORED); {DEARER}")
    vault.sql("INSERT INTO item VALUES (1), (2); CREATE MATERIALIZED VIEW v AS SELECT random()")
    vault.save()
    facts = vault.manifest()
    del facts["views"]
    for entry in facts["tables"]:
        del entry["computed"]
    vault.forge(facts, NAME)

    assert vault.rehearse()["differences"] == []
