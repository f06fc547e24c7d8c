"""Inserts the rows of one object into the table: all rows in one transaction, or no row.

The object's bytes are verified before the transaction begins. The transaction has these steps. It records the object
for the target; a second restore of the object waits here and then does nothing. It inserts the rows except those whose
keys the table has already. If the rows were restored before the table replaced the original, it only checks the rows.
If the target is the original, it marks the ledger row `restored`. It moves sequences past the inserted values, and
commits. If COMMIT has no answer, the load is tried again, and the record shows the outcome.
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
        rows: number of inserted rows.
        existing: number of rows that were left out, because the table had their keys.
        differing: number of left-out rows that the table has with other values.
    """

    rows: int
    existing: int
    differing: int = 0


@dataclass(frozen=True, slots=True)
class ObjectLoader:
    """Loads one object.

    Attributes:
        file: the object's verified bytes.
        limits: limits of the transaction.
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
            before_commit: called when COMMIT is the only step left.

        Returns:
            None if the target has the object already, or the object is no longer part of the archive.

        Raises:
            NightshiftError: nothing was changed.
            ConnectionLost: COMMIT may have succeeded. The caller should try again.
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
        """Insert the rows, and count the inserted, existing and differing rows."""
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
        """Record an object for the original whose rows were restored before the table or partition became the original.

        The table must have the rows unchanged. If rows were changed or deleted since, and the table has a key, the
        missing rows are inserted as usual. Without a key the missing rows cannot be identified.

        Raises:
            StatementRefused: rows are missing, and the table has no key.
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
        """Check that the table was not altered since it was checked. The transaction's lock prevents later changes.

        Raises:
            TableChanged: the table's columns, keys, triggers or rules have changed.
        """
        table = self.loader.destination.table
        if self.loader.connection.execute(table.shape_sql) != table.shape:
            raise TableChanged(
                "the table was altered while it was filled",
                detail=f"{table.name.label}: its columns, keys, triggers or rules are not what they were",
                hint="what was restored before stands; run it again, and the rest goes into the table as it is then",
            )
