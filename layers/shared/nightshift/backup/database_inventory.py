"""Lists the objects of a PostgreSQL database to save, in the transaction whose snapshot is used to read the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from nightshift.backup.database_settings import properties_of, settings_of
from nightshift.backup.exclusions import find_exclusions, needs_outside
from nightshift.backup.models import DatabaseProperties, DatabaseSetting, SequenceState
from nightshift.backup.sequences import sequence_states
from nightshift.backup.unreadable_objects import UnreadableObjects, relation_name
from nightshift.backup.views import FilledView
from nightshift.database.catalog import TableColumn, TableName
from nightshift.database.postgres import table_column
from nightshift.errors import InvalidSettings, NightshiftError

_OURS = """
    n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
    AND (CAST(:schemas AS text[]) IS NULL OR n.nspname = ANY (CAST(:schemas AS text[])))
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid
                    AND d.deptype = 'e')
"""
"""SQL condition for the relations `c` in schemas `n` to save: neither temporary nor created by an extension."""

_RELATIONS = f"""
SELECT c.oid, n.nspname, c.relname, c.relkind::text AS kind, c.relfilenode AS file,
       pg_get_userbyid(c.relowner) AS owner, c.relforcerowsecurity AS forced, row_security_active(c.oid) AS hidden,
       has_schema_privilege(n.oid, 'USAGE') AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'SELECT')
         ELSE has_table_privilege(c.oid, 'SELECT') END AS may_read
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind IN ('r', 'p', 'S', 'f') OR c.relkind = 'm' AND c.relispopulated) AND {_OURS}
ORDER BY c.oid
"""

_SIZES = """
SELECT c.oid, pg_table_size(c.oid) AS bytes, c.reltuples,
       CASE WHEN a.amname = 'heap'
         THEN pg_relation_size(c.oid) / CAST(current_setting('block_size') AS int) END AS blocks
FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = ANY (CAST(:oids AS oid[]))
"""

_COLUMNS = """
WITH RECURSIVE base(relid, attnum, typid, typmod) AS (
  SELECT attrelid, attnum, atttypid, atttypmod FROM pg_attribute
  WHERE attrelid = ANY (CAST(:oids AS oid[])) AND attnum > 0 AND NOT attisdropped AND attgenerated <> 'v'
  UNION ALL
  SELECT b.relid, b.attnum, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.typid
  WHERE t.typtype = 'd'
)
SELECT a.attrelid, a.attname, a.attgenerated <> '' AS computed, format_type(a.atttypid, a.atttypmod) AS declared,
       n.nspname, t.typname, b.typmod
FROM base b JOIN pg_attribute a ON a.attrelid = b.relid AND a.attnum = b.attnum
JOIN pg_type t ON t.oid = b.typid AND t.typtype <> 'd' JOIN pg_namespace n ON n.oid = t.typnamespace
ORDER BY a.attrelid, a.attnum
"""

_KIN = """
SELECT conrelid AS one, confrelid AS other, contype::text AS how FROM pg_constraint WHERE contype = 'f'
UNION ALL SELECT inhrelid, inhparent, 'i' FROM pg_inherits
"""

_PARTITIONS = """
WITH RECURSIVE below(root, oid) AS (
  SELECT c.oid, i.inhrelid FROM pg_class c JOIN pg_inherits i ON i.inhparent = c.oid
  WHERE c.relkind = 'p' AND NOT c.relispartition
  UNION ALL SELECT b.root, i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.oid
)
SELECT n.nspname, c.relname, b.oid AS leaf FROM below b JOIN pg_class c ON c.oid = b.root
JOIN pg_namespace n ON n.oid = c.relnamespace
"""

_OTHERS = """
SELECT nspname FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND nspname <> ALL (CAST(:schemas AS text[])) ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class SourceTable:
    """One table that holds rows.

    Attributes:
        columns: the columns that are not generated, in order.
        computed: the stored generated columns, in order.
        blocks: number of 8 kB pages of the table's heap; None: the table's access method is not `heap`.
        bytes: size on disk.
        rows: the planner's estimate of the number of rows; negative: the table was never analysed.
        kin: number of the table's group. Tables connected by foreign keys or inheritance have the same number.
    """

    oid: int
    name: TableName
    columns: tuple[TableColumn, ...]
    computed: tuple[TableColumn, ...]
    blocks: int | None
    bytes: int
    rows: float
    kin: int


@dataclass(frozen=True, slots=True)
class DatabaseInventory:
    """The objects of a database to save.

    Attributes:
        excluded: schemas that are not saved.
        references: pairs of labels: the first table has a foreign key to the second table.
        partitions: label of a partitioned table → labels of its partitions that hold rows.
        aside: objects that cannot be read, or that settings exclude.
        missing: one sentence for each kind of content that is not saved.
    """

    sources: tuple[SourceTable, ...]
    sequences: tuple[SequenceState, ...]
    settings: tuple[DatabaseSetting, ...]
    properties: DatabaseProperties
    excluded: tuple[str, ...]
    references: tuple[tuple[str, str], ...]
    partitions: Mapping[str, Sequence[str]]
    views: tuple[FilledView, ...]
    aside: UnreadableObjects
    missing: tuple[str, ...]


