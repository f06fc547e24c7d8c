"""Inserts rows into a table of either database, within a transaction that the caller begins and commits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

from nightshift.database.catalog import quote_literal
from nightshift.database.connect import Database
from nightshift.errors import ArchiveMismatch
from nightshift.restore.column_fit import ColumnAssignment, ColumnFit
from nightshift.restore.destination import RestoreDestination
from nightshift.rows import column_mapping
from nightshift.rows.column_mapping import ColumnMapping
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.reader import ArchivedColumn, ArchiveFile
from nightshift.rows.row_connection import StatementRefused, TransactionLimits
from nightshift.rows.sqlite import SqliteConnection


class PostgresRowLoader:
    """COPY straight into the table where that says all; else by way of a stage, a temporary table of the session."""

    def __init__(self, connection: PostgresConnection, destination: RestoreDestination, *, always_stage: bool) -> None:
        """Args:
        always_stage: rows may have to be looked for in the table before it is filled.
        """
        self.connection = connection
        self.destination = destination
        self._always_stage = always_stage
        self._stages: set[str] = set()

    def prepare_stage(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> None:
        """Create the stage that a file of this form needs; it stays for the session, empty after every COMMIT."""
        ways = self._ways(file, fit)
        if self._direct(ways, file):
            return
        columns = column_mapping.stage_columns(ways, file)
        stage = _stage(columns)
        if stage in self._stages:
            return
        with self.connection.transaction(bounds):
            try:
                self.connection.run_statement(f"CREATE TEMP TABLE {stage} ({columns}) ON COMMIT DELETE ROWS")
            except StatementRefused as exc:
                hint = "GRANT TEMPORARY ON DATABASE … TO nightshift's role"
                raise StatementRefused("no temporary table could be made", detail=exc.detail, hint=hint) from exc
            self.connection.commit()
        self._stages.add(stage)

    def load_rows(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> int:
        """Insert a file's rows, leaving out those whose keys the table has; returns how many went in."""
        ways, table = self._ways(file, fit), self.destination.table
        if self._direct(ways, file):
            feed = column_mapping.direct_feed(ways, file)
            return self.connection.load_rows(table.name.schema, table.name.name, *feed, bounds, hand_over=True)
        self._fill_stage(ways, file, bounds)
        select = column_mapping.stage_select(ways, file, _stage_of(ways, file))
        ignore = table.unique and not table.deferrable
        return self.connection.execute(column_mapping.insert_sql(table.name.sql, ways, select, ignore_existing=ignore))

    def count_differing(self, file: ArchiveFile, fit: ColumnFit) -> int:
        """After `load_rows`: the number of the file's rows that the table lacks with these values."""
        ways = self._ways(file, fit)
        timestamp = fit.timestamp_of(file)
        table, stage = self.destination.table.name.sql, _stage_of(ways, file)
        return self.connection.execute(column_mapping.differing_rows_sql(table, ways, file, stage, timestamp))

    def look_for(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> int:
        """The same before `load_rows`, which may follow."""
        ways = self._ways(file, fit)
        self._fill_stage(ways, file, bounds)
        missing = self.count_differing(file, fit)
        self.connection.run_statement(f"TRUNCATE {_stage_of(ways, file)}")
        return missing

    def _fill_stage(self, ways: list[ColumnMapping], file: ArchiveFile, bounds: TransactionLimits) -> None:
        stage = _stage(column_mapping.stage_columns(ways, file))
        staged = self.connection.load_rows("pg_temp", stage, *column_mapping.stage_feed(ways, file), bounds)
        if staged != file.rows:
            raise ArchiveMismatch("row counts differ", detail=f"{file.rows} rows in the object, {staged} were staged")

    def advance_sequences(self, file: ArchiveFile, fit: ColumnFit) -> None:
        """Move sequences past the inserted values. A sequence does not roll back: one that ran ahead does no harm."""
        for filled in fit.filled:
            sequence = filled.slot.sequence
            if sequence is None or not filled.slot.may_set or (top := file.largest_batch(filled.source.name)) is None:
                continue
            behind = (
                f"FROM {sequence} q, pg_sequence s WHERE s.seqrelid = {quote_literal(sequence)}::regclass"
                f" AND s.seqincrement > 0 AND s.seqmax >= {top}"
                f" AND (q.last_value < {top} OR (q.last_value = {top} AND NOT q.is_called))"
            )
            if self.connection.execute(f"SELECT count(*) {behind}"):
                # Two workers that look and set at once could set it back.
                lock = f"hashtextextended({quote_literal(sequence)}, 0)"
                self.connection.execute(f"SELECT length(pg_advisory_xact_lock({lock})::text)")
                self.connection.execute(f"SELECT coalesce((SELECT setval(s.seqrelid, {top}) {behind}), 0)")

    def _direct(self, ways: list[ColumnMapping], file: ArchiveFile) -> bool:
        """COPY knows no ON CONFLICT: a table that may have rows' keys already is filled from a stage."""
        return (
            not self._always_stage
            and not self.destination.table.unique
            and column_mapping.can_copy_directly(ways, file)
        )

    def _ways(self, file: ArchiveFile, fit: ColumnFit) -> list[ColumnMapping]:
        columns = _expected(file, fit, self.destination.types)
        types = self.destination.types.values()
        return [
            ColumnMapping(
                source=columns[filled.source.name],
                target=filled.slot.name,
                base_type=filled.slot.base_type,
                cast=_cast(filled, types),
                same=filled.slot.type_name == filled.source.type_name,
                declared=filled.slot.type_name,
                recast=filled.source.type_name in self.destination.recast,
            )
            for filled in fit.filled
        ]


class SqliteRowLoader:
    """Plain INSERTs: nothing has to be sent first, and SQLite moves its own sequences."""

    def __init__(self, connection: SqliteConnection, destination: RestoreDestination) -> None:
        self.connection = connection
        self.destination = destination

    def prepare_stage(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> None:
        """Nothing is needed."""

    def load_rows(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> int:
        """See `PostgresRowLoader`."""
        _expected(file, fit, {})
        return self.connection.insert_rows(self.destination.table.name.sql, fit.names, file, bounds)

    def count_differing(self, file: ArchiveFile, fit: ColumnFit) -> int:
        """See `PostgresRowLoader`."""
        return self.connection.count_missing(self.destination.table.name.sql, fit.names, file)

    def look_for(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> int:  # noqa: ARG002 - nothing to send first
        """See `PostgresRowLoader`."""
        return self.count_differing(file, fit)

    def advance_sequences(self, file: ArchiveFile, fit: ColumnFit) -> None:
        """Nothing is needed."""


RowLoader = PostgresRowLoader | SqliteRowLoader
"""Inserts rows over one connection."""


def _cast(filled: ColumnAssignment, types: Collection[str]) -> str | None:
    """The type to read a staged value as. Text that goes into text stays: a cast to char(n) would cost its blanks."""
    same = filled.slot.type_name == filled.source.type_name
    stays_text = filled.source.is_text and filled.slot.base_type in ("text", "varchar") and not same
    return None if stays_text or filled.source.type_name not in types else filled.source.type_name


def _expected(file: ArchiveFile, fit: ColumnFit, types: Mapping[str, str]) -> dict[str, ArchivedColumn]:
    """The file's columns by name, once it is sure that they are the ones that were fitted."""
    columns = {column.name: column for column in file.columns}
    for filled in fit.filled:
        column = columns.get(filled.source.name)
        if column is None or types.get(column.type_name, column.type_name) != filled.source.type_name:
            raise ArchiveMismatch(
                "an object's columns are not those that the ledger names",
                detail=f"{filled.source.name}: {column.type_name if column else 'missing'}",
            )
    return columns


def loader_factory(
    database: Database, destination: RestoreDestination, *, always_stage: bool
) -> Callable[[], RowLoader]:
    """Returns a function that opens a data connection and its loader."""
    if database.is_postgresql:
        return lambda: PostgresRowLoader(PostgresConnection(database.target), destination, always_stage=always_stage)
    return lambda: SqliteRowLoader(SqliteConnection(database.target.path, ()), destination)


def _stage_of(ways: list[ColumnMapping], file: ArchiveFile) -> str:
    return f"pg_temp.{_stage(column_mapping.stage_columns(ways, file))}"


def _stage(columns: str) -> str:
    return "nightshift_stage_" + hashlib.sha256(columns.encode()).hexdigest()[:12]
