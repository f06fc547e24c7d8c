"""SQL that records restored objects, in the transaction that inserts their rows, so that a restore happens once.

The record of an object and a target is unique. If two restores insert the record at once, the second restore waits for
the first, and then has nothing to do. A killed run leaves either both the record and the rows, or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, quoted_name, select, update
from sqlalchemy import table as any_table

from nightshift.archive.inventory import ARCHIVED, RESTORED, ArchivedObject
from nightshift.archive.ledger import split_keys
from nightshift.database.catalog import TableName, quote_literal, quote_nullable
from nightshift.database.own_tables import own_table
from nightshift.database.tables import archive_object, restored_object, table_exists


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRecords:
    """SQL for the records of one run's restores.

    Attributes:
        source: the archive's label of the table that the rows came from.
        target: name of the table to fill.
        target_id: identity of the table to fill, see `InsertTarget.id`.
        family: identities of the table to fill, its partitions and its ancestors.
        takes_over: a table of `family` has recorded objects from before it became the original or a part of it.
        schema: schema of nightshift's own tables, see `Database.schema`.
        hold_until: end of the hold, aware; None: no hold.
        now: time of the records, aware.
    """

    source: str
    target: TableName
    target_id: str
    family: tuple[str, ...]
    takes_over: bool
    into_original: bool
    hold_until: datetime | None
    run_id: str
    now: datetime
    postgresql: bool
    schema: str | None

    def claim_objects(self, archived: ArchivedObject, timestamp: str | None) -> str:
        """Returns SQL that records an object. The SQL yields 1, or 0 if the object is on record already.

        Args:
            timestamp: the table's name of the timestamp column of the object's rows.
        """
        names = ", ".join(map(quote_literal, (archived.key, self.source, self.target.label, self.target_id)))
        values = (
            f"{names}, {str(self.into_original).lower()}, {quote_nullable(timestamp)}, {archived.rows}, 0,"
            f" {self._moment(self.hold_until)}, {quote_literal(self.run_id)}, {self._moment(self.now)}"
        )
        return self._counted(
            f"INSERT INTO {self._records} (object_key, source_table, target_table, target_id, into_original,"
            f" timestamp_column, row_count, existing_count, hold_until, run_id, restored_at)"
            f" VALUES ({values}) ON CONFLICT DO NOTHING"
        )

    def brought_before(self, archived: ArchivedObject) -> str:
        """Returns SQL that counts an object's records from before the table or partition became the original."""
        return f"SELECT count(*) FROM {self._records} WHERE {self._this(archived)} AND NOT into_original"

    def adopt_objects(self, archived: ArchivedObject, timestamp: str | None) -> str:
        """Returns SQL that turns the records of `brought_before` into records of the original, and counts them."""
        label = quote_literal(self.target.label)
        return self._counted(
            f"UPDATE {self._records} SET into_original = true, target_table = {label},"
            f" timestamp_column = {quote_nullable(timestamp)}, existing_count = row_count,"
            f" hold_until = {self._moment(self.hold_until)},"
            f" run_id = {quote_literal(self.run_id)} WHERE {self._this(archived)} AND NOT into_original"
        )

    def leave_archive(self, archived: ArchivedObject) -> str:
        """Returns SQL that marks an archived object as `restored`. It yields 1, or 0 if the object was not archived."""
        return self._counted(
            f"UPDATE {own_table(archive_object, self.schema)} SET state = '{RESTORED}'"
            f" WHERE object_key = {quote_literal(archived.key)} AND state = '{ARCHIVED}'"
        )

    def existing_objects(self, archived: ArchivedObject, rows: int) -> str:
        """Returns SQL that records how many of the object's rows the target had already."""
        return self._counted(f"UPDATE {self._records} SET existing_count = {rows} WHERE {self._this(archived)}")

    def existing_of_this_run(self, archived: ArchivedObject) -> str:
        """Returns SQL that yields the count that `existing_objects` recorded; -1 if another run restored the object."""
        return (
            f"SELECT coalesce((SELECT existing_count FROM {self._records} WHERE {self._this(archived)}"
            f" AND run_id = {quote_literal(self.run_id)}), -1)"
        )

    def _this(self, archived: ArchivedObject) -> str:
        family = ", ".join(map(quote_literal, self.family))
        return f"object_key = {quote_literal(archived.key)} AND target_id IN ({family})"

    @property
    def _records(self) -> str:
        return own_table(restored_object, self.schema)

    def _counted(self, change: str) -> str:
        if not self.postgresql:
            return change
        return f"WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed"

    def _moment(self, moment: datetime | None) -> str:
        if moment is None:
            return "NULL"
        if self.postgresql:
            return quote_literal(moment.isoformat())
        # The format in which SQLAlchemy writes timestamps to SQLite, because SQLAlchemy reads the records.
        return quote_literal(moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"))


def mark_done(connection: Connection, identities: Sequence[str]) -> frozenset[str]:
    """Returns the keys of the objects that were restored into the tables with these identities."""
    c = restored_object.c
    return frozenset(_found(connection, select(c.object_key).where(c.target_id.in_(identities))))


def list_sources(connection: Connection, target_id: str) -> frozenset[str]:
    """Returns the labels of the tables whose archived rows were restored into a table."""
    c = restored_object.c
    return frozenset(_found(connection, select(c.source_table).where(c.target_id == target_id).distinct()))


def is_known(connection: Connection, target: TableName) -> bool:
    """Returns whether a restore ever filled a table with the name `target`."""
    c = restored_object.c
    return bool(_found(connection, select(c.object_key).where(c.target_table == target.label).limit(1)))


def forget_objects(connection: Connection, target_id: str, table: TableName | None) -> None:
    """Delete the records of a table that is empty or was dropped, because its rows no longer exist. Commits.

    Args:
        table: the deletion's statement checks that this table is empty; None: no check. If another restore fills the
            table meanwhile, the records stay.
    """
    c = restored_object.c
    dropped = delete(restored_object).where(c.target_id == target_id, ~c.into_original)
    if table is not None:
        name, schema = (quoted_name(part, quote=True) for part in (table.name, table.schema))
        dropped = dropped.where(~exists().select_from(any_table(name, schema=schema or None)))
    connection.execute(dropped)
    connection.commit()


def _found(connection: Connection, statement: Select[Any]) -> list[str]:
    """Returns the values that a query finds. Before the first real run the table of records does not exist."""
    if not table_exists(connection, restored_object):
        return []
    return list(connection.execute(statement).scalars())


def renew_hold(connection: Connection, keys: Sequence[str], until: datetime | None) -> None:
    """Set the hold of objects whose rows are in their original table already. Commits."""
    c = restored_object.c
    hold = update(restored_object).values(hold_until=until and until.astimezone(UTC))
    for batch in split_keys(keys):
        connection.execute(hold.where(c.object_key.in_(batch), c.into_original))
    connection.commit()


def count_objects(connection: Connection, run_id: str, keys: Sequence[str]) -> int:
    """Returns the number of a run's recorded objects, read over a connection that wrote none of the records."""
    c = restored_object.c
    of_run = select(func.count()).where(c.run_id == run_id)
    return sum(
        int(connection.execute(of_run.where(c.object_key.in_(batch))).scalar_one()) for batch in split_keys(keys)
    )
