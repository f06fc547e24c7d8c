"""Describes a user's table: the facts that guards and planners need, in one frozen description.

Names are found the way people write them: `conversation_log`, `app.Events`, `"My Schema"."Table.x"`. A quoted part is
taken to the letter; an unquoted one too, and folded to lower case where that alone exists, as PostgreSQL would.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class OnDelete(StrEnum):
    """Action of a foreign key on the referencing rows when the referenced one is deleted."""

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
        """The table that a label means."""
        parts = [part for part, _ in split_name(label) or ()]
        return cls(parts[0] if len(parts) > 1 else "", parts[-1])

    @property
    def label(self) -> str:
        """`schema.name`, for people and the ledger.

        A part that could be misread is quoted: a label means one table, and `split_name` reads it back.
        """
        parts = (part for part in (self.schema, self.name) if part)
        return ".".join(quote_identifier(part) if _is_odd(part) else part for part in parts)

    @property
    def sql(self) -> str:
        """The name, quoted for SQL."""
        return ".".join(quote_identifier(part) for part in (self.schema, self.name) if part)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column.

    Attributes:
        type_name: the declared type as the database prints it, e.g. `numeric(10,2)`; domains included.
        base_type: the name of the type beneath any domain, e.g. `numeric`; SQLite: the affinity.
        precision, scale: of a `numeric` with both, else None.
    """

    name: str
    type_name: str
    base_type: str
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """SQL by which a reference compares a referenced column with the one that references it.

    Attributes:
        referenced: follows the referenced column: a cast, a COLLATE clause.
        operator: stands between the two.
        referencing: follows the other column.
    """

    referenced: str = ""
    operator: str = "="
    referencing: str = ""

    def sql(self, referenced: str, referencing: str) -> str:
        """The condition, on two expressions."""
        return f"{referenced}{self.referenced} {self.operator} {referencing}{self.referencing}"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of another table that points at this one.

    Attributes:
        partition: the one whose rows alone it points at; None: at all of the table's.
        acts: the database does what `on_delete` says; it does not where the key's triggers are disabled, or the key is
            NOT ENFORCED (PostgreSQL 18).
        comparisons: by which the database finds a new row's referenced one, column by column.
        actions: by which it finds the rows that reference one that goes, where that is another way; else empty.
        temporal: its last columns are periods (PostgreSQL 18): a row may depend on several rows at once.
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
    """One physical table: a plain table, or a leaf partition of one.

    Attributes:
        bytes: size on disk with its TOAST, without indexes.
        blocks: 8 kB pages of the main fork (PostgreSQL) or the highest rowid (SQLite).
        rows: the planner's idea of the row count; negative: never analysed.
        indexed: a usable index begins with the policy's timestamp.
        correlation: of the timestamp with the physical order, -1 to 1; None: unknown.
        may_delete: we may read and delete its rows.
        may_drop: we may drop it.
        upper_bound: the partition's exclusive upper bound on the policy's timestamp, as the database prints it.
        parent: the partitioned table that it belongs to directly.
        shape: a number that changes with its columns, keys, triggers and rules, see `postgres.shape_sql`.
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
    """All that is known of one table.

    Attributes:
        kind: `table`, `partitioned`, or another kind of relation, e.g. `view`.
        heaps: where its rows lie; one for a plain table.
        referenced_by: foreign keys of other tables (and its own) that point at it.
        hiding: names of rules, triggers or settings that can keep rows from a DELETE or hide them from a SELECT.
        triggers: names of the other triggers that run on a DELETE: their effect cannot be read from the table.
        has_children: other tables inherit from it (classic inheritance, not partitioning).
        text_encoding_ok: the database's text is UTF-8.
        may_read: we may use its schema and read the table by its own name, whatever its partitions allow.
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
        """The column of that name: to the letter, else folded to lower case."""
        by_name = {column.name: column for column in self.columns}
        return by_name.get(name) or by_name.get(name.lower())

    @property
    def rows(self) -> float:
        """The planner's row count over all heaps; negative where one was never analysed."""
        counts = [heap.rows for heap in self.heaps]
        return -1.0 if any(count < 0 for count in counts) else sum(counts)


_PART = r'\s*(?:"((?:[^"]|"")+)"|([^".]+?))\s*(\.|$)'


def _is_odd(part: str) -> bool:
    """Returns whether `split_name` could misread it."""
    return "." in part or '"' in part or part != part.strip()


def split_name(written: str) -> tuple[tuple[str, bool], ...] | None:
    """Split `schema.table` into parts, each with whether it was quoted; None where that cannot be done."""
    parts: list[tuple[str, bool]] = []
    part, at = re.compile(_PART), 0  # compiled, and remembered by `re`, where it is needed: not by every cold start
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
    """An SQL identifier, always quoted: legal for any name, in PostgreSQL and SQLite alike."""
    return '"' + name.replace('"', '""') + '"'


def escape_colons(sql: str) -> str:
    """SQL for `text()`, which reads a colon as a parameter."""
    return sql.replace(":", r"\:")


def quote_nullable(text: str | None) -> str:
    """An SQL string, or NULL."""
    return "NULL" if text is None else quote_literal(text)


def quote_literal(text: str) -> str:
    """An SQL string. Both databases take it to the letter (PostgreSQL: `standard_conforming_strings` is on, see
    `rows.postgres`); needed where COPY allows no bind parameters."""
    return "'" + text.replace("'", "''") + "'"
