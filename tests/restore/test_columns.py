"""The table has lived on since: what fits goes in and is told, what could change a value is refused beforehand."""

from __future__ import annotations

import pytest

from tests.restore.small_log import ROWS, came, restore
from tests.support.house import House

FITS: dict[str, tuple[str, str, str, str | None]] = {
    "added, nullable": ("ADD extra int", "extra: not in the archive, filled with NULL", "id, extra", "id, NULL::int"),
    "added, default": (
        "ADD extra int NOT NULL DEFAULT 7",
        "extra: not in the archive, filled with its default",
        "id, extra",
        "id, 7",
    ),
    "dropped": ("DROP price", "price: no longer in the table, left out", "id, name, feeling, at", None),
    "int to bigint": ("ALTER id TYPE bigint", "id: integer became bigint", "id, name, price", None),
    "varchar longer": (
        "ALTER name TYPE varchar(20)",
        "name: character varying(10) became character varying(20)",
        "id, name",
        None,
    ),
    "varchar to text": ("ALTER name TYPE text", "name: character varying(10) became text", "id, name", None),
    "numeric wider": (
        "ALTER price TYPE numeric(12,3)",
        "price: numeric(10,2) became numeric(12,3)",
        "id, price",
        "id, price::numeric(12,3)",
    ),
    "enum to text": ("ALTER feeling TYPE text", "feeling: public.mood became text", "id, feeling", None),
    "generated": (
        "ADD twice numeric GENERATED ALWAYS AS (price * 2) STORED",
        "twice: computed again by the database",
        "id, twice",
        "id, price * 2",
    ),
}


@pytest.mark.slow
def test_what_fits_goes_in_and_is_told(log: House) -> None:
    for number, (name, (change, note, columns, kept)) in enumerate(FITS.items()):
        table = f"fits_{number}"
        log.sql(f"CREATE TABLE {table} (LIKE log INCLUDING ALL); ALTER TABLE {table} {change}")
        answer = restore(log, into=table)
        assert (answer["status"], answer["restored_rows"]) == ("ok", ROWS), name
        assert note in answer["columns"], name
        came(log, columns, table, kept)


def test_the_original_as_it_is_now(log: House) -> None:
    for name in ("added, default", "dropped", "int to bigint", "enum to text"):
        log.sql(f"ALTER TABLE log {FITS[name][0]}")
    answer = restore(log, into_original=True)
    assert (answer["status"], answer["restored_rows"]) == ("ok", ROWS)
    came(log, "id, name, feeling, at, extra", kept="id, name, feeling, at, 7")


MISFITS = {
    "added, NOT NULL": ("ADD extra int NOT NULL", "extra is NOT NULL without a default"),
    "varchar shorter": ("ALTER name TYPE varchar(5)", "name is character varying(5) now"),
    "bigint to int": ("ALTER id TYPE smallint", "id is smallint now, was integer"),
    "numeric coarser": ("ALTER price TYPE numeric(10,1)", "price is numeric(10,1) now"),
    "numeric less room": ("ALTER price TYPE numeric(10,3)", "price is numeric(10,3) now"),
    "numeric to float": ("ALTER price TYPE double precision", "price is double precision now"),
    "no zone": ("ALTER at TYPE timestamp", "at is timestamp without time zone now"),
    "renamed, required": ("RENAME at TO moment", "moment is NOT NULL without a default"),
}


@pytest.mark.slow
def test_what_does_not_fit_is_refused_and_changes_nothing(log: House) -> None:
    for number, (change, _) in enumerate(MISFITS.values()):
        log.sql(f"CREATE TABLE misfits_{number} (LIKE log); ALTER TABLE misfits_{number} {change}")
    log.sql("ALTER TABLE log ADD extra int NOT NULL")
    before = log.state()
    answers = [restore(log, into=f"misfits_{number}") for number in range(len(MISFITS))]
    for (name, (_, said)), answer in zip(MISFITS.items(), answers, strict=True):
        assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "impossible_columns"), name
        assert said in answer["refusal"]["message"]
    original = restore(log, into_original=True)
    assert (original["status"], original["refusal"]["guard"]) == ("refused", "impossible_columns")
    assert log.state() == before
    assert log.value("SELECT count(*) FROM nightshift_restored_object") == 0
    assert restore(log)["restored_rows"] == ROWS
    came(log, table="log_restored")


