"""Reads SQLite's catalogue into `catalog.TableInfo`.

In SQLite a value has a type, and a column has only an *affinity*, which its declared type determines
(https://www.sqlite.org/datatype3.html, section 3.1). `TableColumn.base_type` is the column's affinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from nightshift.database.catalog import (
    ColumnComparison,
    ForeignKey,
    HeapTable,
    OnDelete,
    TableColumn,
    TableInfo,
    TableName,
    quote_identifier,
    split_name,
)

_TEXT = ("CHAR", "CLOB", "TEXT")
_TYPES = "SELECT name, type FROM pragma_table_xinfo(?)"
_FIRST_COLUMNS = (
    "SELECT i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i WHERE l.partial = 0 AND i.seqno = 0"
)

SHAPE_SQL = "PRAGMA schema_version"
"""Query for a number that every schema change raises (https://www.sqlite.org/pragma.html#pragma_schema_version)."""


def describe_table(connection: Connection, written: str, timestamp: str) -> TableInfo | None:
    """Describe a table; return None if no table or view has this name. See `postgres.describe_table`."""
    parts = split_name(written)
    if parts is None or len(parts) != 1:
        return None
    named = "SELECT name, type, sql FROM sqlite_master WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')"
    relations = _rows(connection, named, parts[0][0])
    if not relations:
        return None
    name, kind, sql = relations[0]
    strict = is_strict(connection, name)
    columns = tuple(
        TableColumn(row.name, declared := declared_type(row.type, strict=strict), column_affinity(declared))
        for row in _rows(
            connection, "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", name
        )
    )
    rowid = row_identifier(columns)
    triggers = [
        row
        for row in _rows(
            connection,
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name",
            name,
        )
        if "DELETE" in row.sql.upper()
    ]
    whole = kind == "table" and rowid is not None and "WITHOUT ROWID" not in sql.upper()
    return TableInfo(
        name=TableName("", name),
        kind="table without rowid" if kind == "table" and not whole else kind,
        columns=columns,
        heaps=(_heap(connection, name, timestamp, rowid),) if whole and rowid else (),
        referenced_by=tuple(_referenced_by(connection, name)),
        hiding=tuple(f"trigger {row.name}" for row in triggers if "RAISE" in row.sql.upper()),
        triggers=tuple(f"trigger {row.name}" for row in triggers if "RAISE" not in row.sql.upper()),
    )


def primary_key(connection: Connection, table: TableName) -> tuple[str, ...]:
    """Returns the primary key's columns in key order; without a primary key, the rowid's name."""
    columns = _rows(connection, "SELECT name, pk FROM pragma_table_info(?) ORDER BY pk", table.name)
    key = tuple(row.name for row in columns if row.pk)
    rowid = row_identifier([TableColumn(row.name, "", "") for row in columns])
    return key or ((rowid,) if rowid else ())


def is_unique(connection: Connection, table: TableName, columns: Sequence[str]) -> bool:
    """Returns whether a unique index consists of exactly these columns."""
    indexes = 'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial'
    for index in _rows(connection, indexes, table.name):
        parts = _rows(connection, "SELECT name FROM pragma_index_info(?)", index.name)
        if sorted(str(part.name) for part in parts) == sorted(columns):
            return True
    return False


def row_identifier(columns: Sequence[TableColumn]) -> str | None:
    """Returns the name of the table's rowid: `rowid`, `_rowid_` or `oid`, the first that no column has.

    Returns None if columns have all three names (https://www.sqlite.org/rowidtable.html).
    """
    taken = {column.name.lower() for column in columns}
    return next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)


def is_strict(connection: Connection, name: str) -> bool:
    """Returns whether a table is STRICT; SQLite has STRICT tables since version 3.37."""
    import sqlite3  # not for PostgreSQL's cold starts

    if sqlite3.sqlite_version_info < (3, 37):
        return False
    (table,) = _rows(connection, "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?", name)
    return bool(table.strict)


def declared_type(written: str | None, *, strict: bool) -> str:
    """Returns a column's declared type; empty if there is none, or if the type is `ANY` in a STRICT table.

    In a STRICT table, a column of type `ANY` stores every value unchanged (https://www.sqlite.org/stricttables.html),
    like a column without a type in other tables. In other tables, `ANY` converts text that looks like a number.
    """
    return "" if written is None or (strict and written.upper() == "ANY") else written


