"""How rows get into a table of either database, within a transaction that somebody else begins and commits."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Protocol

from nightshift.database.catalog import quote_literal
from nightshift.errors import ArchiveMismatch
from nightshift.restore.fit import Filled, Fit
from nightshift.restore.layout import Destination
from nightshift.rows import loading
from nightshift.rows.loading import Way
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.reader import ArchivedColumn, ArchiveFile
from nightshift.rows.source import Bounds, RowConnection, StatementRefused
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

    def count_differing(self, file: ArchiveFile, fit: Fit) -> int:
        """After `fill`: how many of the file's rows stand nowhere in the table with just these values."""

    def look_for(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """The same before `fill`, which may follow."""

    def advance_sequences(self, file: ArchiveFile, fit: Fit) -> None:
        """Move sequences past the values that came in."""


class PostgresFiller:
    """COPY straight into the table where that says all; else by way of a stage, a temporary table of the session."""

    def __init__(self, connection: PostgresConnection, destination: Destination, *, always_stage: bool) -> None:
        """Args:
        always_stage: rows may have to be looked for in the table before it is filled.
        """
        self.connection = connection
        self.destination = destination
        self._always_stage = always_stage
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
            try:
                self.connection.run(f"CREATE TEMP TABLE {stage} ({columns}) ON COMMIT DELETE ROWS")
            except StatementRefused as exc:
                hint = "GRANT TEMPORARY ON DATABASE … TO nightshift's role"
                raise StatementRefused("no temporary table could be made", detail=exc.detail, hint=hint) from exc
            self.connection.commit()
        self._stages.add(stage)

    def fill(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """See `Filler.fill`."""
        ways, table = self._ways(file, fit), self.destination.table
        if self._direct(ways, file):
            feed = loading.direct_feed(ways, file)
            return self.connection.load(table.name.schema, table.name.name, *feed, bounds, hand_over=True)
        self._fill_stage(ways, file, bounds)
        select = loading.stage_select(ways, file, _stage_of(ways, file))
        ignore = table.unique and not table.deferrable
        return self.connection.execute(loading.insert(table.name.sql, ways, select, ignore_existing=ignore))

    def count_differing(self, file: ArchiveFile, fit: Fit) -> int:
        """See `Filler.count_differing`."""
        ways = self._ways(file, fit)
        timestamp = fit.name_of(file.metadata.get("nightshift.timestamp"))
        table, stage = self.destination.table.name.sql, _stage_of(ways, file)
        return self.connection.execute(loading.differing(table, ways, file, stage, timestamp))

    def look_for(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """See `Filler.look_for`."""
        ways = self._ways(file, fit)
        self._fill_stage(ways, file, bounds)
        missing = self.count_differing(file, fit)
        self.connection.run(f"TRUNCATE {_stage_of(ways, file)}")
        return missing

    def _fill_stage(self, ways: list[Way], file: ArchiveFile, bounds: Bounds) -> None:
        stage = _stage(loading.stage_columns(ways, file))
        staged = self.connection.load("pg_temp", stage, *loading.stage_feed(ways, file), bounds)
        if staged != file.rows:
            raise ArchiveMismatch("row counts differ", detail=f"{file.rows} rows in the object, {staged} were staged")

    def advance_sequences(self, file: ArchiveFile, fit: Fit) -> None:
        """See `Filler.advance_sequences`. A sequence does not roll back: one that ran ahead does no harm."""
        for filled in fit.filled:
            sequence = filled.slot.sequence
            if sequence is None or not filled.slot.may_set or (top := file.largest(filled.source.name)) is None:
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

    def _direct(self, ways: list[Way], file: ArchiveFile) -> bool:
        """COPY knows no ON CONFLICT: a table that may have rows' keys already is filled from a stage."""
        return not self._always_stage and not self.destination.table.unique and loading.is_direct(ways, file)

    def _ways(self, file: ArchiveFile, fit: Fit) -> list[Way]:
        columns = _expected(file, fit, self.destination.types)
        types = self.destination.types.values()
        return [
            Way(
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


class SqliteFiller:
    """Plain INSERTs; SQLite moves its own sequences."""

    def __init__(self, connection: SqliteConnection, destination: Destination) -> None:
        self.connection = connection
        self.destination = destination

    def prepare(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> None:
        """See `Filler.prepare`: nothing is needed."""

    def fill(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:
        """See `Filler.fill`."""
        _expected(file, fit, {})
        columns = {filled.source.name: filled.slot.name for filled in fit.filled}
        return self.connection.insert(self.destination.table.name.sql, columns, file, bounds)

    def count_differing(self, file: ArchiveFile, fit: Fit) -> int:
        """See `Filler.count_differing`."""
        columns = {filled.source.name: filled.slot.name for filled in fit.filled}
        return self.connection.count_missing(self.destination.table.name.sql, columns, file)

    def look_for(self, file: ArchiveFile, fit: Fit, bounds: Bounds) -> int:  # noqa: ARG002 - nothing to send first
        """See `Filler.look_for`."""
        return self.count_differing(file, fit)

    def advance_sequences(self, file: ArchiveFile, fit: Fit) -> None:
        """See `Filler.advance_sequences`: SQLite has done it."""


def _cast(filled: Filled, types: Collection[str]) -> str | None:
    """The type to read a staged value as. Text that goes into text stays: a cast to char(n) would cost its blanks."""
    same = filled.slot.type_name == filled.source.type_name
    stays_text = filled.source.is_text and filled.slot.base_type in ("text", "varchar") and not same
    return None if stays_text or filled.source.type_name not in types else filled.source.type_name


def _expected(file: ArchiveFile, fit: Fit, types: Mapping[str, str]) -> dict[str, ArchivedColumn]:
    """The file's columns by name, once it is sure that they are the ones that were fitted."""
    columns = {column.name: column for column in file.columns}
    for filled in fit.filled:
        found = columns.get(filled.source.name)
        if found is None or types.get(found.type_name, found.type_name) != filled.source.type_name:
            raise ArchiveMismatch(
                "an object's columns are not those that the ledger names",
                detail=f"{filled.source.name}: {found.type_name if found else 'missing'}",
            )
    return columns


def _stage_of(ways: list[Way], file: ArchiveFile) -> str:
    return f"pg_temp.{_stage(loading.stage_columns(ways, file))}"


def _stage(columns: str) -> str:
    return "nightshift_stage_" + hashlib.sha256(columns.encode()).hexdigest()[:12]
