"""The statements that make a restore happen once, for the transaction that inserts an object's rows.

The record of an object and a target is unique: of two restores at once the second waits for the first, and then
finds nothing to do; a run that was killed has left either both the record and the rows, or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, inspect, select

from nightshift.archive.inventory import ARCHIVED, RESTORED, ArchivedObject
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.tables import archive_object, restored_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What one run writes of its restores.

    Attributes:
        source: the archive's label of the table.
        target: the table being filled; `target_id` its OID, 0 in SQLite.
        hold_until: aware; None for no hold.
        now: aware; stamps the records.
    """

    source: str
    target: TableName
    target_id: int
    into_original: bool
    hold_until: datetime | None
    run_id: str
    now: datetime
    postgresql: bool

    def claim(self, one: ArchivedObject) -> str:
        """SQL that records an object, and yields 1, or 0 where it is on record already."""
        names = ", ".join(map(quote_literal, (one.key, self.source, self.target.label)))
        values = (
            f"{names}, {self.target_id}, {'true' if self.into_original else 'false'}, {one.rows}, 0,"
            f" {self._moment(self.hold_until)}, {quote_literal(self.run_id)}, {self._moment(self.now)}"
        )
        return self._counted(
            f"INSERT INTO {restored_object.name} (object_key, source_table, target_table, target_id, into_original,"
            f" row_count, existing_count, hold_until, run_id, restored_at) VALUES ({values}) ON CONFLICT DO NOTHING"
        )

    def leave_archive(self, one: ArchivedObject) -> str:
        """SQL that takes an object out of the archive, for its rows are in the table; yields 1, or 0 if it was not."""
        return self._counted(
            f"UPDATE {archive_object.name} SET state = '{RESTORED}'"
            f" WHERE object_key = {quote_literal(one.key)} AND state = '{ARCHIVED}'"
        )

    def existing(self, one: ArchivedObject, rows: int) -> str:
        """SQL that notes how many rows the target had already."""
        return self._counted(f"UPDATE {restored_object.name} SET existing_count = {rows} WHERE {self._this(one)}")

    def existing_of_this_run(self, one: ArchivedObject) -> str:
        """SQL that yields what `existing` noted in this run; -1 where it was not this run that restored the object."""
        return (
            f"SELECT coalesce((SELECT existing_count FROM {restored_object.name} WHERE {self._this(one)}"
            f" AND run_id = {quote_literal(self.run_id)}), -1)"
        )

    def _this(self, one: ArchivedObject) -> str:
        return (
            f"object_key = {quote_literal(one.key)} AND target_table = {quote_literal(self.target.label)}"
            f" AND target_id = {self.target_id}"
        )

    def _counted(self, change: str) -> str:
        if not self.postgresql:
            return change
        return f"WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed"

    def _moment(self, moment: datetime | None) -> str:
        if moment is None:
            return "NULL"
        if self.postgresql:
            return quote_literal(moment.isoformat())
        # As SQLAlchemy writes them there: the archive's own tables are read through it.
        return quote_literal(moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"))


def done(connection: Connection, target: TableName, target_id: int) -> frozenset[str]:
    """Keys of the objects that are in a target already."""
    if not inspect(connection).has_table(restored_object.name):
        return frozenset()
    c = restored_object.c
    found = select(c.object_key).where(c.target_table == target.label, c.target_id == target_id)
    return frozenset(connection.execute(found).scalars())


def forget(connection: Connection, target: TableName) -> None:
    """Drop the records of a target that was dropped or emptied since: what it had is gone. Commits."""
    if inspect(connection).has_table(restored_object.name):
        c = restored_object.c
        connection.execute(delete(restored_object).where(c.target_table == target.label, ~c.into_original))
        connection.commit()


def count(connection: Connection, run_id: str, keys: Sequence[str]) -> int:
    """How many of a run's objects are on record, as a connection sees it that wrote none of them."""
    c = restored_object.c
    found = 0
    for start in range(0, len(keys), 1000):
        some = keys[start : start + 1000]
        statement = select(func.count()).where(c.run_id == run_id, c.object_key.in_(some))
        found += int(connection.execute(statement).scalar_one())
    return found
