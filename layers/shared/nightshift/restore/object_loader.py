"""Inserts the rows of one object into the table: all of them, in one transaction, or none.

The steps of that transaction, in this order: the object is recorded for the target (a second restore of it waits here
and then does nothing); the rows are inserted except for keys that the table has already, or are found there, where the
table was filled before it took the original's place; for the original, its ledger row leaves the archive; sequences are
moved past the inserted values; then COMMIT. The bytes were verified before it began. After a COMMIT without an answer
the load is tried again: the record shows the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nightshift.archive.inventory import ArchivedObject
from nightshift.errors import ArchiveMismatch, TableChanged
from nightshift.restore.column_fit import ColumnFit
from nightshift.restore.records import RestoreRecords
from nightshift.restore.row_loaders import RowLoader
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.row_connection import StatementRefused, TransactionLimits


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """Row counts of a loaded object.

    Attributes:
        rows: inserted.
        existing: left out, because the table had their keys.
        differing: of those, the number that the table has with other values.
    """

    rows: int
    existing: int
    differing: int = 0


@dataclass(frozen=True, slots=True)
class ObjectLoader:
    """Loads one object.

    Attributes:
        file: its bytes, proven.
        limits: of the transaction.
    """

    loader: RowLoader
    records: RestoreRecords
    archived: ArchivedObject
    file: ArchiveFile
    fit: ColumnFit
    limits: TransactionLimits

    def load_object(self, *, before_commit: Callable[[], None]) -> LoadedObject | None:
        """Restore the object.

        Args:
            before_commit: called when nothing but COMMIT is left.

        Returns:
            None where it was in the target already, or is no part of the archive any more.

        Raises:
            NightshiftError: nothing was changed; after `ConnectionLost` try again, it may have gone through.
        """
        connection, records, archived, file = self.loader.connection, self.records, self.archived, self.file
        timestamp = self.fit.timestamp_of(file)
        self.loader.prepare_stage(file, self.fit, self.limits)
        with connection.transaction(self.limits):
            if records.takes_over and connection.execute(records.brought_before(archived)):
                landed = self._take_over(timestamp)
            elif connection.execute(records.claim_objects(archived, timestamp)) != 1:
                # On record already: perhaps by us, a moment ago, when the answer to COMMIT was lost.
                existing = connection.execute(records.existing_of_this_run(archived))
                return None if existing < 0 else LoadedObject(file.rows - existing, existing)
            else:
                landed = self._insert()
            if records.into_original and connection.execute(records.leave_archive(archived)) != 1:
                return None
            self.loader.advance_sequences(file, self.fit)
            before_commit()
            connection.commit()
        return landed

    def _insert(self) -> LoadedObject:
        """Insert the rows, and count the outcomes."""
        added = self.loader.load_rows(self.file, self.fit, self.limits)
        self._check_shape()
        existing = self.file.rows - added
        if existing < 0 or (existing and not self.loader.destination.table.unique):
            raise ArchiveMismatch(
                "row counts differ, and nothing of the object was restored",
                detail=f"{self.archived.uri}: {self.file.rows} rows in the object, the database took {added}",
            )
        if not existing:
            return LoadedObject(added, 0)
        self.loader.connection.execute(self.records.existing_objects(self.archived, existing))
        return LoadedObject(added, existing, self.loader.count_differing(self.file, self.fit))

    def _take_over(self, timestamp: str | None) -> LoadedObject:
        """An object that was restored into another table, which has taken the original's place since, or a part of it.

        Its rows must be there as they came. Where some were changed or deleted meanwhile, and the table has a key, the
        rest is inserted as usual; without a key the missing ones cannot be identified.

        Raises:
            StatementRefused: so it is.
        """
        self.loader.connection.execute(self.records.adopt_objects(self.archived, timestamp))
        missing = self.loader.look_for(self.file, self.fit, self.limits)
        self._check_shape()
        if missing == 0:
            return LoadedObject(0, self.file.rows)
        if not self.loader.destination.table.unique:
            raise StatementRefused(
                "rows that were restored here have been changed or deleted since",
                detail=f"{self.archived.uri}: {missing} of {self.file.rows} rows are not in the table as they came",
                hint="the table has no key to tell them by: restore into a table of its own, and put right by hand",
            )
        return self._insert()

    def _check_shape(self) -> None:
        """Make sure that the table is still the one that was judged: from here on our lock on it keeps changes out.

        Raises:
            TableChanged: its columns, triggers or rules are not what they were.
        """
        table = self.loader.destination.table
        if self.loader.connection.execute(table.shape_sql) != table.shape:
            raise TableChanged(
                "the table was altered while it was filled",
                detail=f"{table.name.label}: its columns, keys, triggers or rules are not what they were",
                hint="what was restored before stands; run it again, and the rest goes into the table as it is then",
            )
