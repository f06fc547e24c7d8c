"""Reads the columns of the target's tables, and loads a backup's parts into the tables with COPY.

COPY writes to the table itself, or to a stage (a temporary table) if a column's type is transferred as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from nightshift.backup.block_ranges import name_in_file
from nightshift.backup.models import BackupPart, TableEntry
from nightshift.backup.opened_backup import OpenedBackup
from nightshift.database.catalog import TableName
from nightshift.database.values import RECAST
from nightshift.errors import ArchiveMismatch
from nightshift.rows import column_mapping
from nightshift.rows.column_mapping import ColumnMapping
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.row_connection import TransactionLimits

# Without a search path, types are printed and read with their schema.
_NO_PATH = "SELECT set_config('search_path', '', true)"

_COLUMNS = f"""
WITH RECURSIVE wanted AS (
  SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
), base(attrelid, attnum, typid) AS (
  SELECT a.attrelid, a.attnum, a.atttypid FROM pg_attribute a JOIN wanted w ON w.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attrelid, b.attnum, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typid WHERE t.typtype = 'd'
)
SELECT w.nspname, w.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS declared, tn.nspname AS type_schema,
       t.typname, a.attgenerated <> '' AS computed, {RECAST.format(type="t.oid")} AS recast
FROM wanted w
LEFT JOIN (base b JOIN pg_type t ON t.oid = b.typid AND t.typtype <> 'd' JOIN pg_namespace tn ON tn.oid = t.typnamespace
           JOIN pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum) ON b.attrelid = w.oid
ORDER BY 1, 2, a.attnum
"""

_STAGE = "nightshift_stage"


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of a table into which rows are loaded.

    Attributes:
        computed: the column is generated, and accepts no values.
        declared: the declared type, with its schema unless the schema is `pg_catalog`.
        base: name of the type below any domain, as in `catalog.Column.base_type`.
        recast: see `database.values.RECAST`.
    """

    name: str
    declared: str
    base: str
    recast: bool = False
    computed: bool = False


TargetColumns = Mapping[TableName, Mapping[str, TargetColumn]]

_ROUTED = """
WITH RECURSIVE above(leaf, oid, steps) AS (
  SELECT i.inhrelid, i.inhparent, 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE c.relkind = 'r' AND c.relispartition
  UNION ALL SELECT a.leaf, i.inhparent, a.steps + 1 FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid
)
SELECT DISTINCT ON (a.leaf) ln.nspname AS leaf_schema, l.relname AS leaf_name, n.nspname, c.relname
FROM above a JOIN pg_partitioned_table p ON p.partrelid = a.oid AND p.partstrat = 'h'
JOIN pg_class l ON l.oid = a.leaf JOIN pg_namespace ln ON ln.oid = l.relnamespace
JOIN pg_class c ON c.oid = a.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE EXISTS (SELECT 1 FROM pg_opclass o WHERE o.oid = ANY (p.partclass)
              AND o.opcname IN ('enum_ops', 'array_ops', 'record_ops', 'range_ops', 'multirange_ops'))
ORDER BY a.leaf, a.steps DESC
"""


def hash_partition_routes(connection: Connection) -> Mapping[TableName, TableName]:
    """Returns a mapping: leaf partition whose rows may belong to another partition → table that routes the rows.

    PostgreSQL hashes an enum's value by its internal number, which differs between databases. The same applies to
    enum values in arrays, rows and ranges.
    """
    return {
        TableName(row.leaf_schema, row.leaf_name): TableName(row.nspname, row.relname)
        for row in connection.execute(text(_ROUTED))
    }


def load_target_columns(connection: Connection) -> TargetColumns:
    """Returns the columns of every table, by table and name."""
    connection.execute(text(_NO_PATH))
    tables: dict[TableName, dict[str, TargetColumn]] = {}
    for row in connection.execute(text(_COLUMNS)):
        columns = tables.setdefault(TableName(row.nspname, row.relname), {})
        if row.attname is not None:
            base = row.typname if row.type_schema == "pg_catalog" else f"{row.type_schema}.{row.typname}"
            columns[row.attname] = TargetColumn(row.attname, row.declared, base, row.recast, row.computed)
    return tables


