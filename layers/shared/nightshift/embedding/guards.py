"""Checks the documents and the target of their embeddings before anything is written."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from nightshift.database import dialect
from nightshift.database.catalog import TableColumn, TableInfo, TableName
from nightshift.guards import GuardRefused, check_readable, column_names, known_column

_COLUMN = """
SELECT a.attnotnull AS filled, a.attgenerated::text <> '' AS generated,
  pg_has_role(c.relowner, 'USAGE') AS owned,
  EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = CAST('pg_rewrite' AS regclass)
    AND d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = c.oid AND d.refobjsubid = a.attnum) AS viewed
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.attrelid = CAST(:table AS regclass) AND a.attname = :column
"""

_RIGHTS = "SELECT bool_and(has_table_privilege(CAST(:table AS regclass), r)) FROM unnest(CAST(:rights AS text[])) r"


def known_table(written: str, info: TableInfo | None) -> TableInfo:
    """Returns the table's description; raises `GuardRefused` if there is no such table or rows are hidden."""
    if info is None:
        hint = "write `table` in [[embedding]] as the database has it: a name, or schema.name"
        raise GuardRefused("unknown_table", f"there is no table {written}", hint)
    if info.name.name.startswith("nightshift_"):
        raise GuardRefused(
            "unknown_table", f"{written} is one of nightshift's own tables", "take it out of [[embedding]]"
        )
    if info.kind not in ("table", "partitioned", "table without rowid"):
        raise GuardRefused(
            "unknown_table", f"{written} is a {info.kind}", "name in [[embedding]] the table that it shows"
        )
    check_readable(info, written, "documents")
    if info.has_children:
        what = f"{written} has tables that inherit from it, whose rows it shows as its own"
        raise GuardRefused("hidden_rows", what, "name a table from which none inherits in [[embedding]]")
    return info


def embedding_column(info: TableInfo, written: str) -> TableColumn:
    """Returns the column with this name; raises `GuardRefused` if the table has no such column."""
    return known_column(info, written, f"name one that it has: {column_names(info)}")


def check_unique_key(connection: Connection, table: TableName, column: str) -> None:
    """Raise `GuardRefused` if two rows may have the same value in this column."""
    if not dialect.is_unique(connection, table, [column]):
        raise GuardRefused(
            "not_unique",
            f"{table.label}.{column} is not unique: a vector could not be told whose it is",
            "name the primary key, or make the column UNIQUE",
        )


def check_privileges(connection: Connection, table: TableName, *rights: str) -> None:
    """Checks that our role has the needed rights on the table."""
    if connection.dialect.name != "postgresql":
        return
    allowed = connection.execute(text(_RIGHTS), {"table": table.sql, "rights": list(rights)})
    if not allowed.scalar():
        asked = ", ".join(rights)
        hint = f"GRANT {asked} ON {table.sql} TO nightshift's role, which writes the vectors there"
        raise GuardRefused("privilege", f"nightshift's role may not {asked} in {table.label}", hint)


def check_writable(connection: Connection, table: TableName, column: str) -> str | None:
    """Check that the vectors' column is writable and nullable; returns why its type is fixed, None if it is not."""
    facts: Any
    if connection.dialect.name == "postgresql":
        facts = connection.execute(text(_COLUMN), {"table": table.sql, "column": column}).one()
        fixed = None if facts.owned else "nightshift's role does not own the table"
        fixed = "a view shows the column" if facts.viewed else fixed
    else:
        statement = (
            'SELECT "notnull" AS filled, hidden > 1 AS generated FROM pragma_table_xinfo(:table) WHERE name = :column'
        )
        facts = connection.execute(text(statement), {"table": table.name, "column": column}).one()
        fixed = None
    if facts.generated or facts.filled:
        what = "is generated" if facts.generated else "is NOT NULL, and documents without text have no embedding"
        raise GuardRefused("not_writable", f"{table.label}.{column} {what}", "name a plain column that may be NULL")
    return fixed


def check_dimension(label: str, declared: int | None, dimension: int, known: int | None, fixed: str | None) -> None:
    """Check that the column can hold the model's vectors, or that its type can be changed accordingly.

    Args:
        declared: the only dimension that the column's type allows; None for any dimension.
        known: the dimension of the vectors that nightshift has written; None if there are none.
        fixed: the reason why the column's type cannot be changed; None if it can.
    """
    if declared is None or declared == dimension:
        return
    what = f"{label} takes vectors of {declared} numbers, and the model makes {dimension}"
    if known != declared:
        raise GuardRefused(
            "wrong_dimension", what, f"set EMBEDDING_DIMENSION to {declared}, or change the column's type"
        )
    if fixed is not None:
        hint = f"{fixed}: change the column's type to {dimension} yourself, or go back to {declared}"
        raise GuardRefused("wrong_dimension", what, hint)
