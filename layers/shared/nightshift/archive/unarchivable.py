"""Finds values of a PostgreSQL table that the archive cannot hold, from the table's columns and some of its rows.

The check runs before the deletion. Rows are not checked while they are archived.
"""

from __future__ import annotations

from sqlalchemy import Connection

from nightshift.database import dialect
from nightshift.database.catalog import TableColumn, TableInfo, quote_identifier
from nightshift.database.values import output_of

LOOKED_AT = 1000
"""Maximum number of rows that are checked in each table."""

LARGE_BYTES = 128 << 20
"""Size of a row from which a warning is given. The text of some types has two or four times this size."""

_OBJECTS = (
    *("oid", "xid", "cid", "tid", "regclass", "regproc", "regprocedure", "regoper", "regoperator", "regtype"),
    *("regrole", "regnamespace", "regconfig", "regdictionary", "regcollation"),
)
"""Types whose values refer to their own database: to its objects, its transactions, or places of its rows."""

_MEASURED = ("bytea", "text", "varchar", "bpchar")
"""Types whose length is known without reading the value. For other types the compressed size is used."""


def check_columns(connection: Connection, info: TableInfo) -> tuple[str, ...]:
    """Returns one sentence for each group of columns whose values are meaningless outside their database."""
    if connection.dialect.name != "postgresql":
        return ()
    columns = [column for column in info.columns if column.base_type.removeprefix("_") in _OBJECTS]
    large = [column for column in columns if _names_large_objects(connection, info, column)]
    label = info.name.label
    warnings = [
        f"{label}.{column.name} names large objects: the archive holds their numbers alone. Copy their content into a"
        " bytea column first; objects that nothing names any more stay in the database until vacuumlo removes them"
        for column in large
    ]
    if others := [f"{column.name} ({column.type_name})" for column in columns if column not in large]:
        what = "objects of this database, which mean nothing in another one or once they are gone"
        warnings.append(f"{label}: the archive holds the numbers or names in {', '.join(others)}: {what}")
    return tuple(warnings)


def check_sizes(connection: Connection, info: TableInfo, condition: str) -> tuple[str, ...]:
    """Returns a sentence if one of the first rows that meet a condition may be too large to archive."""
    if connection.dialect.name != "postgresql":
        return ()
    sizes = f"SELECT {_size(info)} AS size FROM {info.name.sql} t WHERE {condition} LIMIT {LOOKED_AT}"
    largest = connection.exec_driver_sql(f"SELECT max(size) FROM ({sizes}) looked").scalar() or 0
    if largest < LARGE_BYTES:
        return ()
    return (
        f"{info.name.label} has rows of {largest >> 20:,} MB: PostgreSQL sends none of 1 GB or more, and a function"
        " needs about four times a row's size as memory",
    )


def name_largest(connection: Connection, info: TableInfo, condition: str) -> str:
    """Returns the name of the largest row that meets a condition: its primary key, or its `ctid` and partition."""
    key = dialect.primary_key(connection, info.name)
    shown = (
        ", ".join(f"{output_of('t.' + quote_identifier(column))}" for column in key) or "t.ctid, t.tableoid::regclass"
    )
    largest = f"SELECT {shown} FROM {info.name.sql} t WHERE {condition} ORDER BY {_size(info)} DESC LIMIT 1"
    row = connection.exec_driver_sql(largest).one_or_none()
    names = ", ".join(key) or "ctid, partition"
    return "" if row is None else f"({names}) = ({', '.join(map(str, row))})"


def _names_large_objects(connection: Connection, info: TableInfo, column: TableColumn) -> bool:
    """Returns whether a column's type is `lo`, or one of its first values is the number of a large object."""
    if column.type_name.rpartition(".")[2] == "lo":
        return True
    if column.base_type != "oid":
        return False
    numbers = f"SELECT {quote_identifier(column.name)} AS number FROM {info.name.sql} LIMIT {LOOKED_AT}"
    large = (
        f"SELECT 1 FROM ({numbers}) looked JOIN pg_catalog.pg_largeobject_metadata o ON o.oid = looked.number LIMIT 1"
    )
    return connection.exec_driver_sql(large).first() is not None


def _size(info: TableInfo) -> str:
    """Returns SQL for the bytes of a row `t`, as far as they are known without reading its values."""
    return " + ".join(f"coalesce({_bytes(column)}, 0)::bigint" for column in info.columns) or "0"


def _bytes(column: TableColumn) -> str:
    function = "octet_length" if column.base_type in _MEASURED else "pg_column_size"
    return f"pg_catalog.{function}(t.{quote_identifier(column.name)})"
