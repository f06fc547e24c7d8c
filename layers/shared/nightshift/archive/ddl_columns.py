"""Merges the columns of a table's archived objects, whose sets of columns differ if the table was altered.

Columns are merged by name. If a column's type changed, the merged column has the narrowest type that holds every value
exactly, or text. Comments in the DDL name the columns that an engine cannot read from all files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.object_verification import ObjectDamaged, verify_object
from nightshift.errors import NightshiftError
from nightshift.rows.columns import MAX_DIGITS
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.reserved_names import EXACT
from nightshift.store import ObjectStore

_KINDS = {
    "bool": "boolean",
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "string": "text",
    "binary": "binary",
    "extension<arrow.json>": "json",
    "extension<arrow.uuid>": "uuid",
    "date32[day]": "date",
    "time64[us]": "time",
    "timestamp[us]": "timestamp",
}
"""Arrow's name of a type that `rows` writes → nightshift's name of the kind."""

_INTEGERS = {"smallint": 5, "int": 10, "bigint": 19}
"""Integer kind → number of digits that it needs as a decimal."""
_DECIMAL = re.compile(r"decimal(?:128)?\((\d+), ?(\d+)\)")

FLOATS = ("float", "double")
"""Kinds that have the value NaN. The statistics in older objects do not consider NaN."""


@dataclass(frozen=True, slots=True)
class FileSchema:
    """Objects that were archived with the same columns.

    Attributes:
        objects: oldest first.
        columns: name → kind, in the table's order.
        loose: columns of PostgreSQL's type `json` that are JSON in Parquet. Other parsers refuse some `json` values.
    """

    objects: tuple[ArchivedObject, ...]
    columns: Mapping[str, str]
    loose: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnionColumn:
    """A column merged over all sets of columns.

    Attributes:
        kind: `bigint`, `text`, `decimal(10,2)`, `timestamptz`, …
        found: kinds of the column in the objects, newest first.
    """

    name: str
    kind: str
    found: tuple[str, ...]

    @property
    def unreadable_objects(self) -> list[str]:
        """Returns the kinds in `found` that an engine cannot read as `kind` if it uses only the declared type."""
        return [kind for kind in self.found if not _widens(kind, self.kind)]


def shapes_of(store: ObjectStore, objects: Sequence[ArchivedObject]) -> list[FileSchema]:
    """Group objects by their set of columns, newest set first. One undamaged object of each group is read.

    Args:
        objects: oldest first.

    Raises:
        ObjectDamaged: all objects of a group are damaged.
        StoreError: S3 did not answer, or refused.
    """
    groups: dict[str | None, list[ArchivedObject]] = {}
    for archived in reversed(objects):
        groups.setdefault(archived.fingerprint, []).append(archived)
    shapes = []
    for newest_first in groups.values():
        group = newest_first[::-1]
        file = _first_sound(store, newest_first)
        columns = {column.name: _kind(column.name, str(column.arrow)) for column in file.columns}
        loose = (c.name for c in file.columns if columns[c.name] == "json" and c.type_name != "jsonb")
        shapes.append(FileSchema(tuple(group), columns, tuple(loose)))
    return shapes


def merge_columns(shapes: Sequence[FileSchema]) -> list[UnionColumn]:
    """Returns all columns: the newest set's columns in order, then the older sets' other columns.

    The last column is always `_nightshift_exact`, because only the objects' footers show which objects have it.

    Raises:
        NightshiftError: two columns differ only in upper and lower case, which no engine distinguishes.
    """
    found: dict[str, list[str]] = {}
    for shape in shapes:
        for name, kind in shape.columns.items():
            kinds = found.setdefault(name, [])
            if kind not in kinds:
                kinds.append(kind)
    found[EXACT] = ["text"]
    lowered: dict[str, str] = {}
    for name in found:
        if lowered.setdefault(name.lower(), name) != name:
            raise NightshiftError(
                "two columns differ in nothing but upper and lower case",
                detail=f"{lowered[name.lower()]}, {name}",
                hint="no SQL engine over Parquet tells them apart; narrow by --since and --until, or restore the rows",
            )
    return [UnionColumn(name, reduce(_common, kinds), tuple(kinds)) for name, kinds in found.items()]


def _first_sound(store: ObjectStore, objects: Sequence[ArchivedObject]) -> ArchiveFile:
    damaged: ObjectDamaged | None = None
    for archived in objects:
        try:
            return verify_object(store, archived)
        except ObjectDamaged as exc:
            damaged = exc
    assert damaged is not None  # no group is empty
    raise damaged


def _kind(name: str, arrow: str) -> str:
    if (decimal := _DECIMAL.fullmatch(arrow)) is not None:
        return f"decimal({decimal[1]},{decimal[2]})"
    if arrow.startswith("timestamp[us, tz="):
        return "timestamptz"
    if arrow not in _KINDS:
        raise NightshiftError("a column has a type that cannot be declared", detail=f"{name}: {arrow}")
    return _KINDS[arrow]


def _common(kind: str, other: str) -> str:
    """Returns the narrowest kind that holds every value of both kinds exactly."""
    both = {kind, other}
    if len(both) == 1:
        return kind
    if both <= _INTEGERS.keys():
        return max(both, key=_INTEGERS.__getitem__)
    if both <= {"float", "double", "smallint", "int"}:
        return "double"
    if (a := _digits(kind)) is not None and (b := _digits(other)) is not None:
        whole, scale = max(a[0], b[0]), max(a[1], b[1])
        return f"decimal({whole + scale},{scale})" if whole + scale <= MAX_DIGITS else "text"
    return "timestamp" if both == {"date", "timestamp"} else "text"


def _digits(kind: str) -> tuple[int, int] | None:
    """Returns the numbers of digits before and after the decimal point; None: the kind is no integer or decimal."""
    if kind in _INTEGERS:
        return _INTEGERS[kind], 0
    match = _DECIMAL.fullmatch(kind)
    return (int(match[1]) - int(match[2]), int(match[2])) if match else None


def _widens(kind: str, declared: str) -> bool:
    """Returns whether both Trino's and Spark's Parquet readers read a file's `kind` as the declared kind."""
    if kind == declared or (kind, declared) in {("float", "double"), ("json", "text")}:
        return True
    return (kind in _INTEGERS and declared in _INTEGERS) or (kind.startswith("decimal") and declared.startswith("dec"))
