"""The outbox: a queue of files whose rows are gone. Entries are read, deleted from S3, and settled by S3's answers.

An entry is up to a thousand files of one bucket, the limit of one request to S3. No transaction is open while S3 works:
a run that dies in between leaves every entry as it was, and deleting a file twice is harmless. Files that S3 refuses
stay, in an entry of their own for each reason, to be tried again later. A file that some row still names, or names
again, is not deleted: it leaves the outbox, and is put in again when that row is deleted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from nightshift.database.own_tables import own_table, schema_of
from nightshift.database.session_start import flush_commits
from nightshift.database.tables import file_deletion
from nightshift.database.values import format_timestamp
from nightshift.expiry.file_columns import FileReference
from nightshift.expiry.file_names_sql import create_name_functions
from nightshift.expiry.session import WORK_MEM

FIRST_PAUSE = timedelta(hours=1)
LONGEST_PAUSE = timedelta(days=1)

_MANY = 0.05
"""Share of a table from which it is faster to read it whole than to look for so many of its rows one by one."""

Bucket = str
Key = str


@dataclass(frozen=True, slots=True)
class OutboxBatch:
    """Files of one bucket that were put in, or failed, together.

    Attributes:
        attempts: failed tries.
        keys: of the files that are to be deleted.
        kept: keys of those that a row still names.
    """

    id: int
    run_id: str
    bucket: Bucket
    attempts: int
    keys: list[Key]
    kept: list[Key]


@dataclass(frozen=True, slots=True)
class RemainingFiles:
    """Files of an entry that are not deleted, and the reason; None: they were not tried."""

    keys: list[Key]
    reason: str | None


@dataclass(frozen=True, slots=True)
class FileOutbox:
    """The outbox of one database, as one run sees it.

    Attributes:
        as_of: aware; entries to be tried later than that are left alone.
        named: every place in which rows name files.
    """

    as_of: datetime
    named: Sequence[FileReference]

    def fetch_due(self, connection: Connection, after: int, limit: int) -> list[OutboxBatch]:
        """Entries with ids above `after` whose time has come, `limit` of them at the most. Ends the transaction."""
        postgresql = connection.dialect.name == "postgresql"
        now = format_timestamp(self.as_of, offset=postgresql)
        due = (
            "SELECT id, run_id, bucket, object_keys, files, attempts"
            f" FROM {own_table(file_deletion, schema_of(connection))}"
            f" WHERE next_try <= '{now}' AND id > {after} ORDER BY id LIMIT {limit}"
        )
        if not self._files(connection, due, postgresql=postgresql):
            connection.rollback()
            return []
        # As the driver takes it: `text()` would look for parameters in the names of columns.
        rows = connection.exec_driver_sql(self._statement(connection, due, postgresql=postgresql)).all()
        if rows:
            # Their files are about to go: the rows that named them, ours and other people's, must stay gone.
            flush_commits(connection)
        else:
            connection.rollback()
        return [_entry(row) for row in rows]

    def _files(self, connection: Connection, due: str, *, postgresql: bool) -> int:
        """Returns the number of files, and sets the planner up for the search of the rows that name them.

        The planner has no statistics of entries that were just put into the outbox: it may assume a row or two, and
        read a table of files once for each of them.
        """
        counted = f"SELECT CAST(coalesce(sum(files), 0) AS bigint) FROM ({due}) due"
        files = int(connection.exec_driver_sql(counted).scalar_one())
        if not postgresql:
            create_name_functions(connection)
            return files
        one_by_one = all(named.indexed and files < _MANY * named.rows for named in self.named)
        loops = "on" if one_by_one else "off"
        connection.exec_driver_sql(
            f"SELECT set_config('enable_nestloop', '{loops}', true), set_config('jit', 'off', true),"
            f" set_config('work_mem', '{WORK_MEM}', true)"
        )
        return files

    def _statement(self, connection: Connection, due: str, *, postgresql: bool) -> str:
        """The entries, and of each the files that rows name."""
        each, gather = "json_each(d.object_keys)", "json_group_array(object_key)"
        if postgresql:
            each, gather = "json_array_elements_text(CAST(d.object_keys AS json))", "CAST(json_agg(object_key) AS text)"
        joins = []
        for named in self.named:
            addresses = bool(connection.exec_driver_sql(named.address_columns(postgresql=postgresql)).scalar_one())
            joins += named.join_conditions("o", addresses=addresses, postgresql=postgresql)
        matches = " UNION ".join(f"SELECT o.id, o.object_key FROM opened o {join}" for join in joins)
        return (
            f"WITH due AS ({due}), opened AS (SELECT d.id, d.bucket, o.value AS object_key FROM due d, {each} o),"
            f" named AS ({matches or 'SELECT id, object_key FROM opened WHERE 1 = 0'}),"
            f" kept AS (SELECT id, {gather} AS object_keys FROM named GROUP BY id)"
            " SELECT d.id, d.run_id, d.bucket, d.attempts, d.object_keys, k.object_keys AS kept"
            " FROM due d LEFT JOIN kept k ON k.id = d.id ORDER BY d.id"
        )

    def mark_deleted(self, connection: Connection, entries: Sequence[OutboxBatch]) -> None:
        """Drop entries: of each of their files S3 said that it is gone, or a row still names it. The caller commits."""
        if entries:
            connection.execute(delete(file_deletion).where(file_deletion.c.id.in_([entry.id for entry in entries])))

    def reschedule(self, connection: Connection, entry: OutboxBatch, left: Sequence[RemainingFiles]) -> None:
        """Replace an entry by its remaining files; each further failure waits twice as long, up to a day.

        The caller commits. Nothing happens where the entry is gone: another run has settled it.
        """
        if not connection.execute(delete(file_deletion).where(file_deletion.c.id == entry.id)).rowcount:
            return
        pause = min(FIRST_PAUSE * 2 ** min(entry.attempts, 10), LONGEST_PAUSE)
        for part in left:
            tried = part.reason is not None
            values = {
                "bucket": entry.bucket,
                "object_keys": json.dumps(part.keys, ensure_ascii=False),
                "files": len(part.keys),
                "run_id": entry.run_id,
                "attempts": entry.attempts + tried,
                "last_error": part.reason[:200] if part.reason else None,
                "next_try": self.as_of + pause if tried else self.as_of,
            }
            connection.execute(insert(file_deletion).values(values))


def count_pending(connection: Connection) -> int:
    """Files in the outbox, whenever they are due."""
    counted = select(func.coalesce(func.sum(file_deletion.c.files), 0))
    return int(connection.execute(counted).scalar_one())


def _entry(row: Any) -> OutboxBatch:
    named = dict.fromkeys(json.loads(row.kept) if row.kept else ())
    wanted = [key for key in json.loads(row.object_keys) if key not in named]
    return OutboxBatch(row.id, row.run_id, row.bucket, row.attempts, wanted, list(named))