def list_relations(connection: Connection, schemas: Sequence[str] | None) -> Sequence[Any]:
    """Returns the relations in the chosen schemas: rows of `_RELATIONS`, whose `kind` is pg_class's letter.

    Raises:
        InvalidSettings: a schema does not exist.
        NightshiftError: the database's encoding is SQL_ASCII, so the encoding of its text is unknown.
    """
    if schemas is not None:
        known = set(connection.execute(text("SELECT nspname FROM pg_namespace")).scalars())
        if unknown := [name for name in schemas if name not in known]:
            raise InvalidSettings(
                "a schema to save does not exist",
                detail=f"BACKUP_SCHEMAS: {', '.join(unknown)}",
                hint="names are taken to the letter, without quotes; nothing was written",
            )
    if connection.execute(text("SHOW server_encoding")).scalar() == "SQL_ASCII":
        raise NightshiftError("the database's text has no encoding (SQL_ASCII)", hint="back it up with pg_dump")
    wanted = {"schemas": None if schemas is None else list(schemas)}
    return connection.execute(text(_RELATIONS), wanted).all()


def take_inventory(
    connection: Connection, relations: Sequence[Any], schemas: Sequence[str] | None, aside: UnreadableObjects
) -> DatabaseInventory:
    """Returns the inventory, read in the snapshot's transaction. Objects in `aside` are not read."""
    found = [row for row in relations if row.oid not in aside.oids]
    tables = {int(row.oid): relation_name(row) for row in found if row.kind == "r"}
    filled = [row for row in found if row.kind == "m"]
    columns: dict[int, list[TableColumn]] = {oid: [] for oid in (*tables, *(row.oid for row in filled))}
    computed: dict[int, list[TableColumn]] = {oid: [] for oid in tables}
    for row in connection.execute(text(_COLUMNS), _oids(columns)):
        (computed if row.computed else columns)[row.attrelid].append(table_column(row))
    kin, references = _families(connection, tables)
    sources = tuple(
        SourceTable(
            oid=row.oid,
            name=tables[row.oid],
            columns=tuple(columns[row.oid]),
            computed=tuple(computed[row.oid]),
            blocks=row.blocks,
            bytes=row.bytes,
            rows=row.reltuples,
            kin=kin.get(row.oid, row.oid),
        )
        for row in connection.execute(text(_SIZES), _oids(tables))
    )
    others = connection.execute(text(_OTHERS), {"schemas": list(schemas)}).scalars() if schemas is not None else ()
    excluded = tuple(others)
    views = [
        FilledView(
            row.oid, relation_name(row), tuple(column.name for column in columns[row.oid]), row.file, row.may_read
        )
        for row in filled
    ]
    return DatabaseInventory(
        sources=sources,
        excluded=excluded,
        sequences=tuple(sequence_states(connection, _names(found, "S"))),
        settings=settings_of(connection),
        properties=properties_of(connection),
        references=references,
        partitions=_partitions(connection, tables),
        views=tuple(sorted(views, key=lambda view: view.name.label)),
        aside=aside,
        missing=(
            *aside.unsaved,
            *aside.excluded,
            *find_exclusions(connection, _names(found, "f")),
            *(needs_outside(connection, schemas, excluded) if schemas else ()),
        ),
    )


def _oids(relations: Iterable[int]) -> dict[str, str]:
    return {"oids": "{" + ",".join(map(str, relations)) + "}"}


def _names(relations: Sequence[Any], kind: str) -> list[TableName]:
    return [relation_name(row) for row in relations if row.kind == kind]


def _families(
    connection: Connection, tables: dict[int, TableName]
) -> tuple[dict[int, int], tuple[tuple[str, str], ...]]:
    """Returns the number of each table's group of related tables, and pairs of referencing and referenced tables."""
    leader: dict[int, int] = {}

    def lead(oid: int) -> int:
        while (above := leader.setdefault(oid, oid)) != oid:
            leader[oid] = leader[above]
            oid = above
        return oid

    references = []
    for row in connection.execute(text(_KIN)):
        leader[lead(row.one)] = lead(row.other)
        if row.how == "f" and row.one in tables and row.other in tables:
            references.append((tables[row.one].label, tables[row.other].label))
    return {oid: lead(oid) for oid in tables}, tuple(references)


def _partitions(connection: Connection, tables: Mapping[int, TableName]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in connection.execute(text(_PARTITIONS)):
        if row.leaf in tables:
            found.setdefault(relation_name(row).label, []).append(tables[row.leaf].label)
    return found
