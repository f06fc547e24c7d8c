"""Builds the parts of the DDL that are common to all engines: names, comments, and the header."""

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
        label: the table's label in the ledger.
        objects: the committed objects, by day and time.
        shapes: the objects, grouped by their sets of columns.
        columns: the columns merged over all sets.
    """

    label: str
    objects: Sequence[ArchivedObject]
    shapes: Sequence[FileSchema]
    columns: Sequence[UnionColumn]

    @property
    def day_column(self) -> str:
        """Returns the name for the column of the object's day: `dt`, unless the table has a column `dt`."""
        return self.free_name("dt")

    def free_name(self, wanted: str) -> str:
        """Returns `wanted`, or a longer name if a column has this name already."""
        taken = {column.name.lower() for column in self.columns}
        while wanted in taken:
            wanted = f"archive_{wanted}"
        return wanted

    @property
    def table_name(self) -> str:
        """Returns the table's name, preceded by the schema's name unless the schema is `public`."""
        parts = [part for part, _ in split_name(self.label) or ((self.label, True),)]
        return "_".join(parts[1:] if parts[0] == "public" and len(parts) > 1 else parts)

    @property
    def plain_name(self) -> str:
        """Returns `table_name` in lower-case letters, digits and underscores, as Athena requires for a view's name."""
        plain = re.sub(r"[^a-z0-9_]+", "_", self.table_name.lower()).strip("_")
        if plain == self.table_name.lower() and not plain[0].isdigit():
            return plain
        # The hash distinguishes two tables whose names become equal without their other characters.
        return f"t_{plain}_{hashlib.sha256(self.label.encode()).hexdigest()[:6]}".replace("__", "_")

    def s3_location(self, prefix: str) -> str:
        """Returns the URI of the directory that holds all objects, with a slash at its end.

        Raises:
            NightshiftError: the objects are in several directories.
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
        """Returns comments that name the engine, the table and its days, and the columns whose types changed."""
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
        """Returns a comment on the columns whose special values are in `_nightshift_exact`."""
        names = [comment_text(c.name) for c in self.columns if c.kind.startswith(("date", "time", "decimal"))]
        says = "infinity, 24:00 and NaN are null there, and stand in _nightshift_exact as JSON by column name"
        return [f"-- column {', '.join(names)}: {says}"] if names else []

    def unreadable_lines(self, engine: str) -> list[str]:
        """Returns comments on columns that an engine cannot read in all objects if it uses only the declared type."""
        return [
            f"-- column {comment_text(column.name)}: {engine} fails on objects that have it as"
            f" {', '.join(column.unreadable_objects)}; narrow by --since and --until, or use DuckDB"
            for column in self.columns
            if column.unreadable_objects
        ]


def comment_text(name: str) -> str:
    """Returns a name for a comment, as JSON, so that a line break in the name does not end the comment."""
    return json.dumps(name, ensure_ascii=False)


def quote_backticks(name: str) -> str:
    """Returns an identifier with the quotes of Hive and Spark."""
    return "`" + name.replace("`", "``") + "`"


def escape_backslashes(text: str) -> str:
    """Returns a string literal with the quotes and escapes of Hive and Spark."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def join_items(items: Sequence[str], indent: str = "  ") -> str:
    """Returns the items, separated by commas, each on its own line."""
    return ",\n".join(indent + item for item in items)


def file_name(archived: ArchivedObject) -> str:
    return archived.key.rpartition("/")[2]
