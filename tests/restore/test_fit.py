"""Which archived type may fill which column: only where no value can change."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from nightshift.database.insertable import InsertColumn
from nightshift.restore.column_fit import (
    ColumnFit,
    common_type,
    fit_columns,
    is_safe_cast,
    sqlite_widens,
)
from nightshift.rows.reader import ArchivedColumn

HELD = [
    ("integer", "integer"),
    ("smallint", "bigint"),
    ("integer", "numeric"),
    ("bigint", "numeric"),
    ("integer", "double precision"),
    ("real", "double precision"),
    ("character varying(10)", "character varying(20)"),
    ("character varying(10)", "character varying"),
    ("character varying", "text"),
    ("character(3)", "character varying(3)"),
    ("character(3)", "text"),
    ("numeric(10,2)", "numeric(12,3)"),
    ("numeric(10)", "numeric(12,2)"),
    ("numeric(10,2)", "numeric"),
    ("bit varying(3)", "bit varying(5)"),
    ("timestamp(3) without time zone", "timestamp(6) without time zone"),
    ("timestamp(3) with time zone", "timestamp with time zone"),
    ("time(0) without time zone", "time without time zone"),
    ("app.mood", "text"),
    ("integer[]", "text"),
]

LOST = [
    ("bigint", "integer"),
    ("bigint", "double precision"),
    ("integer", "real"),
    ("double precision", "numeric"),
    ("numeric", "bigint"),
    ("numeric", "numeric(10,2)"),
    ("numeric(10,2)", "numeric(10,3)"),
    ("numeric(10,2)", "numeric(12,1)"),
    ("text", "character varying(10)"),
    ("character varying", "character varying(10)"),
    ("character varying(20)", "character varying(10)"),
    ("character varying(3)", "character(3)"),
    ("character(3)", "character(5)"),
    ("character(5)", "character varying(3)"),
    ("bit(3)", "bit(5)"),
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp with time zone", "timestamp(3) with time zone"),
    ("date", "timestamp without time zone"),
    ("json", "jsonb"),
    ("text", "app.mood"),
    ("text", "integer"),
    ("interval", "interval(3)"),
    ("integer[]", "bigint[]"),
]


@pytest.mark.parametrize(("old", "new"), HELD)
def test_every_value_has_its_place(old: str, new: str) -> None:
    assert is_safe_cast(old, new)


@pytest.mark.parametrize(("old", "new"), LOST)
def test_a_value_could_change(old: str, new: str) -> None:
    assert not is_safe_cast(old, new)


def test_sqlite_goes_by_affinity() -> None:
    assert sqlite_widens("VARCHAR(10)", "TEXT")
    assert sqlite_widens("INTEGER", "BLOB")
    assert sqlite_widens("BIGINT", "INT")
    assert not sqlite_widens("TEXT", "INTEGER")
    assert not sqlite_widens("REAL", "TEXT")
    assert not sqlite_widens("TEXT", "DATETIME"), "numeric to SQLite: '007' would become 7"
    assert not sqlite_widens("NUMERIC", "")


def test_the_common_type_of_generations() -> None:
    assert common_type(["integer", "bigint"], is_safe_cast, "text") == "bigint"
    assert common_type(["bigint", "integer"], is_safe_cast, "text") == "bigint"
    assert common_type(["integer", "date"], is_safe_cast, "text") == "text"
    assert common_type(["integer"], is_safe_cast, "text") == "integer"
    assert common_type(["INTEGER", "TEXT"], sqlite_widens, "") == ""


def column(name: str, type_name: str = "integer") -> ArchivedColumn:
    return ArchivedColumn(name, type_name, pa.int32())


def slot(name: str, type_name: str = "integer", **more: Any) -> InsertColumn:
    return InsertColumn(name=name, type_name=type_name, base_type="int4", **more)


def test_by_name_whatever_the_order() -> None:
    found = fit_columns([column("a"), column("b")], [slot("b"), slot("a")], {}, is_safe_cast)
    assert isinstance(found, ColumnFit)
    assert [(f.slot.name, f.source.name) for f in found.filled] == [("b", "b"), ("a", "a")]
    assert found.notes == ()


def test_what_differs_is_said() -> None:
    slots = [slot("a", "bigint"), slot("new", default=True), slot("plus"), slot("sum", generated=True), slot("to")]
    found = fit_columns(
        [column("a"), column("gone"), column("from"), column("sum")], slots, {"from": "to"}, is_safe_cast
    )
    assert isinstance(found, ColumnFit)
    assert found.notes == (
        "a: integer became bigint",
        "new: not in the archive, filled with its default",
        "plus: not in the archive, filled with NULL",
        "sum: computed again by the database",
        "to: filled from from",
        "gone: no longer in the table, left out",
    )


def test_what_cannot_be_is_named_in_full() -> None:
    slots = [slot("a", "smallint"), slot("must", required=True)]
    found = fit_columns([column("a")], slots, {"b": "c"}, is_safe_cast)
    assert found == [
        "rename: no archived column b",
        "a is smallint now, was integer: values could change",
        "must is NOT NULL without a default, and the archive has no such column",
        "rename: the table has no column c",
        "no archived column has a place in the table",
    ]
