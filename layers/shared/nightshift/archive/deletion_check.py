"""Detects triggers that insert deleted rows again or delete other rows, within the deleting transaction.

Rows that a trigger inserts again would be archived again every night. Only the first chunk is checked for such rows.
The check counts only rows that this transaction inserted, because an application may insert old rows at any time. Rows
of the table that a trigger deletes in addition to the chunk's rows would be lost without being archived. Every chunk is
checked for such deletions, because a trigger may fire for some rows only.
"""

from __future__ import annotations

import threading
from typing import Literal, NamedTuple

from nightshift.archive.target import CleanupTarget
from nightshift.database.catalog import quote_literal
from nightshift.database.search_path import HAND_OVER, TAKEN_BACK
from nightshift.errors import RowsReturn, RowsVanish
from nightshift.rows.row_connection import RowConnection

_COUNTED = """
SELECT CASE WHEN current_setting('track_counts')::boolean THEN
  (SELECT coalesce(sum(pg_stat_get_xact_tuples_{what}(t.relid)), 0)::bigint FROM (
     SELECT relid::oid FROM pg_partition_tree({table}::regclass) UNION SELECT {table}::regclass::oid) t)
ELSE {untracked} END
"""
"""Counts rows that this session has inserted or deleted. The count may include earlier transactions, so only the
difference of two counts is used."""

_FULL_ID = "(pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(xmin))::text::xid8"

_OURS = (
    # Rows of older transactions do not count. Among the other transactions, which are few, only this transaction and
    # its subtransactions can be in progress.
    "CASE WHEN age(xmin) > age(pg_current_xact_id()::xid) THEN false"
    f" ELSE pg_xact_status({_FULL_ID}) = 'in progress' END"
)


class TableCounts(NamedTuple):
    """Counts of inserted and deleted rows of the table before a deletion; see `DeletionCheck._count`."""

    inserted: int = 0
    deleted: int = 0


class DeletionCheck:
    """Checks the deletions from a table that has triggers. The table's workers share one instance."""

    def __init__(self, target: CleanupTarget) -> None:
        self._target = target
        self._leave_for_good = threading.Event()
        """Set after the first chunk without reinserted rows."""

    def count_before(self, connection: RowConnection) -> TableCounts:
        """Returns counts for `check_deleted`. Call it in the deletion's transaction, before the deletion."""
        if not self._target.info.triggers:
            return TableCounts()
        inserted = 0 if self._leave_for_good.is_set() else self._count(connection, "inserted", untracked=0)
        return TableCounts(inserted, self._count(connection, "deleted", untracked=0))

    def check_deleted(self, connection: RowConnection, before: TableCounts, deleted: int) -> None:
        """Check after the deletion that the deleted rows stay deleted, and that no other row was deleted.

        Args:
            deleted: number of deleted rows.

        Raises:
            RowsReturn: a trigger inserted due rows again.
            RowsVanish: a trigger deleted other rows.
        """
        if not self._target.info.triggers or not deleted:
            return
        if self._target.is_postgresql:
            connection.execute(HAND_OVER)
            connection.run_statement("SET CONSTRAINTS ALL IMMEDIATE")  # triggers that are due at COMMIT
            connection.execute(TAKEN_BACK)
        self._check_others(connection, before.deleted, deleted)
        if self._leave_for_good.is_set():
            return
        if self._target.is_postgresql:
            inserted = self._count(connection, "inserted", untracked=1)
            back = inserted > before.inserted and self._has_due_rows_of_ours(connection)
        else:
            back = self._count(connection, "inserted") > before.inserted - deleted
        if back:
            triggers = self._target.info.triggers
            raise RowsReturn(
                f"rows of {self._target.info.name.label} are back as soon as they are deleted:"
                f" {', '.join(triggers)} {'put' if len(triggers) > 1 else 'puts'} them there",
                hint="disable the trigger; nothing of this chunk was deleted",
            )
        self._leave_for_good.set()

    def _check_others(self, connection: RowConnection, before: int, deleted: int) -> None:
        if self._target.is_postgresql:
            others = self._count(connection, "deleted", untracked=deleted) - before - deleted
        else:
            others = before - deleted - self._count(connection, "deleted")
        if others > 0:
            triggers = self._target.info.triggers
            raise RowsVanish(
                f"more rows of {self._target.info.name.label} would go than are archived:"
                f" {', '.join(triggers)} {'delete' if len(triggers) > 1 else 'deletes'} them",
                hint="disable the trigger, or have it leave the table's other rows alone; nothing of this chunk was"
                " deleted",
            )

    def _count(self, connection: RowConnection, what: Literal["inserted", "deleted"], untracked: int = 0) -> int:
        """Returns the number of rows that this session has inserted or deleted, as PostgreSQL counts them.

        If PostgreSQL counts no rows (`track_counts`), returns `untracked`. In SQLite, where nobody else can write
        meanwhile, returns the number of due rows for `inserted`, and of all rows for `deleted`.
        """
        table = self._target.info.name.sql
        if self._target.is_postgresql:
            return connection.execute(_COUNTED.format(what=what, table=quote_literal(table), untracked=untracked))
        due = f" WHERE {self._target.due_condition}" if what == "inserted" else ""
        return connection.execute(f"SELECT count(*) FROM {table}{due}")

    def _has_due_rows_of_ours(self, connection: RowConnection) -> bool:
        ours = f"SELECT 1 FROM {self._target.info.name.sql} WHERE {self._target.due_condition} AND {_OURS} LIMIT 1"
        return bool(connection.execute(f"SELECT count(*) FROM ({ours}) f"))
