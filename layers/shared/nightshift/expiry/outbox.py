"""The outbox: a queue of files whose rows were deleted, and the statements that read and update its entries.

An entry holds up to a thousand files of one bucket, the limit of one request to S3. No transaction is open while S3
deletes files: if a run ends in between, every entry is unchanged, and deleting a file twice is harmless. Files that S3
refuses to delete stay in the outbox, one entry per reason, and a later run tries again. A file that another row names
is not deleted: it leaves the outbox, and the deletion of that row puts it in again.
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
"""Share of a table's rows above which reading the whole table is faster than looking up each row."""

Bucket = str
Key = str


@dataclass(frozen=True, slots=True)
class OutboxBatch:
    """An entry of the outbox: files of one bucket.

    Attributes:
        attempts: number of failed attempts.
        keys: keys of the files to delete.
        kept: keys of files that a row still names.
    """

    id: int
    run_id: str
    bucket: Bucket
    attempts: int
    keys: list[Key]
    kept: list[Key]


@dataclass(frozen=True, slots=True)
class RemainingFiles:
    """Files of an entry that were not deleted, and the reason; None if their deletion was not attempted."""

    keys: list[Key]
    reason: str | None


@dataclass(frozen=True, slots=True)
class FileOutbox:
    """The outbox of one database during one run.

    Attributes:
        as_of: aware time of the run; the run ignores entries whose `next_try` is later.
        named: all places in which rows name files.
    """

    as_of: datetime
    named: Sequence[FileReference]

    def fetch_due(self, connection: Connection, after: int, limit: int) -> list[OutboxBatch]:
        """Returns up to `limit` due entries with ids above `after`, and ends the transaction."""
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
        # Without `text()`, which would find parameters in names of columns.
        rows = connection.exec_driver_sql(self._statement(connection, due, postgresql=postgresql)).all()
        if rows:
            # The files will be deleted next, so the deletion of the rows that named them must be durable first.
            flush_commits(connection)
        else:
            connection.rollback()
        return [_entry(row) for row in rows]

    def _files(self, connection: Connection, due: str, *, postgresql: bool) -> int:
        """Returns the number of due files, and sets planner parameters for the search of rows that name the files.

        The planner has no statistics about new entries of the outbox. It may assume very few rows and read a table of
        files once for each row.
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
        """Returns SQL for the due entries, and for the files of each entry that rows still name."""
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
        """Delete entries whose files S3 has deleted, or that a row still names. The caller commits."""
        if entries:
            connection.execute(delete(file_deletion).where(file_deletion.c.id.in_([entry.id for entry in entries])))

    def reschedule(self, connection: Connection, entry: OutboxBatch, left: Sequence[RemainingFiles]) -> None:
        """Replace an entry by entries for its remaining files; each failure doubles the pause, up to a day.

        The caller commits. If another run has deleted the entry, nothing happens.
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
    """Returns the number of files in the outbox, due or not."""
    counted = select(func.coalesce(func.sum(file_deletion.c.files), 0))
    return int(connection.execute(counted).scalar_one())


def _entry(row: Any) -> OutboxBatch:
    named = dict.fromkeys(json.loads(row.kept) if row.kept else ())
    wanted = [key for key in json.loads(row.object_keys) if key not in named]
    return OutboxBatch(row.id, row.run_id, row.bucket, row.attempts, wanted, list(named))