def column_affinity(declared: str) -> str:
    """Returns the affinity of a declared type, by SQLite's five rules in order.

    SQLite's fifth rule gives every other type the affinity `numeric`. Here BOOLEAN has the affinity `integer`, and
    DATE, TIME and DATETIME have the affinity `text`, because applications store integers and text in these columns.
    """
    upper = declared.upper()
    if "INT" in upper:
        return "integer"
    if any(word in upper for word in _TEXT):
        return "text"
    if "BLOB" in upper or not upper:
        return "blob"
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return "real"
    if "BOOL" in upper:
        return "integer"
    return "text" if "DATE" in upper or "TIME" in upper else "numeric"


def _heap(connection: Connection, name: str, timestamp: str, rowid: str) -> HeapTable:
    table = quote_identifier(name)
    top = connection.exec_driver_sql(f"SELECT max({rowid}) FROM {table}").scalar() or 0
    pages: Any = connection.exec_driver_sql(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    ).scalar()
    indexed = any(row.name and row.name.lower() == timestamp.lower() for row in _rows(connection, _FIRST_COLUMNS, name))
    shape: Any = connection.exec_driver_sql(SHAPE_SQL).scalar()
    return HeapTable(
        TableName("", name), bytes=int(pages or 0), blocks=int(top), rows=-1.0, indexed=indexed, shape=shape
    )


def _referenced_by(connection: Connection, name: str) -> list[ForeignKey]:
    if not connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
        # The application may enable enforcement for its own connections, so nightshift's connections enforce as well.
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
    # A foreign key that names no referenced column references the primary key.
    key = [
        row.name for row in _rows(connection, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", name)
    ]
    keys = []
    for child in _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        groups: dict[int, list[Any]] = {}
        for row in _rows(connection, "SELECT * FROM pragma_foreign_key_list(?) ORDER BY id, seq", child.name):
            if row.table.lower() == name.lower():
                groups.setdefault(row.id, []).append(row)
        keys += [
            ForeignKey(
                child.name,
                f"{child.name}.{rows[0]._mapping['from']}",
                OnDelete(rows[0].on_delete),
                columns := tuple(row._mapping["from"] for row in rows),
                referenced := tuple(row.to or key[row.seq] for row in rows),
                quote_identifier(child.name),
                comparisons=(compared := reference_comparisons(connection, name, referenced, child.name, columns)),
                actions=() if {c.operator for c in compared} <= {"="} else (ColumnComparison(),) * len(compared),
            )
            for rows in groups.values()
        ]
    return keys


def reference_comparisons(
    connection: Connection, parent: str, referenced: Sequence[str], child: str, columns: Sequence[str]
) -> tuple[ColumnComparison, ...]:
    """Returns the comparisons that a foreign key from `child` to these columns of `parent` would use.

    SQLite compares with the left operand's collation, here the referenced column's. Before it compares, SQLite converts
    a new row's value to the referenced column's affinity (https://www.sqlite.org/foreignkeys.html, section 3). If the
    two columns' affinities differ, a unary `+` keeps SQLite from applying the referencing column's affinity.
    """
    types = [
        {row.name.lower(): _conversion(row.type or "") for row in _rows(connection, _TYPES, table)}
        for table in (parent, child)
    ]
    pairs = zip(referenced, columns, strict=True)
    alike = (types[0].get(theirs.lower()) == types[1].get(mine.lower()) for theirs, mine in pairs)
    return tuple(ColumnComparison(operator="=" if same else "= +") for same in alike)


def _conversion(declared: str) -> str:
    """Returns the affinity that a comparison uses for a declared type; all numeric affinities count as `numeric`."""
    upper = declared.upper()
    if upper == "ANY" or any(word in upper for word in _TEXT):
        return column_affinity(declared) if upper != "ANY" else upper
    return "blob" if column_affinity(declared) == "blob" else "numeric"


def _rows(connection: Connection, statement: str, *parameters: str) -> list[Any]:
    return list(connection.exec_driver_sql(statement, parameters))
