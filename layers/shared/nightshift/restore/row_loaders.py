"""Inserts rows into a table of PostgreSQL or SQLite, within a transaction that the caller begins and commits."""

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
    """Inserts rows with COPY: into the table itself if possible, else into a stage, the session's temporary table."""

    def __init__(self, connection: PostgresConnection, destination: RestoreDestination, *, always_stage: bool) -> None:
        """Args:
        always_stage: always use a stage, because `look_for` needs it.
        """
        self.connection = connection
        self.destination = destination
        self._always_stage = always_stage
        self._stages: set[str] = set()

    def prepare_stage(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> None:
        """Create the stage for files with these columns. The stage lasts for the session; each COMMIT empties it."""
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
        """Insert a file's rows except rows whose keys the table has. Returns the number of inserted rows."""
        ways, table = self._ways(file, fit), self.destination.table
        if self._direct(ways, file):
            feed = column_mapping.direct_feed(ways, file)
            return self.connection.load_rows(table.name.schema, table.name.name, *feed, bounds, hand_over=True)
        self._fill_stage(ways, file, bounds)
        select = column_mapping.stage_select(ways, file, _stage_of(ways, file))
        ignore = table.unique and not table.deferrable
        return self.connection.execute(column_mapping.insert_sql(table.name.sql, ways, select, ignore_existing=ignore))

    def count_differing(self, file: ArchiveFile, fit: ColumnFit) -> int:
        """Returns the number of the file's rows that the table lacks with these values. Call it after `load_rows`."""
        ways = self._ways(file, fit)
        timestamp = fit.timestamp_of(file)
        table, stage = self.destination.table.name.sql, _stage_of(ways, file)
        return self.connection.execute(column_mapping.differing_rows_sql(table, ways, file, stage, timestamp))

    def look_for(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> int:
        """Returns the same number as `count_differing`, before `load_rows`. The caller may call `load_rows` next."""
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
        """Move sequences past the inserted values. A rollback does not reset a sequence, which does no harm."""
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
                # Without the lock, two workers that read and set the sequence at once could move it back.
                lock = f"hashtextextended({quote_literal(sequence)}, 0)"
                self.connection.execute(f"SELECT length(pg_advisory_xact_lock({lock})::text)")
                self.connection.execute(f"SELECT coalesce((SELECT setval(s.seqrelid, {top}) {behind}), 0)")

    def _direct(self, ways: list[ColumnMapping], file: ArchiveFile) -> bool:
        """Returns whether COPY can write to the table itself.

        COPY has no ON CONFLICT. If the table has a key, its rows are therefore inserted from a stage.
        """
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
    """Inserts rows with INSERT. SQLite needs no stage, and moves its sequences itself."""

    def __init__(self, connection: SqliteConnection, destination: RestoreDestination) -> None:
        self.connection = connection
        self.destination = destination

    def prepare_stage(self, file: ArchiveFile, fit: ColumnFit, bounds: TransactionLimits) -> None:
        """Do nothing: SQLite needs no stage."""

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
        """Do nothing: SQLite moves its sequences itself."""


RowLoader = PostgresRowLoader | SqliteRowLoader
"""An object that inserts rows over one connection."""


def _cast(filled: ColumnAssignment, types: Collection[str]) -> str | None:
    """Returns the type to which a staged value is cast, or None.

    Text for a text column is not cast, because a cast to char(n) would remove trailing blanks.
    """
    same = filled.slot.type_name == filled.source.type_name
    stays_text = filled.source.is_text and filled.slot.base_type in ("text", "varchar") and not same
    return None if stays_text or filled.source.type_name not in types else filled.source.type_name


def _expected(file: ArchiveFile, fit: ColumnFit, types: Mapping[str, str]) -> dict[str, ArchivedColumn]:
    """Returns the file's columns by name, after checking that they are the columns that were matched."""
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
