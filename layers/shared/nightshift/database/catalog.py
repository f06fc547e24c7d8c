"""Classes that describe a user's table for guards and planners, and functions that split and quote names.

A table's name may be written as `conversation_log`, `app.Events` or `"My Schema"."Table.x"`. A quoted part must match
exactly. An unquoted part matches exactly if such a name exists; otherwise it matches in lower case, as in PostgreSQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class OnDelete(StrEnum):
    """Action of a foreign key on the referencing rows when the referenced row is deleted."""

    NO_ACTION = "NO ACTION"
    RESTRICT = "RESTRICT"
    CASCADE = "CASCADE"
    SET_NULL = "SET NULL"
    SET_DEFAULT = "SET DEFAULT"


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's exact name; `schema` is empty for SQLite."""

    schema: str
    name: str

    @classmethod
    def of(cls, label: str) -> TableName:
        """Returns the name of the table that a label identifies."""
        parts = [part for part, _ in split_name(label) or ()]
        return cls(parts[0] if len(parts) > 1 else "", parts[-1])

    @property
    def label(self) -> str:
        """Returns `schema.name`, for messages and the ledger.

        A part that `split_name` could misread is quoted, so a label identifies exactly one table.
        """
        parts = (part for part in (self.schema, self.name) if part)
        return ".".join(quote_identifier(part) if _is_odd(part) else part for part in parts)

    @property
    def sql(self) -> str:
        """Returns the name, quoted for SQL."""
        return ".".join(quote_identifier(part) for part in (self.schema, self.name) if part)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes:
        type_name: the declared type as the database prints it, e.g. `numeric(10,2)`; it may be a domain.
        base_type: the name of the type that a domain is based on, e.g. `numeric`; in SQLite, the affinity.
        precision, scale: precision and scale of a `numeric(p, s)` column; None for other columns.
    """

    name: str
    type_name: str
    base_type: str
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """SQL fragments with which a foreign key compares a referenced column with a referencing column.

    Attributes:
        referenced: SQL that follows the referenced column: a cast or a COLLATE clause.
        operator: the operator between the two columns.
        referencing: SQL that follows the referencing column.
    """

    referenced: str = ""
    operator: str = "="
    referencing: str = ""

    def sql(self, referenced: str, referencing: str) -> str:
        """Returns the SQL condition that compares two expressions."""
        return f"{referenced}{self.referenced} {self.operator} {referencing}{self.referencing}"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key that references the described table.

    Attributes:
        partition: the partition that the key references; None if the key references the whole table.
        acts: the database performs the action `on_delete`; it does not if the key's triggers are disabled or the key
            is NOT ENFORCED (PostgreSQL 18).
        comparisons: for each column, how the database finds the row that a new row references.
        actions: for each column, how the database finds the rows that reference a deleted row; empty if equal to
            `comparisons`.
        temporal: the key's last columns are periods (PostgreSQL 18), so a row may reference several rows at once.
    """

    table: str
    name: str
    on_delete: OnDelete
    columns: tuple[str, ...]
    referenced: tuple[str, ...]
    table_sql: str
    partition: TableName | None = None
    acts: bool = True
    comparisons: tuple[ColumnComparison, ...] = ()
    actions: tuple[ColumnComparison, ...] = ()
    temporal: bool = False


@dataclass(frozen=True, slots=True)
class HeapTable:
    """A physical table: a plain table, or a leaf partition of a partitioned table.

    Attributes:
        bytes: size on disk, with the TOAST table and without indexes.
        blocks: number of pages of the main fork (PostgreSQL) or the highest rowid (SQLite).
        rows: the planner's estimate of the row count; negative if the table was never analysed.
        indexed: a usable index begins with the policy's timestamp column.
        correlation: correlation of the timestamp with the physical order, from -1 to 1; None if unknown.
        may_delete: nightshift's role may read and delete the table's rows.
        may_drop: our role may drop the partition, and no foreign key, view or trigger on DELETE depends on it.
        upper_bound: the partition's exclusive upper bound on the policy's timestamp, as the database prints it.
        parent: the partitioned table whose direct partition the table is.
        shape: a number that changes with the table's columns, keys, triggers and rules, see `dialect.shape_sql`.
    """

    name: TableName
    bytes: int
    blocks: int
    rows: float
    indexed: bool
    correlation: float | None = None
    may_delete: bool = True
    may_drop: bool = False
    upper_bound: str | None = None
    parent: TableName | None = None
    shape: int = 0


