"""The table that archived rows go into: found, judged, or made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName, quote_identifier, split_name
from nightshift.database.insertable import Insertable, Slot, insertable
from nightshift.database.sqlite import affinity
from nightshift.restore.fit import Fit, Misfit, common_type, fit, sqlite_widens, widens
from nightshift.restore.request import RestoreRequest
from nightshift.results import Refusal
from nightshift.rows.reader import ArchivedColumn

SUFFIX = "_restored"
MAX_NAME_BYTES = 63
"""Of a PostgreSQL identifier, as it is built everywhere."""

Shape = tuple[ArchivedColumn, ...]
"""The columns that some objects were archived with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A table that is ready to be filled.

    Attributes:
        table: as it is, or will be made.
        exists: it stands in the database already.
        fits: how rows go into it, by the fingerprint of their columns.
        types: the archived types that the database still has (PostgreSQL).
        notes: what differs, a sentence each, said once.
    """

    table: Insertable
    exists: bool
    fits: Mapping[str | None, Fit]
    types: frozenset[str]
    notes: tuple[str, ...]


def source_name(label: str) -> TableName:
    """The exact name behind a ledger's label."""
    parts = [part for part, _ in split_name(label) or ()]
    return TableName(parts[0] if len(parts) == 2 else "", parts[-1])


def find(connection: Connection, request: RestoreRequest, label: str) -> tuple[TableName, Insertable | None] | Refusal:
    """Which table the request means, and what it is; None: it does not exist."""
    source = source_name(label)
    if request.into_original:
        found = insertable(connection, source)
        if found is None:
            return _no(
                "unknown_table", f"{label} does not exist any more", "restore into a table of its own, and rename it"
            )
        return source, found
    if request.into is None:
        stem = source.name.encode()[: MAX_NAME_BYTES - len(SUFFIX)].decode(errors="ignore")
        own = TableName(source.schema, stem + SUFFIX)
        return own, insertable(connection, own)
    candidates = _readings(request.into, source.schema)
    if candidates is None:
        return _no("unknown_table", f"{request.into} is not a table's name", "write it like schema.table")
    for name in candidates:
        if name == source:
            return _no("same_table", f"{request.into} is the table that the rows came from", "use --into-original")
        if found := insertable(connection, name):
            return name, found
    return candidates[-1], None


def _readings(written: str, schema: str) -> list[TableName] | None:
    """What a written name may mean: to the letter, then in lower case where it is not quoted, as PostgreSQL has it."""
    parts = split_name(written)
    if parts is None or (schema == "" and len(parts) > 1):
        return None
    exact = [part for part, _ in parts]
    folded = [part if quoted else part.lower() for part, quoted in parts] if schema else exact
    return [
        TableName(names[0] if len(names) == 2 else schema, names[-1])
        for names in dict.fromkeys((tuple(exact), tuple(folded)))
    ]


def judge(table: Insertable) -> Refusal | None:
    """Refuse a table that would not take rows as they are."""
    label = table.name.label
    if table.name.name.startswith("nightshift_"):
        return _no("unusable_table", f"{label} is one of nightshift's own tables", "restore into another one")
    if table.kind not in ("table", "partitioned"):
        return _no("unusable_table", f"{label} is a {table.kind}", "restore into a table")
    if not table.may_insert:
        return _no(
            "privilege",
            f"nightshift's role may not read and insert into {label}",
            f"GRANT SELECT, INSERT ON {table.name.sql} TO nightshift's role",
        )
    if table.altering:
        what = ", ".join(table.altering)
        return _no(
            "altered_rows",
            f"{label}: {what} could change rows on their way in, or keep them out",
            "disable it for the time of the restore, or restore into a table of its own",
        )
    return None


