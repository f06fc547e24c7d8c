"""Matches archived columns with a table's columns, by name.

Between archive and restore a table changes: columns are added, dropped, renamed, widened. The declared types alone
decide the match, before the first row is inserted. A restored value must equal the archived value. A column's type may
therefore stay the same, or become a wider type of its kind, or text. A type that could round, cut or reinterpret a
value is refused.
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
"""Numeric type → the numeric types that hold each of its values (PostgreSQL manual, 8.1)."""

_SIZED = re.compile(r"(character varying|bit varying|numeric|timestamp|time|interval)(?:\((-?\d+)(?:,(-?\d+))?\))?(.*)")
_TEXT = {"text", "character varying"}

_AFFINITIES = (("INT", "integer"), ("CHAR|CLOB|TEXT", "text"), ("BLOB|^$", "blob"), ("REAL|FLOA|DOUB", "real"))
"""SQLite's first four rules of type affinity, in their order."""


@dataclass(frozen=True, slots=True)
class ColumnAssignment:
    """A table's column, and the archived column whose values are inserted into it."""

    slot: InsertColumn
    source: ArchivedColumn


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """Assignment of one set of archived columns to a table's columns.

    Attributes:
        notes: one sentence for each difference between the archived columns and the table's columns.
        left_out: archived columns without a matching column in the table.
    """

    filled: tuple[ColumnAssignment, ...]
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """Returns a mapping: name of an archived column → name of the table's column that it fills."""
        return {filled.source.name: filled.slot.name for filled in self.filled}

    def timestamp_of(self, file: ArchiveFile) -> str | None:
        """Returns the table's column for the timestamp column of a file. None: the table has no such column."""
        return self.names.get(file.metadata.get("nightshift.timestamp", ""))


def fit_columns(
    columns: Sequence[ArchivedColumn],
    slots: Sequence[InsertColumn],
    rename: Mapping[str, str],
    widens: Callable[[str, str], bool],
) -> ColumnFit | list[str]:
    """Match archived columns with a table's columns.

    Args:
        columns: columns of the archived rows.
        slots: the table's columns.
        rename: name of an archived column → name of the table's column.
        widens: the database's rule for types: `is_safe_cast` or `sqlite_widens`.

    Returns:
        the assignment, or, if the columns do not match, a list of the reasons, one sentence each.
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
    """Returns one sentence for each name that two archived columns would have after renaming."""
    names = [rename.get(column.name, column.name) for column in columns]
    return [f"two archived columns would fill {name}" for name in dict.fromkeys(names) if names.count(name) > 1]


def _keeps_digits(source: ArchivedColumn, slot: InsertColumn) -> bool:
    """Returns whether the column holds every digit of an archived decimal.

    The types may have the same name: somebody may have created a domain anew under its old name.
    """
    if source.is_decimal is None or slot.decimals is None:
        return True
    return _has_room(source.is_decimal, slot.decimals)


def _has_room(digits: tuple[int, int], room: tuple[int, int]) -> bool:
    """Returns whether `room` holds all digits of `digits`, before and after the point: pairs of precision and scale."""
    (precision, scale), (wider, finer) = digits, room
    return finer >= scale and wider - finer >= precision - scale


def is_safe_cast(old: str, new: str) -> bool:
    """Returns whether every value of the declared type `old` is unchanged after a cast to the declared type `new`."""
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
    """Returns whether a SQLite column declared as `new` stores every value of a column declared as `old` unchanged.

    SQLite converts values by the affinity of the declared type. A column of numeric affinity stores `1.0` as the
    integer 1, so only another column of numeric affinity returns the value unchanged.
    """
    before, after = _affinity(old), _affinity(new)
    return old == new or before == after or (after == "blob" and before != "numeric")


def _affinity(declared: str) -> str:
    """Returns a declared type's affinity by SQLite's five rules (https://www.sqlite.org/datatype3.html, section 3.1).

    `database.sqlite` reads DATE as text and BOOLEAN as an integer, as people use them. SQLite treats both as numeric.
    """
    return next((affinity for words, affinity in _AFFINITIES if re.search(words, declared.upper())), "numeric")


def _longer(old: str, new: str) -> bool:
    """Returns whether a cast from `character(n)` to `character varying(m)` keeps every value: n <= m."""
    sizes = re.fullmatch(r"character\((\d+)\)", old), re.fullmatch(r"character varying\((\d+)\)", new)
    return bool(sizes[0] and sizes[1] and int(sizes[0][1]) <= int(sizes[1][1]))


def common_type(types: Sequence[str], widens: Callable[[str, str], bool], anything: str) -> str:
    """Returns the newest of `types` that holds the values of all `types`; `anything` if none does."""
    return next((wide for wide in reversed(types) if all(widens(old, wide) for old in types)), anything)
