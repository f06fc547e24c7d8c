"""Plans the table that archived rows are restored into: an existing table or a new table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName, quote_identifier, split_name
from nightshift.database.insertable import InsertColumn, InsertTarget, find_insert_target
from nightshift.database.search_path import HAND_OVER, TAKEN_BACK
from nightshift.database.sqlite import column_affinity
from nightshift.database.values import RECAST
from nightshift.restore.column_fit import (
    ColumnFit,
    common_type,
    duplicate_targets,
    fit_columns,
    is_safe_cast,
    sqlite_widens,
)
from nightshift.restore.request import RestoreRequest
from nightshift.results.common import GuardRefusal
from nightshift.rows.reader import ArchivedColumn

ColumnSet = tuple[ArchivedColumn, ...]
"""The columns that a group of objects was archived with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreDestination:
    """A table that is ready to be filled.

    Attributes:
        table: the existing table, or the table to create.
        exists: the database has the table already.
        fits: fingerprint of the archived columns → assignment of these columns to the table's columns.
        types: archived name → full name, for each archived type that the database still has (PostgreSQL).
        recast: full names of the types whose cast from text is not their input function.
        notes: one sentence for each difference, without duplicates.
    """

    table: InsertTarget
    exists: bool
    fits: Mapping[str | None, ColumnFit]
    types: Mapping[str, str]
    recast: frozenset[str]
    notes: tuple[str, ...]


def plan_destination(
    connection: Connection,
    request: RestoreRequest,
    name: TableName,
    found: InsertTarget | None,
    shapes: Mapping[str | None, ColumnSet],
) -> RestoreDestination | GuardRefusal:
    """Match each set of archived columns with the table. If `found` is None, plan a table that holds all sets.

    Args:
        shapes: fingerprint → set of archived columns of the objects to restore, oldest first.
    """
    types = _existing_types(connection, list(shapes.values())) if name.schema else {}
    shapes = {
        fingerprint: tuple(replace(column, type_name=types.get(column.type_name, column.type_name)) for column in shape)
        for fingerprint, shape in shapes.items()
    }
    every = list(shapes.values())
    if problems := [problem for shape in every for problem in duplicate_targets(shape, request.rename)]:
        return _impossible(name, problems)
    if found is None:
        table, notes = _planned(connection, name, every, request.rename)
    else:
        table, notes = found, []
        if request.into is None and not request.into_original:
            # The table `<table>_restored` gets the columns that only the other sets of archived columns have.
            planned, _ = _planned(connection, name, every, request.rename)
            known = {slot.name for slot in table.slots}
            added = (slot for slot in planned.slots if slot.name not in known)
            table = replace(table, slots=(*table.slots, *added))
    rule = is_safe_cast if name.schema else sqlite_widens
    fits: dict[str | None, ColumnFit] = {}
    for fingerprint, shape in shapes.items():
        fitting = fit_columns(shape, table.slots, request.rename, rule)
        if isinstance(fitting, list):
            return _impossible(name, fitting)
        fits[fingerprint] = fitting
    notes += [note for fitting in fits.values() for note in fitting.notes]
    notes += [
        f"{slot.name}: its sequence cannot be moved, no privilege; see that it is past the restored values"
        for slot in table.slots
        if slot.sequence and not slot.may_set
    ]
    recast = {full for full in types.values() if connection.execute(text(_IS_RECAST), {"name": full}).scalar()}
    return RestoreDestination(
        table=table,
        exists=found is not None,
        fits=fits,
        types=types,
        recast=frozenset(recast),
        notes=tuple(dict.fromkeys(notes)),
    )


def _impossible(name: TableName, problems: Sequence[str]) -> GuardRefusal:
    return GuardRefusal(
        guard="impossible_columns",
        message=f"archived rows do not fit {name.label}: {'; '.join(dict.fromkeys(problems))}",
        hint="restore into a table of its own (leave out --into), name renamed columns with --rename OLD=NEW,"
        " or choose days with --since and --until",
    )


