"""Finds tables and sequences that a backup does not save: for lack of a right or a lock, or by settings. It names each.

A table that the role may not read, or that another session holds in ACCESS EXCLUSIVE mode, is excluded from pg_dump as
well, which would fail for it: its definition is missing with its rows. If row level security hides a table's rows, or
the table is in BACKUP_EXCLUDE_ROWS, its definition is saved. The backup is `partial` in all cases but the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableName, quote_identifier, split_name
from nightshift.errors import InvalidSettings

_BELOW = """
WITH RECURSIVE below(oid) AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = :schema AND c.relname = :name AND c.relkind IN ('r', 'p')
  UNION SELECT i.inhrelid FROM below b JOIN pg_class c ON c.oid = b.oid AND c.relkind = 'p'
  JOIN pg_inherits i ON i.inhparent = b.oid
) SELECT oid FROM below
"""


@dataclass(frozen=True, slots=True)
class UnreadableObjects:
    """Rows and tables that are not saved.

    Attributes:
        oids: oids of the relations that are not read.
        undumped: tables without a definition in the backup.
        sequences: sequences whose definition is saved, but not their state.
        unsaved: sentences about objects that should have been saved.
        excluded: sentences about objects that settings leave out.
    """

    oids: frozenset[int] = frozenset()
    undumped: tuple[TableName, ...] = ()
    sequences: tuple[TableName, ...] = ()
    unsaved: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


def set_aside(
    connection: Connection, relations: Sequence[Any], *, busy: Sequence[TableName], exclude: Sequence[str]
) -> UnreadableObjects:
    """Returns those of `list_relations` that cannot be saved, e.g. as they are busy, or that BACKUP_EXCLUDE_ROWS names.

    Raises:
        InvalidSettings: a table of `exclude` does not exist.
    """
    role = quote_identifier(str(connection.execute(text("SELECT current_user")).scalar()))
    closed = [row for row in relations if row.kind in ("r", "p") and not row.may_read]
    sequences = [row for row in relations if row.kind == "S" and not row.may_read]
    locked = [row for row in relations if relation_name(row) in busy and row.may_read and row.kind in ("r", "p")]
    left_out = _excluded(connection, exclude) - {row.oid for row in (*closed, *locked)}
    hidden = [r for r in relations if r.kind == "r" and r.may_read and r.hidden and r.oid not in left_out]
    # The cure comes before the names: a message cuts a long list short.
    unsaved: list[str] = []
    cure = f"GRANT pg_read_all_data TO {role}, or keep their schemas out of BACKUP_SCHEMAS"
    if closed:
        unsaved.append(f"tables that {role} may not read, neither rows nor definition ({cure}): {_names(closed)}")
    if sequences:
        unsaved.append(f"where sequences stand that {role} may not read ({cure}): {_names(sequences)}")
    if locked:
        unsaved.append(
            "tables that somebody held in ACCESS EXCLUSIVE mode, neither rows nor definition (pg_locks says who, and"
            f" the next backup tries again): {_names(locked)}"
        )
    unsaved += _about_hidden(hidden, role)
    excluded = [row for row in relations if row.oid in left_out and row.kind == "r"]
    return UnreadableObjects(
        oids=frozenset(row.oid for row in (*closed, *sequences, *locked, *hidden)) | left_out,
        undumped=tuple(map(relation_name, (*closed, *locked))),
        sequences=tuple(map(relation_name, sequences)),
        unsaved=tuple(unsaved),
        excluded=(f"rows that BACKUP_EXCLUDE_ROWS leaves out: {_names(excluded)}",) if excluded else (),
    )


def _about_hidden(hidden: Sequence[Any], role: str) -> Iterator[str]:
    if not hidden:
        return
    cures = [f"ALTER ROLE {role} BYPASSRLS"]
    owners = sorted({row.owner for row in hidden if not row.forced and quote_identifier(row.owner) != role})
    if owners:
        cures.append(f"GRANT {', '.join(map(quote_identifier, owners))} TO {role}")
    forced = [row for row in hidden if row.forced and quote_identifier(row.owner) == role]
    cures += [f"ALTER TABLE {relation_name(row).sql} NO FORCE ROW LEVEL SECURITY" for row in forced[:3]]
    yield f"rows that row level security hides from {role} (to save them: {', or '.join(cures)}): {_names(hidden)}"


def _excluded(connection: Connection, names: Sequence[str]) -> frozenset[int]:
    """The tables of BACKUP_EXCLUDE_ROWS, with their partitions."""
    oids_of: dict[str, set[int]] = {}
    for name in names:
        parts = [part for part, _ in split_name(name) or ()]
        wanted = {"schema": parts[0], "name": parts[1]} if len(parts) == 2 else None
        oids_of[name] = set(connection.execute(text(_BELOW), wanted).scalars()) if wanted else set()
    if unknown := [name for name, oids in oids_of.items() if not oids]:
        raise InvalidSettings(
            "a table whose rows are not to be saved does not exist",
            detail=f"BACKUP_EXCLUDE_ROWS: {', '.join(unknown)}",
            hint='write it like schema.table, or "Schema"."Table" for names with capitals; nothing was written',
        )
    return frozenset().union(*oids_of.values())


def relation_name(row: Any) -> TableName:
    return TableName(row.nspname, row.relname)


def _names(rows: Sequence[Any]) -> str:
    return ", ".join(relation_name(row).label for row in rows)
