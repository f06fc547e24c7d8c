"""How rows get into a table of either database, within a transaction that somebody else begins and commits."""

from __future__ import annotations

import hashlib
from typing import Protocol

from nightshift.database.catalog import quote_literal
from nightshift.errors import ArchiveMismatch
from nightshift.restore.fit import Fit
from nightshift.restore.target import Destination
from nightshift.rows import loading
from nightshift.rows.loading import Way
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.reader import ArchivedColumn, ArchiveFile
from nightshift.rows.source import Bounds, RowConnection
from nightshift.rows.sqlite import SqliteConnection


class Filler(Protocol):
    """Inserts rows over one connection."""

    @property
    def connection(self) -> RowConnection: ...

    @property
    def destination(self) -> Destination: ...

    def prepare(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> None:
        """Do what must be committed before the transaction begins."""

    def fill(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """Insert a file's rows, leaving out those whose keys the table has; returns how many went in."""

    def advance_sequences(self, file: ArchiveFile, fit: Fit) -> None:
        """Move sequences past the values that came in."""


class PostgresFiller:
    """COPY straight into the table where that says all; else by way of a stage, a temporary table of the session."""

    def __init__(self, connection: PostgresConnection, destination: Destination) -> None:
        self.connection = connection
        self.destination = destination
        self._stages: set[str] = set()

    def prepare(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> None:
        """Create the stage that a file of this form needs; it stays for the session, empty after every COMMIT."""
        ways = self._ways(file, fit)
        if self._direct(ways, file):
            return
        columns = loading.stage_columns(ways, file)
        stage = _stage(columns)
        if stage in self._stages:
            return
        with self.connection.transaction(bounds):
            self.connection.run(f"CREATE TEMP TABLE {stage} ({columns}) ON COMMIT DELETE ROWS")
            self.connection.commit()
        self._stages.add(stage)

    def fill(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """See `Filler.fill`."""
        ways, table = self._ways(file, fit), self.destination.table
        if self._direct(ways, file):
            return self.connection.load(table.name.schema, table.name.name, *loading.direct_feed(ways, file), bounds)
        stage = _stage(loading.stage_columns(ways, file))
        staged = self.connection.load("pg_temp", stage, *loading.stage_feed(ways, file), bounds)
        if staged != file.rows:
            raise ArchiveMismatch("row counts differ", detail=f"{file.rows} rows in the object, {staged} were staged")
        select = loading.stage_select(ways, file, f"pg_temp.{stage}")
        return self.connection.execute(loading.insert(table.name.sql, ways, select, ignore_existing=table.unique))

    def advance_sequences(self, file: ArchiveFile, fit: Fit) -> None:
        """See `Filler.advance_sequences`. A sequence does not roll back: one that ran ahead does no harm."""
        for filled in fit.filled:
            sequence = filled.slot.sequence
            if sequence is None or not filled.slot.may_set or (top := file.largest(filled.source.name)) is None:
                continue
            self.connection.execute(
                f"SELECT coalesce((SELECT setval(s.seqrelid, {top}) FROM {sequence} q, pg_sequence s"
                f" WHERE s.seqrelid = {quote_literal(sequence)}::regclass AND s.seqincrement > 0"
                f" AND q.last_value < {top} AND s.seqmax >= {top}), 0)"
            )

    def _direct(self, ways: list[Way], file: ArchiveFile) -> bool:
        """COPY knows no ON CONFLICT: a table that may have rows' keys already is filled from a stage."""
        return not self.destination.table.unique and loading.is_direct(ways, file)

    def _ways(self, file: ArchiveFile, fit: Fit) -> list[Way]:
        columns = _expected(file, fit)
        types = self.destination.types
        return [
            Way(
                source=columns[filled.source.name],
                target=filled.slot.name,
                base_type=filled.slot.base_type,
                cast=filled.source.type_name if filled.source.type_name in types else None,
                same=filled.slot.type_name == filled.source.type_name,
            )
            for filled in fit.filled
        ]


class SqliteFiller:
    """Plain INSERTs; SQLite moves its own sequences."""

    def __init__(self, connection: SqliteConnection, destination: Destination) -> None:
        self.connection = connection
        self.destination = destination

    def prepare(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> None:
        """See `Filler.prepare`: nothing is needed."""

    def fill(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """See `Filler.fill`."""
        _expected(file, fit)
        columns = {filled.source.name: filled.slot.name for filled in fit.filled}
        return self.connection.insert(self.destination.table.name.sql, columns, file, bounds)

    def advance_sequences(self, file: ArchiveFile, fit: Fit) -> None:
        """See `Filler.advance_sequences`: SQLite has done it."""


def _expected(file: ArchiveFile, fit: Fit) -> dict[str, ArchivedColumn]:
    """The file's columns by name, once it is sure that they are the ones that were fitted."""
    columns = {column.name: column for column in file.columns}
    for filled in fit.filled:
        found = columns.get(filled.source.name)
        if found is None or found.type_name != filled.source.type_name:
            raise ArchiveMismatch(
                "an object's columns are not those that the ledger names",
                detail=f"{filled.source.name}: {found.type_name if found else 'missing'}",
            )
    return columns


def _stage(columns: str) -> str:
    return "nightshift_stage_" + hashlib.sha256(columns.encode()).hexdigest()[:12]