@dataclass(frozen=True, slots=True)
class TableInfo:
    """Description of a user's table.

    Attributes:
        kind: `table`, `partitioned`, or another kind of relation, e.g. `view`.
        heaps: the physical tables that hold the rows; a plain table has one.
        referenced_by: foreign keys that reference the table, from other tables and from the table itself.
        hiding: names of rules, triggers or settings that can keep rows from a DELETE or hide them from a SELECT.
        triggers: names of the other triggers that run on a DELETE; the catalogue does not tell what they do.
        has_children: other tables inherit from the table (classic inheritance, not partitioning).
        text_encoding_ok: the database declares an encoding for its text (it is not SQL_ASCII).
        may_read: nightshift's role may use the schema and read the table by its own name; partitions do not matter.
    """

    name: TableName
    kind: str
    columns: tuple[TableColumn, ...]
    heaps: tuple[HeapTable, ...]
    referenced_by: tuple[ForeignKey, ...] = ()
    hiding: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    has_children: bool = False
    text_encoding_ok: bool = True
    may_read: bool = True

    def column(self, name: str) -> TableColumn | None:
        """Returns the column with exactly this name, else the column with this name in lower case, else None."""
        by_name = {column.name: column for column in self.columns}
        return by_name.get(name) or by_name.get(name.lower())

    @property
    def rows(self) -> float:
        """Returns the planner's row count over all heaps; negative if a heap was never analysed."""
        counts = [heap.rows for heap in self.heaps]
        return -1.0 if any(count < 0 for count in counts) else sum(counts)


_PART = r'\s*(?:"((?:[^"]|"")+)"|([^".]+?))\s*(\.|$)'


def _is_odd(part: str) -> bool:
    """Returns whether `split_name` could misread an unquoted part of a name."""
    return "." in part or '"' in part or part != part.strip()


def split_name(written: str) -> tuple[tuple[str, bool], ...] | None:
    """Split `schema.table` into parts, each with whether the part was quoted; return None for a malformed name."""
    parts: list[tuple[str, bool]] = []
    part, at = re.compile(_PART), 0  # compiled at the first call and cached by `re`, so that cold starts do not pay
    while True:
        match = part.match(written, at)
        if not match:
            return None
        quoted, plain, end = match.groups()
        parts.append((quoted.replace('""', '"'), True) if quoted is not None else (plain, False))
        at = match.end()
        if end == "":
            return tuple(parts) if len(parts) <= 2 and at == len(written) else None


def quote_identifier(name: str) -> str:
    """Returns a name as a quoted SQL identifier, which is valid for any name in PostgreSQL and SQLite."""
    return '"' + name.replace('"', '""') + '"'


def escape_colons(sql: str) -> str:
    """Returns SQL for SQLAlchemy's `text()`, in which an unescaped colon begins a parameter."""
    return sql.replace(":", r"\:")


def quote_nullable(text: str | None) -> str:
    """Returns a text as an SQL string literal, or NULL for None."""
    return "NULL" if text is None else quote_literal(text)


def quote_literal(text: str) -> str:
    """Returns a text as an SQL string literal, for statements such as COPY that allow no bind parameters.

    Neither database interprets backslashes in it: `rows.postgres` sets `standard_conforming_strings` to on."""
    return "'" + text.replace("'", "''") + "'"
