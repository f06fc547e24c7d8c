"""Triggers that put deleted rows back: noticed in the first chunk, within the transaction that deletes it.

Such rows would be archived again every night. Only what this transaction itself has inserted counts: an application may
insert old rows whenever it likes.
"""

from __future__ import annotations

import threading

from nightshift.archive.target import Target
from nightshift.database.catalog import quote_literal
from nightshift.database.search_path import HAND_OVER, TAKEN_BACK
from nightshift.errors import RowsReturn
from nightshift.rows.source import RowConnection

_INSERTED = """
SELECT CASE WHEN current_setting('track_counts')::boolean THEN
  (SELECT coalesce(sum(pg_stat_get_xact_tuples_inserted(t.relid)), 0)::bigint FROM (
     SELECT relid::oid FROM pg_partition_tree({table}::regclass) UNION SELECT {table}::regclass::oid) t)
ELSE {untracked} END
"""
"""Rows that this session has inserted. Those of earlier transactions may be among them: only a difference tells."""

_FULL_ID = "(pg_current_xact_id()::text::bigint + age(pg_current_xact_id()::xid) - age(xmin))::text::xid8"

_OURS = (
    # Transactions as young as this one are few; of those, only it and its subtransactions can be in progress.
    "CASE WHEN age(xmin) > age(pg_current_xact_id()::xid) THEN false"
    f" ELSE pg_xact_status({_FULL_ID}) = 'in progress' END"
)


class Returning:
    """Watches the deletions from a table until one chunk has been seen to leave for good; shared by its workers."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seen = threading.Event()
        if not target.info.triggers:
            self._seen.set()

    def before(self, connection: RowConnection) -> int:
        """To be called in a deletion's transaction, before it; what it returns is for `check`."""
        return 0 if self._seen.is_set() else self._count(connection, untracked=0)

    def check(self, connection: RowConnection, before: int, deleted: int) -> None:
        """To be called after it: what was deleted is gone.

        Args:
            deleted: number of rows.

        Raises:
            RowsReturn: some of it is there again.
        """
        if self._seen.is_set() or not deleted:
            return
        if self._target.postgresql:
            connection.execute(HAND_OVER)
            connection.run("SET CONSTRAINTS ALL IMMEDIATE")  # triggers that are due at COMMIT
            connection.execute(TAKEN_BACK)
            back = self._count(connection, untracked=1) > before and self._has_due_rows_of_ours(connection)
        else:
            back = self._count(connection) > before - deleted
        if back:
            names = self._target.info.triggers
            raise RowsReturn(
                f"rows of {self._target.info.name.label} are back as soon as they are deleted:"
                f" {', '.join(names)} {'put' if len(names) > 1 else 'puts'} them there",
                hint="disable the trigger; nothing of this chunk was deleted",
            )
        self._seen.set()

    def _count(self, connection: RowConnection, untracked: int = 0) -> int:
        """PostgreSQL: rows inserted, as the server counts them, or `untracked`. SQLite: due rows, for nobody else can
        write meanwhile."""
        table = self._target.info.name.sql
        if not self._target.postgresql:
            return connection.execute(f"SELECT count(*) FROM {table} WHERE {self._target.due}")
        return connection.execute(_INSERTED.format(table=quote_literal(table), untracked=untracked))

    def _has_due_rows_of_ours(self, connection: RowConnection) -> bool:
        found = f"SELECT 1 FROM {self._target.info.name.sql} WHERE {self._target.due} AND {_OURS} LIMIT 1"
        return bool(connection.execute(f"SELECT count(*) FROM ({found}) f"))
