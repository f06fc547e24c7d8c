"""Names: split as people write them, quoted so that any of them is legal."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightshift.database.catalog import TableName, quote_identifier, quote_literal, split_name
from nightshift.database.sqlite import column_affinity
from tests.support.house import House

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(st.lists(names, min_size=1, max_size=2))
def test_quoted_names_come_apart_as_they_were(parts: list[str]) -> None:
    quoted = [quote_identifier(part) for part in parts]

    assert (
        split_name(".".join(quoted)) == split_name(f"  {' . '.join(quoted)}\n") == tuple((part, True) for part in parts)
    )


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("log", [("log", False)]),
        ("app.Events", [("app", False), ("Events", False)]),
        ('"My Schema"."Table.x"', [("My Schema", True), ("Table.x", True)]),
        ('app."a""b"', [("app", False), ('a"b', True)]),
        ("it's; DROP TABLE x", [("it's; DROP TABLE x", False)]),
        ("두 단어", [("두 단어", False)]),
        ("a.b.c", None),
        ("a.", None),
        (".a", None),
        ("a..b", None),
        ('"a', None),
        ('a"b', None),
        ('"a"b', None),
        ('""', None),
        ("", None),
    ],
)
def test_names_as_people_write_them(written: str, parts: list[tuple[str, bool]] | None) -> None:
    assert split_name(written) == (None if parts is None else tuple(parts))


@given(st.text())
def test_any_text_is_a_name_or_is_not(text: str) -> None:
    parts = split_name(text)
    assert parts is None or (1 <= len(parts) <= 2 and all(part for part, _ in parts))


@given(
    st.text(st.characters(exclude_characters='".', exclude_categories=["Cs", "Z", "C"]), min_size=1), st.integers(0, 3)
)
def test_a_label_means_one_table(text: str, dot: int) -> None:
    name = text[:dot] + "." + text[dot:]
    labels = {TableName("a", f"{name}").label, TableName(f"a.{text}", "b").label, TableName("a", text).label}

    assert len(labels) == 3
    parts = split_name(TableName("a", name).label)
    assert parts is not None and [part for part, _ in parts] == ["a", name]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_sqlite_takes_literals_to_the_letter(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute(f"SELECT {quote_literal(text)}").fetchone() == (text,)


def test_postgresql_takes_literals_to_the_letter(house: House) -> None:
    awkward = ["", "'", "''", "\\", "\\'", "E'x'", "%s", ":x", "$1", "$$", "한글", "\n\t", "--", "/*", ";"]
    found = house.sql("SELECT " + ", ".join(quote_literal(text) for text in awkward))
    assert list(found[0]) == awkward


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("INTEGER", "integer"),
        ("UNSIGNED BIG INT", "integer"),
        ("VARCHAR(20)", "text"),
        ("NCHAR", "text"),
        ("clob", "text"),
        ("BLOB", "blob"),
        ("", "blob"),
        ("DOUBLE PRECISION", "real"),
        ("FLOAT", "real"),
        ("BOOLEAN", "integer"),
        ("DATETIME", "text"),
        ("TIMESTAMP WITH TIME ZONE", "text"),
        ("NUMERIC", "numeric"),
        ("DECIMAL(10,5)", "numeric"),
        ("POINT", "integer"),
    ],
)
def test_affinities(declared: str, expected: str) -> None:
    """SQLite's own table of examples (datatype3.html, 3.1.1), `POINT` included; the fifth rule refined."""
    assert column_affinity(declared) == expected
