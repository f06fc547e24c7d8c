"""Builds the parts that the DDL of all engines shares: names, comments, and the header."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nightshift.archive.ddl_columns import FileSchema, UnionColumn
from nightshift.archive.inventory import ArchivedObject, object_directories
from nightshift.database.catalog import split_name
from nightshift.errors import NightshiftError


@dataclass(frozen=True, slots=True)
class ArchivedTable:
    """A table with its committed objects and merged columns, for the DDL.

    Attributes:
        label: the table's, in the ledger.
        objects: the committed ones, by day and time.
        columns: over all shapes.
    """

    label: str
    objects: Sequence[ArchivedObject]
    shapes: Sequence[FileSchema]
    columns: Sequence[UnionColumn]

    @property
    def day_column(self) -> str:
        """A name for the column of the object's day: `dt`, unless the table has such a column."""
        return self.free_name("dt")

    def free_name(self, wanted: str) -> str:
        """`wanted`, or a longer name that no column has."""
        taken = {column.name.lower() for column in self.columns}
        while wanted in taken:
            wanted = f"archive_{wanted}"
        return wanted

    @property
    def table_name(self) -> str:
        """The table's own name, after its schema's where that is not `public`."""
        parts = [part for part, _ in split_name(self.label) or ((self.label, True),)]
        return "_".join(parts[1:] if parts[0] == "public" and len(parts) > 1 else parts)

    @property
    def plain_name(self) -> str:
        """The same in lower-case letters, digits and underscores; Athena allows no others in the name of a view."""
        plain = re.sub(r"[^a-z0-9_]+", "_", self.table_name.lower()).strip("_")
        if plain == self.table_name.lower() and not plain[0].isdigit():
            return plain
        # Two names that lose what told them apart must not become one.
        return f"t_{plain}_{hashlib.sha256(self.label.encode()).hexdigest()[:6]}".replace("__", "_")

    def s3_location(self, prefix: str) -> str:
        """The one directory that holds all objects, as a URI with a slash at its end.

        Raises:
            NightshiftError: they lie in several.
        """
        found = object_directories(self.objects)
        if len(found) > 1:
            raise NightshiftError(
                "the table's objects lie under more than one prefix",
                detail=f"{', '.join(found)}; ARCHIVE_PREFIX is {prefix!r} now",
                hint="one table has one location: narrow by --since and --until, or use --engine duckdb",
            )
        return f"s3://{self.objects[0].bucket}/{found[0]}/"

    def header_lines(self, engine: str) -> list[str]:
        """Comments that say what is declared, and where types changed."""
        days = f"{self.objects[0].day} to {self.objects[-1].day}"
        rows = sum(archived.rows or 0 for archived in self.objects)
        lines = [
            f"-- {engine}: the archive of {comment_text(self.label)}, {days}:"
            f" {len(self.objects)} objects, {rows} rows.",
            "-- It names the objects that were committed by now; print it again after a cleanup or a restore.",
        ]
        lines += [
            f"-- column {comment_text(column.name)}: {column.kind} here, in the objects {', '.join(column.found)}"
            for column in self.columns
            if len(column.found) > 1
        ]
        return lines

    def other_format_lines(self) -> list[str]:
        """A comment on columns that may be null where they have a value."""
        names = [comment_text(c.name) for c in self.columns if c.kind.startswith(("date", "time", "decimal"))]
        says = "infinity, 24:00 and NaN are null there, and stand in _nightshift_exact as JSON by column name"
        return [f"-- column {', '.join(names)}: {says}"] if names else []

    def unreadable_lines(self, engine: str) -> list[str]:
        """Comments on columns that an engine which goes by the declared type cannot read everywhere."""
        return [
            f"-- column {comment_text(column.name)}: {engine} fails on objects that have it as"
            f" {', '.join(column.unreadable_objects)}; narrow by --since and --until, or use DuckDB"
            for column in self.columns
            if column.unreadable_objects
        ]


def comment_text(name: str) -> str:
    """A name for a comment: whatever it holds, it stays on its line."""
    return json.dumps(name, ensure_ascii=False)


def quote_backticks(name: str) -> str:
    """An identifier, quoted as Hive and Spark do."""
    return "`" + name.replace("`", "``") + "`"


def escape_backslashes(text: str) -> str:
    """A string, quoted as Hive and Spark do."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def join_items(items: Sequence[str], indent: str = "  ") -> str:
    """Items, each on its line."""
    return ",\n".join(indent + item for item in items)


def file_name(archived: ArchivedObject) -> str:
    return archived.key.rpartition("/")[2]