def _planned(
    connection: Connection, name: TableName, shapes: Sequence[ColumnSet], rename: Mapping[str, str]
) -> tuple[InsertTarget, list[str]]:
    """Returns a table for all sets of columns: the newest set's columns in their order, then the other columns."""
    types: dict[str, list[str]] = {}
    for shape in reversed(shapes):
        for column in shape:
            types.setdefault(rename.get(column.name, column.name), []).insert(0, column.type_name)
    slots, notes = [], []
    for column_name, declared in types.items():
        if not name.schema:
            chosen = common_type(declared, sqlite_widens, "")
            base = column_affinity(chosen)
        else:
            chosen = common_type(declared, is_safe_cast, "text")
            if not _type_exists(connection, chosen):
                notes.append(f"{column_name}: the type {chosen} is gone, restored as text")
                chosen = "text"
            base = str(connection.execute(text(_BASE_TYPE), {"name": chosen}).scalar())
        slots.append(InsertColumn(name=column_name, type_name=chosen, base_type=base))
    return InsertTarget(name=name, id="", kind="table", slots=tuple(slots), unique=False, empty=True), notes


def make_destination(connection: Connection, destination: RestoreDestination) -> RestoreDestination:
    """Create the planned table, or add its missing columns, and commit. Returns the destination with the new table."""
    table = destination.table
    found = find_insert_target(connection, table.name)
    known = {slot.name for slot in found.slots} if found else set()
    missing = [f"{quote_identifier(slot.name)} {slot.type_name}" for slot in table.slots if slot.name not in known]
    if not missing:
        return destination
    if destination.exists:
        for column in missing:
            connection.exec_driver_sql(f"ALTER TABLE {table.name.sql} ADD COLUMN {column}")
    else:
        connection.exec_driver_sql(f"CREATE TABLE {table.name.sql} ({', '.join(missing)})")
    connection.commit()
    made = find_insert_target(connection, table.name)
    assert made is not None  # it was there a moment ago
    return replace(destination, table=made, exists=True)


def _existing_types(connection: Connection, shapes: Sequence[ColumnSet]) -> dict[str, str]:
    """Returns the archived types that the database has: archived name → full name.

    The archived name may lack the schema because of that session's search_path. The type may be in another schema now.
    """
    found: dict[str, str] = {}
    for name in sorted({column.type_name for shape in shapes for column in shape}):
        known = name if _type_exists(connection, name) else _searched(connection, name)
        if known is not None:
            found[name] = known
    return found


def _searched(connection: Connection, name: str) -> str | None:
    """Returns the full name of the type that PostgreSQL finds by the role's own search_path; None if it finds none."""
    parsed = _TYPE.fullmatch(name)
    if parsed is None:
        return None
    plain, size, array = parsed.groups()
    parts = split_name(plain)
    if parts is None:
        return None
    connection.exec_driver_sql(HAND_OVER)
    looked_up = text("SELECT CAST(pg_catalog.to_regtype(:name) AS pg_catalog.oid)")
    oid = connection.execute(looked_up, {"name": quote_identifier(parts[-1][0])}).scalar()
    connection.exec_driver_sql(TAKEN_BACK)
    full = connection.execute(text("SELECT format_type(CAST(:oid AS oid), NULL)"), {"oid": oid}).scalar()
    return None if oid is None else f"{full}{size or ''}{array or ''}"


_TYPE = re.compile(r"(.*?)(\([^()]*\))?((?:\[\])*)")
"""Parts of a type as PostgreSQL prints it: its name, its modifiers, and the brackets of an array."""


def _type_exists(connection: Connection, name: str) -> bool:
    return connection.execute(text("SELECT to_regtype(:name) IS NOT NULL"), {"name": name}).scalar() is True


_BASE = """
WITH RECURSIVE base(oid) AS (
  SELECT CAST(to_regtype(:name) AS oid)
  UNION ALL
  SELECT t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
)
"""

_BASE_TYPE = f"""{_BASE}
SELECT CASE WHEN n.nspname = 'pg_catalog' THEN t.typname ELSE n.nspname || '.' || t.typname END
FROM base b JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd' JOIN pg_namespace n ON n.oid = t.typnamespace
"""

_IS_RECAST = f"{_BASE} SELECT {RECAST.format(type='t.oid')} FROM base JOIN pg_type t USING (oid) WHERE t.typtype <> 'd'"