def lay_out(
    connection: Connection,
    request: RestoreRequest,
    name: TableName,
    found: Insertable | None,
    shapes: Mapping[str | None, Shape],
) -> Destination | Refusal:
    """Fit every shape to the table; where it does not exist, plan one that holds them all.

    Args:
        shapes: of the objects to restore, by fingerprint, oldest first.
    """
    every = list(shapes.values())
    table, notes = (found, []) if found is not None else _planned(connection, name, every, request.rename)
    if found is not None and request.into is None and not request.into_original:
        table = _extended(connection, found, every, request.rename)
    rule = widens if name.schema else sqlite_widens
    fits: dict[str | None, Fit] = {}
    for fingerprint, shape in shapes.items():
        fitting = fit(shape, table.slots, request.rename, rule)
        if isinstance(fitting, Misfit):
            return _no(
                "impossible_columns",
                f"archived rows do not fit {name.label}: " + "; ".join(fitting.problems),
                "restore into a table of its own (leave out --into), name renamed columns with --rename OLD=NEW,"
                " or choose days with --since and --until",
            )
        fits[fingerprint] = fitting
    said = [*notes, *(note for fitting in fits.values() for note in fitting.notes)]
    said += [f"{trigger} runs for each row" for trigger in table.firing]
    said += [
        f"{slot.name}: its sequence cannot be moved, no privilege; see that it is past the restored values"
        for slot in table.slots
        if slot.sequence and not slot.may_set
    ]
    types = _existing_types(connection, every) if name.schema else frozenset()
    return Destination(table=table, exists=found is not None, fits=fits, types=types, notes=tuple(dict.fromkeys(said)))


def _planned(
    connection: Connection, name: TableName, shapes: Sequence[Shape], rename: Mapping[str, str]
) -> tuple[Insertable, list[str]]:
    """A table for all shapes: the newest one's columns in their order, then those that only older ones have."""
    types: dict[str, list[str]] = {}
    for shape in reversed(shapes):
        for column in shape:
            types.setdefault(rename.get(column.name, column.name), []).insert(0, column.type_name)
    slots, notes = [], []
    for column_name, declared in types.items():
        chosen = common_type(declared) if name.schema else declared[-1]
        if name.schema and not _type_exists(connection, chosen):
            notes.append(f"{column_name}: the type {chosen} is gone, restored as text")
            chosen = "text"
        base = _base_type(connection, chosen) if name.schema else affinity(chosen)
        slots.append(Slot(name=column_name, type_name=chosen, base_type=base))
    return Insertable(name=name, id=0, kind="table", slots=tuple(slots), unique=False, empty=True), notes


def make(connection: Connection, destination: Destination) -> Destination:
    """Create the table, or add the columns that it lacks, as planned; commits. Returns it as it stands."""
    table = destination.table
    found = insertable(connection, table.name)
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
    made = insertable(connection, table.name)
    assert made is not None  # it was there a moment ago
    return replace(destination, table=made, exists=True)


def _extended(
    connection: Connection, table: Insertable, shapes: Sequence[Shape], rename: Mapping[str, str]
) -> Insertable:
    """Our own `_restored` table, with the columns that further shapes bring."""
    planned, _ = _planned(connection, table.name, shapes, rename)
    known = {slot.name for slot in table.slots}
    return replace(table, slots=(*table.slots, *(slot for slot in planned.slots if slot.name not in known)))


def _existing_types(connection: Connection, shapes: Sequence[Shape]) -> frozenset[str]:
    names = {column.type_name for shape in shapes for column in shape}
    return frozenset(name for name in names if _type_exists(connection, name))


def _type_exists(connection: Connection, name: str) -> bool:
    return connection.execute(text("SELECT to_regtype(:name) IS NOT NULL"), {"name": name}).scalar() is True


_BASE_TYPE = """
WITH RECURSIVE base(oid) AS (
  SELECT CAST(to_regtype(:name) AS oid)
  UNION ALL
  SELECT t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
)
SELECT CASE WHEN n.nspname = 'pg_catalog' THEN t.typname ELSE n.nspname || '.' || t.typname END
FROM base b JOIN pg_type t ON t.oid = b.oid AND t.typtype <> 'd' JOIN pg_namespace n ON n.oid = t.typnamespace
"""


def _base_type(connection: Connection, name: str) -> str:
    """The name of the type beneath a declared one, as `catalog.Column.base_type` has it."""
    return str(connection.execute(text(_BASE_TYPE), {"name": name}).scalar())


def _no(guard: str, message: str, hint: str) -> Refusal:
    return Refusal(guard=guard, message=message, hint=hint)
