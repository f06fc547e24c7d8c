"""Puts the rows of one object into the table: all of them, in one transaction, or none.

In that transaction, in this order: the object is put on record for the target (a second restore of it waits here and
then goes away empty-handed); for the original table its ledger row leaves the archive; the rows go in, keys that the
table has already being left alone; sequences are moved past what came in; then COMMIT. The bytes were proven before
it began. A COMMIT without an answer is settled by trying again: the record tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nightshift.archive.inventory import ArchivedObject
from nightshift.errors import ArchiveMismatch, TableChanged
from nightshift.restore.fillers import Filler
from nightshift.restore.fit import Fit
from nightshift.restore.records import Records
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.source import Bounds, RowConnection


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of an object.

    Attributes:
        rows: inserted.
        existing: left out, because the table had their keys.
        differing: of those, how many stand in the table with other values.
    """

    rows: int
    existing: int
    differing: int = 0


def land(
    filler: Filler,
    records: Records,
    one: ArchivedObject,
    file: ArchiveFile,
    fit: Fit,
    bounds: Bounds,
    *,
    before_commit: Callable[[], None],
) -> Landed | None:
    """Restore one object.

    Args:
        file: its bytes, proven.
        before_commit: called when nothing but COMMIT is left.

    Returns:
        None where it was in the target already, or is no part of the archive any more.

    Raises:
        NightshiftError: nothing was changed; after `ConnectionLost` try again, it may have gone through.
    """
    connection = filler.connection
    filler.prepare(file, fit, bounds)
    with connection.transaction(bounds):
        if connection.execute(records.claim(one, file.metadata.get("nightshift.timestamp"))) != 1:
            return _on_record(connection, records, one, file, before_commit)
        if records.into_original and connection.execute(records.leave_archive(one)) != 1:
            return None
        added = filler.fill(file, fit, bounds)
        _check_shape(filler)
        existing = file.rows - added
        if existing < 0 or (existing and not filler.destination.table.unique):
            raise ArchiveMismatch(
                "row counts differ",
                detail=f"{one.uri}: {file.rows} rows in the object, the database took {added}",
                hint="nothing of it was restored; please report this",
            )
        differing = 0
        if existing:
            connection.execute(records.existing(one, existing))
            differing = filler.count_differing(file, fit)
        filler.advance_sequences(file, fit)
        before_commit()
        connection.commit()
    return Landed(added, existing, differing)


def _on_record(
    connection: RowConnection,
    records: Records,
    one: ArchivedObject,
    file: ArchiveFile,
    before_commit: Callable[[], None],
) -> Landed | None:
    """An object that is in this table already."""
    if records.into_original and connection.execute(records.adopt(one)) == 1:
        # Restored into another table, which has since taken the original's place: its rows leave the archive now.
        if connection.execute(records.leave_archive(one)) != 1:
            return None
        before_commit()
        connection.commit()
        return Landed(0, file.rows)
    # Perhaps by us, a moment ago, when the answer to COMMIT was lost.
    existing = connection.execute(records.existing_of_this_run(one))
    return None if existing < 0 else Landed(file.rows - existing, existing)


def _check_shape(filler: Filler) -> None:
    """Make sure that the table is still the one that was judged: from here on our lock on it keeps changes out.

    Raises:
        TableChanged: its columns, triggers or rules are not what they were.
    """
    table = filler.destination.table
    if filler.connection.execute(table.shape_sql) != table.shape:
        raise TableChanged(
            "the table was altered while it was filled",
            detail=f"{table.name.label}: its columns, keys, triggers or rules are not what they were",
            hint="what was restored before stands; run it again, and the rest goes into the table as it is then",
        )
