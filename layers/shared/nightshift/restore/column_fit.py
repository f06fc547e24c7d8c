"""Matches archived columns with a table's columns, by name.

Between archive and restore a table lives on: columns are added, dropped, renamed, widened. The match is decided from
declared types alone, before the first row, and by one rule: a restored value must equal the archived one. So a type may
become itself, a wider one of its kind, or text; a type that could round, cut or reinterpret a value is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nightshift.database.insertable import InsertColumn
from nightshift.rows.reader import ArchivedColumn, ArchiveFile

_NUMBERS = {
    "smallint": {"integer", "bigint", "numeric", "real", "double precision"},
    "integer": {"bigint", "numeric", "double precision"},
    "bigint": {"numeric"},
    "real": {"double precision"},
}
"""Numeric types that hold every value of another (PostgreSQL manual, 8.1)."""

_SIZED = re.compile(r"(character varying|bit varying|numeric|timestamp|time|interval)(?:\((-?\d+)(?:,(-?\d+))?\))?(.*)")
_TEXT = {"text", "character varying"}

_AFFINITIES = (("INT", "integer"), ("CHAR|CLOB|TEXT", "text"), ("BLOB|^$", "blob"), ("REAL|FLOA|DOUB", "real"))
"""SQLite's first four rules, in their order."""


@dataclass(frozen=True, slots=True)
class ColumnAssignment:
    """A table's column and the archived column that fills it."""

    slot: InsertColumn
    source: ArchivedColumn


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """Assignment of one set of archived columns to a table's columns.

    Attributes:
        notes: the differences, a sentence each.
        left_out: archived columns that have no place in the table.
    """

    filled: tuple[ColumnAssignment, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """The table's names of the archived columns that have a place there."""
        return {filled.source.name: filled.slot.name for filled in self.filled}

    def timestamp_of(self, file: ArchiveFile) -> str | None:
        """Returns the table's name of the column that a file's rows were archived by; None where it has no place."""
        return self.names.get(file.metadata.get("nightshift.timestamp", ""))


def map_columns(
    columns: Sequence[ArchivedColumn],
    slots: Sequence[InsertColumn],
    rename: Mapping[str, str],
    widens: Callable[[str, str], bool],
) -> ColumnFit | list[str]:
    """Match archived columns with a table's.

    Args:
        columns: of the archived rows.
        slots: the table's columns.
        rename: archived name → the table's name.
        widens: the database's rule: `is_safe_cast` or `sqlite_widens`.

    Returns:
        the reasons why they do not fit, a sentence each, if they do not.
    """
    by_name = {rename.get(column.name, column.name): column for column in columns}
    filled: list[ColumnAssignment] = []
    notes: list[str] = []
    problems = [f"rename: no archived column {name}" for name in rename if name not in {c.name for c in columns}]
    problems += duplicate_targets(columns, rename)
    for slot in slots:
        source = by_name.pop(slot.name, None)
        if slot.generated:
            notes.append(f"{slot.name}: computed again by the database")
        elif source is None:
            notes.append(f"{slot.name}: not in the archive, filled with {slot.filling}")
            if slot.required:
                problems.append(f"{slot.name} is NOT NULL without a default, and the archive has no such column")
        elif not widens(source.type_name, slot.type_name) or not _keeps_digits(source, slot):
            problems.append(f"{slot.name} is {slot.type_name} now, was {source.type_name}: values could change")
        else:
            filled.append(ColumnAssignment(slot, source))
            notes += _changes(slot, source)
    targets = {slot.name for slot in slots}
    problems += [f"rename: the table has no column {new}" for new in rename.values() if new not in targets]
    left_out = tuple(column.name for column in by_name.values())
    notes += [f"{name}: no longer in the table, left out" for name in left_out]
    if not filled:
        problems.append("no archived column has a place in the table")
    return problems or ColumnFit(tuple(filled), tuple(notes), left_out)


def _changes(slot: InsertColumn, source: ArchivedColumn) -> list[str]:
    notes = [] if slot.name == source.name else [f"{slot.name}: filled from {source.name}"]
    if slot.type_name != source.type_name:
        notes.append(f"{slot.name}: {source.type_name or 'no type'} became {slot.type_name or 'no type'}")
    return notes


def duplicate_targets(columns: Sequence[ArchivedColumn], rename: Mapping[str, str]) -> list[str]:
    """A sentence for each name that two archived columns would have."""
    names = [rename.get(column.name, column.name) for column in columns]
    return [f"two archived columns would fill {name}" for name in dict.fromkeys(names) if names.count(name) > 1]


def _keeps_digits(source: ArchivedColumn, slot: InsertColumn) -> bool:
    """Returns whether a decimal has room: a domain may have been defined anew since, under its old name."""
    if source.is_decimal is None or slot.decimals is None:
        return True
    return _has_room(source.is_decimal, slot.decimals)


def _has_room(digits: tuple[int, int], room: tuple[int, int]) -> bool:
    """Returns whether digits before and after the point both have room; each pair is precision and scale."""
    (precision, scale), (wider, finer) = digits, room
    return finer >= scale and wider - finer >= precision - scale


def is_safe_cast(old: str, new: str) -> bool:
    """Returns whether every value of one declared type comes through in another, unchanged."""
    if old == new or new in _TEXT or new in _NUMBERS.get(old, ()):
        return True
    before, after = _SIZED.fullmatch(old), _SIZED.fullmatch(new)
    if not before or not after or (before[1], before[4]) != (after[1], after[4]):
        return old.startswith("character(") and bool(after) and _longer(old, new)
    if after[2] is None:
        return True
    if before[2] is None:
        return False
    if before[1] == "numeric":
        old_digits, new_digits = ((int(m[2]), int(m[3] or 0)) for m in (before, after))  # a scale left out is 0
        return _has_room(old_digits, new_digits)
    return int(before[2]) <= int(after[2])


def sqlite_widens(old: str, new: str) -> bool:
    """The same for SQLite, where a declared type does no more than convert: by its affinity.

    A numeric column made integers of whole numbers, so only another numeric one shows them as they were.
    """
    before, after = _affinity(old), _affinity(new)
    return old == new or before == after or (after == "blob" and before != "numeric")


def _affinity(declared: str) -> str:
    """By SQLite's own five rules (https://www.sqlite.org/datatype3.html, section 3.1).

    `database.sqlite` reads DATE as text and BOOLEAN as an integer, as people use them. To SQLite both are numeric.
    """
    return next((affinity for words, affinity in _AFFINITIES if re.search(words, declared.upper())), "numeric")


def _longer(old: str, new: str) -> bool:
    """`character(n)` into `character varying(m)`."""
    sizes = re.fullmatch(r"character\((\d+)\)", old), re.fullmatch(r"character varying\((\d+)\)", new)
    return bool(sizes[0] and sizes[1] and int(sizes[0][1]) <= int(sizes[1][1]))


def common_type(types: Sequence[str], widens: Callable[[str, str], bool], anything: str) -> str:
    """The one type that holds the values of all: one of them, the newest first, or `anything`."""
    return next((wide for wide in reversed(types) if all(widens(old, wide) for old in types)), anything)
