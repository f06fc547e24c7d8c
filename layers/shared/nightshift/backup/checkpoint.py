"""A backup that one run could not finish: which tables are in S3 already, each with its moment.

Written only when a run ends in order, its time being over. A run that was killed or failed leaves nothing here: what it
wrote is collected, and the next run begins anew, with all tables of one moment. And a snapshot dies with the session
that exported it: on Lambda that is the end of the invocation (a session kept open over the freeze between two would
hold back VACUUM for as long), so a backup that is continued is one of groups of tables, each of one moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select

from nightshift.backup.database_inventory import SourceTable
from nightshift.backup.manifest import TableEntry, read_entry, to_json
from nightshift.database.tables import backup_table as table


@dataclass(frozen=True, slots=True)
class SavedTable:
    """A table that an earlier run saved."""

    moment: datetime
    entry: TableEntry

    def is_unchanged(self, source: SourceTable) -> bool:
        """Whether the table has the columns that it was saved with; the schema is saved last.

        One without columns is looked at again: what is to be said of its rows was not kept.
        """
        saved = [(c.name, c.type) for c in self.entry.columns] + [(c.name, c.type) for c in self.entry.computed]
        return bool(source.columns) and saved == [(c.name, c.type_name) for c in (*source.columns, *source.computed)]


@dataclass(frozen=True, slots=True)
class BackupCheckpoint:
    """A backup to go on with.

    Attributes:
        as_of: aware UTC; what the backup stands for.
    """

    name: str
    as_of: datetime
    kept: tuple[SavedTable, ...]


def load_checkpoint(connection: Connection) -> BackupCheckpoint | None:
    """The backup that waits to be finished, if there is one.

    Raises:
        ManifestDamaged: somebody has altered our table.
    """
    rows = connection.execute(select(table).order_by(table.c.snapshot_time, table.c.table_name)).all()
    connection.rollback()
    if not rows:
        return None
    kept = tuple(SavedTable(_utc(row.snapshot_time), read_entry(row.entry)) for row in rows)
    return BackupCheckpoint(rows[0].name, _utc(rows[0].as_of), kept)


def save_checkpoint(connection: Connection, name: str, as_of: datetime, kept: Sequence[SavedTable]) -> None:
    """Write down what there is, in place of what was known before."""
    connection.execute(delete(table))
    connection.execute(
        insert(table),
        [
            {
                "name": name,
                "table_name": one.entry.label,
                "as_of": as_of,
                "snapshot_time": one.moment,
                "entry": to_json(one.entry).decode(),
            }
            for one in kept
        ],
    )
    connection.commit()


def clear_checkpoint(connection: Connection) -> None:
    """The backup is finished."""
    connection.execute(delete(table))
    connection.commit()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
