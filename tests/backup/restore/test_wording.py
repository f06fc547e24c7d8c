"""Two wordings of one expression are the same; nothing else is."""

from __future__ import annotations

from contextlib import closing

import pytest

from local.chatlog import connect
from nightshift.backup.schema_diff import normalise_array_casts

BEFORE = "CHECK (((s)::text = ANY ((ARRAY['new'::character varying, 'done'::character varying])::text[])))"
AFTER = "CHECK (((s)::text = ANY (ARRAY[('new'::character varying)::text, ('done'::character varying)::text])))"


def test_a_list_that_is_converted_as_a_whole() -> None:
    assert normalise_array_casts(BEFORE) == normalise_array_casts(AFTER) == AFTER


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "(ARRAY['it''s, ]'::x, E'a\\\\\\'], b'::x])::text[]",
            "ARRAY[('it''s, ]'::x)::text, (E'a\\\\\\'], b'::x)::text]",
        ),
        ('(ARRAY["a], b", f(1, a[2])])::"my type"[]', 'ARRAY[("a], b")::"my type", (f(1, a[2]))::"my type"]'),
        ("(ARRAY[(ARRAY[1, 2])::bigint[]])::t[]", "ARRAY[(ARRAY[(1)::bigint, (2)::bigint])::t]"),
        (
            "(ARRAY[1])::numeric(6,2)[] || (ARRAY[2])::numeric(6,2)[]",
            "ARRAY[(1)::numeric(6,2)] || ARRAY[(2)::numeric(6,2)]",
        ),
    ],
)
def test_what_stands_in_a_list(before: str, after: str) -> None:
    assert normalise_array_casts(before) == after


@pytest.mark.parametrize("sql", ["(ARRAY[1, 2])", "(ARRAY[", "ARRAY[1]::text[]", "(ARRAY['a", "SELECT 1", ""])
def test_all_else_stays(sql: str) -> None:
    assert normalise_array_casts(sql) == sql


@pytest.mark.parametrize(
    "condition",
    [
        "k IN ('a', 'b''c', 'd,]')",
        "k NOT IN ('a', 'b')",
        "k = ANY (ARRAY['a', 'b']::varchar[])",
        "upper(k) IN ('A', E'x\\\\y')",
        "n IN (1, 2.5, 3)",
        "c IN ('a', 'b')",
    ],
)
def test_what_the_server_makes_of_its_own_words(database: str, condition: str) -> None:
    """Written, read back, and written again: not always the same, but the same once settled."""
    written = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'look'"
    with closing(connect(database)) as connection:
        connection.run(f"CREATE TABLE t (k varchar(9), n numeric, c char(3), CONSTRAINT look CHECK ({condition}))")
        (before,) = connection.run(written)[0]
        connection.run(f"ALTER TABLE t DROP CONSTRAINT look, ADD CONSTRAINT look {before}")
        (after,) = connection.run(written)[0]
    assert normalise_array_casts(before) == normalise_array_casts(after)
    if condition.startswith("k IN"):
        assert before != after