def column_mismatches(entry: TableEntry, columns: Mapping[str, TargetColumn] | None) -> tuple[str, ...]:
    """Returns a sentence for each reason why a table's saved rows cannot be loaded into a table."""
    if columns is None:
        return ("it does not exist",)
    mismatches = []
    saved = {column.name: column.type for column in entry.columns}
    for name, kind in saved.items():
        if name not in columns:
            mismatches.append(f"column {name} does not exist")
        elif columns[name].computed:
            mismatches.append(f"column {name} is generated, and was not")
        elif _plain(columns[name].declared) != _plain(kind):
            mismatches.append(f"column {name} is {columns[name].declared}, and was {kind}")
    taking = [name for name, column in columns.items() if not column.computed]
    return (*mismatches, *(f"column {name} was not saved" for name in taking if name not in saved))


def _plain(kind: str) -> str:
    """Returns a type's name without its schema, because only some sessions print the schema."""
    return kind.rpartition(".")[2].replace('"', "")


class PartLoader:
    """Loads parts over one connection, within the caller's transactions.

    The stage is a temporary table, and is reused for the next part with the same columns: creating a stage takes as
    long as loading a small table. COMMIT empties the stage. There is at most one stage, because COMMIT empties each.
    """

    def __init__(self, connection: PostgresConnection, backup: OpenedBackup, fields: TargetColumns) -> None:
        """Args:
        fields: columns of the target's tables. They must fit the saved tables, see `column_mismatches`.
        """
        self.connection = connection
        self._backup = backup
        self._fields = fields
        self._stage_columns: str | None = None

    def load(self, entry: TableEntry, part: BackupPart, table: TableName, bounds: TransactionLimits) -> None:
        """Load a part into a table: the entry's table, or a table with the same columns.

        Raises:
            BackupDamaged: the part is missing or altered.
            ArchiveMismatch: the file's columns or the number of loaded rows differ from the manifest.
            StatementInterrupted, ConnectionLost, StatementRefused: see `PostgresConnection.load_rows`.
        """
        file = ArchiveFile(self._backup.read_part(part))
        if [column.name for column in file.columns] != [name_in_file(column.name) for column in entry.columns]:
            raise ArchiveMismatch("an object's columns are not those that the manifest names", detail=part.key)
        fields = [self._fields[entry.table][column.name] for column in entry.columns]
        path = [
            ColumnMapping(
                source=column,
                target=field.name,
                base_type=field.base,
                cast=field.declared,
                same=True,
                declared=field.declared,
                recast=field.recast,
            )
            for column, field in zip(file.columns, fields, strict=True)
        ]
        if column_mapping.can_copy_directly(path, file):
            rows = self.connection.load_rows(table.schema, table.name, *column_mapping.direct_feed(path, file), bounds)
        else:
            rows = self._by_stage(path, file, table, bounds)
        if rows != part.rows:
            detail = f"{part.key}: {part.rows} rows by the manifest, {rows} went in"
            raise ArchiveMismatch("row counts differ", detail=detail)

    def empty_stage(self) -> None:
        """Delete the rows of the stage before COMMIT, so that the transaction can load another part."""
        if self._stage_columns is not None:
            self.connection.run_statement(f"TRUNCATE pg_temp.{_STAGE}")

    def _by_stage(
        self, path: list[ColumnMapping], file: ArchiveFile, table: TableName, bounds: TransactionLimits
    ) -> int:
        columns = column_mapping.stage_columns(path, file)
        if columns != self._stage_columns:
            if self._stage_columns is not None:
                self.connection.run_statement(f"DROP TABLE pg_temp.{_STAGE}")
            self.connection.run_statement(f"CREATE TEMP TABLE {_STAGE} ({columns}) ON COMMIT DELETE ROWS")
            self._stage_columns = columns
        self.connection.load_rows("pg_temp", _STAGE, *column_mapping.stage_feed(path, file), bounds)
        select = column_mapping.stage_select(path, file, f"pg_temp.{_STAGE}")
        return self.connection.execute(column_mapping.insert_sql(table.sql, path, select, ignore_existing=False))
