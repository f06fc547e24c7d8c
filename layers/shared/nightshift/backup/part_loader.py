"""Loads a backup's parts into their tables by COPY: straight, or through a stage where a type travels as text."""

from __future__ import annotations

from collections.abc import Mapping

from nightshift.backup.block_ranges import name_in_file
from nightshift.backup.models import BackupPart, TableEntry
from nightshift.backup.target_columns import TargetColumn, map_columns
from nightshift.database.catalog import TableName
from nightshift.errors import ArchiveMismatch
from nightshift.rows import column_mapping
from nightshift.rows.column_mapping import ColumnMapping
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.row_connection import TransactionLimits

_STAGE = "nightshift_stage"


class PartLoader:
    """Loads parts by one connection, within the caller's transactions.

    The stage, a temporary table, stays for the next part of the same columns: to make one takes the server as long as
    to load a small table. COMMIT empties it. There is never more than one: at each COMMIT the server empties all.
    """

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection
        self._stage_columns: str | None = None

    def load(
        self,
        entry: TableEntry,
        into: Mapping[str, TargetColumn],
        part: BackupPart,
        body: bytes,
        table: TableName,
        bounds: TransactionLimits,
    ) -> None:
        """Load a part.

        Args:
            into: the fields of the table, by name.
            body: the part's bytes.
            table: the entry's own, or one of its form.

        Raises:
            ArchiveMismatch: the file has other columns than the manifest names, or other rows went in.
            StatementInterrupted, ConnectionLost, StatementRefused: as of `PostgresConnection.load_rows`.
        """
        file = ArchiveFile(body)
        if [column.name for column in file.columns] != [name_in_file(column.name) for column in entry.columns]:
            raise ArchiveMismatch("an object's columns are not those that the manifest names", detail=part.key)
        path = map_columns(file.columns, [into[column.name] for column in entry.columns])
        if column_mapping.can_copy_directly(path, file):
            rows = self._connection.load_rows(table.schema, table.name, *column_mapping.direct_feed(path, file), bounds)
        else:
            rows = self._by_stage(path, file, table, bounds)
        if rows != part.rows:
            detail = f"{part.key}: {part.rows} rows by the manifest, {rows} went in"
            raise ArchiveMismatch("row counts differ", detail=detail)

    def empty_stage(self) -> None:
        """Remove the rows of the stage before the COMMIT, for another part of the same transaction."""
        if self._stage_columns is not None:
            self._connection.run_statement(f"TRUNCATE pg_temp.{_STAGE}")

    def _by_stage(
        self, path: list[ColumnMapping], file: ArchiveFile, table: TableName, bounds: TransactionLimits
    ) -> int:
        columns = column_mapping.stage_columns(path, file)
        if columns != self._stage_columns:
            if self._stage_columns is not None:
                self._connection.run_statement(f"DROP TABLE pg_temp.{_STAGE}")
            self._connection.run_statement(f"CREATE TEMP TABLE {_STAGE} ({columns}) ON COMMIT DELETE ROWS")
            self._stage_columns = columns
        self._connection.load_rows("pg_temp", _STAGE, *column_mapping.stage_feed(path, file), bounds)
        select = column_mapping.stage_select(path, file, f"pg_temp.{_STAGE}")
        return self._connection.execute(column_mapping.insert_sql(table.sql, path, select, ignore_existing=False))