def test_a_renamed_column_is_named(log: House) -> None:
    log.sql("ALTER TABLE log RENAME name TO title; ALTER TABLE log RENAME at TO moment")
    answer = restore(log, into_original=True, rename={"name": "title", "at": "moment"})
    assert answer["status"] == "ok"
    assert {"title: filled from name", "moment: filled from at"} <= set(answer["columns"])
    came(log, "id, title, price, feeling, moment", kept="id, name, price, feeling, at")


def test_a_renamed_column_that_is_not_named_stays_empty_and_is_told(log: House) -> None:
    log.sql("ALTER TABLE log RENAME name TO title")
    answer = restore(log, into_original=True)
    assert "name: no longer in the table, left out" in answer["columns"]
    assert "title: not in the archive, filled with NULL" in answer["columns"]


def test_two_generations_of_columns_in_one_archive(log: House) -> None:
    log.sql(
        "ALTER TABLE log ALTER id TYPE bigint, ADD extra text, DROP price;"
        "INSERT INTO log (id, name, at, extra) VALUES (5000000000, 'new', '2025-08-20 12:00+09', 'more')"
    )
    assert log.run_table()["archived_rows"] == 1
    answer = restore(log)
    assert (answer["status"], answer["restored_rows"]) == ("ok", ROWS + 1)
    types = log.texts("log_restored", "pg_typeof(id) || ' ' || pg_typeof(price)")[0]
    assert types == "bigint numeric"
    assert log.value("SELECT extra FROM log_restored WHERE id = 5000000000") == "more"
    came(log, table="(SELECT * FROM log_restored WHERE id < 100) t")
    both = restore(log, into_original=True)
    assert (both["status"], both["restored_rows"]) == ("ok", ROWS + 1)


def test_a_later_generation_extends_our_own_table(log: House) -> None:
    restore(log)
    log.sql(
        "ALTER TABLE log ADD extra text; INSERT INTO log VALUES (99, 'n', 1, 'fine', '2025-08-20 12:00+09', 'more')"
    )
    log.run_table()
    answer = restore(log)
    assert (answer["status"], answer["restored_rows"], answer["already"]) == ("ok", 1, ROWS)
    assert log.sql("SELECT id, extra FROM log_restored WHERE extra IS NOT NULL") == [(99, "more")]


def test_a_type_that_is_gone_becomes_text(log: House) -> None:
    log.sql("DROP TABLE log; ALTER TABLE kept ALTER feeling TYPE text; DROP TYPE mood")
    answer = restore(log)
    assert (answer["status"], answer["restored_rows"]) == ("ok", ROWS)
    assert "feeling: the type public.mood is gone, restored as text" in answer["columns"]
    came(log, table="log_restored")


def test_the_table_is_gone(log: House) -> None:
    log.sql("DROP TABLE log")
    assert restore(log, into_original=True)["refusal"]["guard"] == "unknown_table"
    assert restore(log)["restored_rows"] == ROWS
    came(log, table="log_restored")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["log_restored", "elsewhere"])
def test_a_copy_that_was_thrown_away_comes_again(log: House, target: str) -> None:
    event = {} if target == "log_restored" else {"into": target}
    restore(log, **event)
    for gone in ("DROP TABLE {}", "TRUNCATE {}", "DELETE FROM {}", "ALTER TABLE {} RENAME TO looked_at"):
        log.sql(gone.format(target))
        answer = restore(log, **event)
        assert (answer["status"], answer["restored_rows"], answer["already"]) == ("ok", ROWS, 0), gone
        came(log, table=target)


def test_a_table_of_somebody_else_under_our_name_is_left_alone(log: House) -> None:
    """Nobody knows where its rows came from."""
    log.sql("CREATE TABLE log_restored AS SELECT id, name, at FROM kept WHERE id < 4")
    before = log.state()
    answer = restore(log)
    assert (answer["status"], answer["refusal"]["guard"]) == ("refused", "unknown_rows")
    assert log.state() == before
    assert restore(log, into="elsewhere")["restored_rows"] == ROWS


def test_a_target_in_another_schema(log: House) -> None:
    log.sql("CREATE SCHEMA attic")
    answer = restore(log, into="attic.log")
    assert (answer["status"], answer["into"]) == ("ok", "attic.log")
    came(log, table="attic.log")
    assert restore(log, into="attic.log")["already"] == ROWS
