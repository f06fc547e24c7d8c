"""Stores the state of a backup that one run could not finish: the tables already in S3, each with its snapshot's time.

A run writes a checkpoint only if its time is over. A run that was killed or failed writes no checkpoint: its objects
are deleted, and the next run saves all tables again from one snapshot. A snapshot ends with the session that exported
it. On Lambda the session ends with the invocation, because a session that stays open between two invocations would
prevent VACUUM from removing dead rows. A continued backup therefore has groups of tables, each group from one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from nightshift.backup.database_inventory import DatabaseInventory, SourceTable
from nightshift.backup.manifest import read_entry, to_json
from nightshift.backup.models import SnapshotGroup, TableEntry
from nightshift.database.tables import backup_table as table
from nightshift.database.values import aware_utc
from nightshift.errors import join_names

_NAMED = 10


@dataclass(frozen=True, slots=True)
class SavedTable:
    """A table that an earlier run saved."""

    moment: datetime
    entry: TableEntry

    def is_unchanged(self, source: SourceTable) -> bool:
        """Returns whether the table still has the saved columns. The run that finishes the backup saves the schema.

        For a table without columns the method returns False, because the warnings about its rows were not stored.
        """
        saved = [(c.name, c.type) for c in self.entry.columns] + [(c.name, c.type) for c in self.entry.computed]
        return bool(source.columns) and saved == [(c.name, c.type_name) for c in (*source.columns, *source.computed)]


@dataclass(frozen=True, slots=True)
class BackupCheckpoint:
    """An unfinished backup to continue. `as_of` is the backup's scheduled time, aware UTC."""

    name: str
    as_of: datetime
    kept: tuple[SavedTable, ...]


def load_checkpoint(connection: Connection) -> BackupCheckpoint | None:
    """Returns the unfinished backup; None: there is no unfinished backup.

    Raises:
        ManifestDamaged: somebody has changed nightshift's table of checkpoints.
    """
    rows = connection.execute(select(table).order_by(table.c.snapshot_time, table.c.table_name)).all()
    connection.rollback()
    if not rows:
        return None
    kept = tuple(SavedTable(aware_utc(row.snapshot_time), read_entry(row.entry)) for row in rows)
    return BackupCheckpoint(rows[0].name, aware_utc(rows[0].as_of), kept)


def save_checkpoint(connection: Connection, name: str, as_of: datetime, kept: Sequence[SavedTable]) -> None:
    """Store the checkpoint. It replaces the previous checkpoint."""
    connection.execute(delete(table))
    connection.execute(
        insert(table),
        [
            {
                "name": name,
                "table_name": saved.entry.label,
                "as_of": as_of,
                "snapshot_time": saved.moment,
                "entry": to_json(saved.entry).decode(),
            }
            for saved in kept
        ],
    )
    connection.commit()


def clear_checkpoint(connection: Connection) -> None:
    """Delete the checkpoint of a finished backup."""
    connection.execute(delete(table))
    connection.commit()


def cross_snapshot_warnings(survey: DatabaseInventory, groups: Sequence[SnapshotGroup]) -> Iterator[str]:
    """Yields warnings about possible inconsistencies between tables of different snapshots.

    Between two snapshots a referenced row may have been added or deleted. A row may also have moved to another
    partition, so that the backup has the row twice or not at all.
    """
    group_of = {label: number for number, group in enumerate(groups) for label in group.tables}
    keys = {f"{table} → {other}" for table, other in survey.references if group_of.get(table) != group_of.get(other)}
    if keys:
        yield f"foreign keys between tables of different moments may not hold: {join_names(sorted(keys), _NAMED)}"
    families = {label for label, leaves in survey.partitions.items() if len(set(map(group_of.get, leaves))) > 1}
    if families:
        names = join_names(sorted(families), _NAMED)
        yield f"rows may have moved between partitions of different moments: those of {names}"
