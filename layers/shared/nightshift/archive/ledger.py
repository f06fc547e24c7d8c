"""The ledger: records every object, and whether the object belongs to the archive.

Before an object's first byte is sent to S3, the object is recorded as `pending`, committed on a separate connection.
The transaction that deletes the object's rows changes the state to `archived`. After a crash an object is still
`pending`, and a later run deletes the object.

A late COMMIT cannot archive an object that a later run deletes. The later run first updates the ledger row from
`pending` to `sweeping`, and skips rows that an open transaction has locked. The archiver updates the same row from
`pending` to `archived`, and fails if the row is not `pending`. Because both updates lock the row, one of two outcomes
results: the rows are deleted and the object stays, or the object is deleted and the rows stay.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from nightshift.database.catalog import TableName, quote_literal, quote_nullable
from nightshift.database.connect import Database
from nightshift.database.own_tables import own_table
from nightshift.database.tables import archive_object, run

SWEEP_LIMIT = 1000
KEYS_A_STATEMENT = 1000


def split_keys(keys: Sequence[str], size: int = KEYS_A_STATEMENT) -> Iterator[Sequence[str]]:
    """Yields the keys in groups of at most `size`, one group per statement."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """Ledger entry of a verified object.

    Attributes:
        first, last: oldest and latest timestamp in the object, ISO 8601.
    """

    key: str
    rows: int
    bytes: int
    sha256: str
    version_id: str | None
    first: str | None
    last: str | None
    fingerprint: str


class ArchiveLedger:
    """The ledger in the user's database. Thread-safe: a lock admits one thread at a time to the control connection."""

    def __init__(self, database: Database, bucket: str, run_id: str, now: datetime, *, job: str = "cleanup") -> None:
        """Args:
        now: time at which the run began: the time of its entries.
        job: name of the run's job.
        """
        self._database = database
        self._bucket = bucket
        self._run_id = run_id
        self._now = now
        self._job = job
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._connection: Connection | None = None

    def close(self) -> None:
        """Close the control connection."""
        with self._lock:
            self._connection = None
            self._stack.close()

    @contextmanager
    def _control(self) -> Iterator[Connection]:
        """Yields the control connection. It is opened on first use, and again after an error."""
        with self._lock:
            if self._connection is None:
                self._connection = self._stack.enter_context(self._database.connect())
            try:
                yield self._connection
            except DBAPIError:
                self._connection = None
                self._stack.close()
                raise

    def record_pending(self, table: TableName, days: dict[str, str]) -> None:
        """Record objects as `pending` before they are written.

        Args:
            days: key of an object → its `dt`.
        """
        rows = [
            {
                "bucket": self._bucket,
                "object_key": key,
                "table_name": table.label,
                "state": "pending",
                "dt": dt,
                "run_id": self._run_id,
                "created_at": self._now,
            }
            for key, dt in days.items()
        ]
        self._database.keep_lock()
        with self._control() as connection:
            connection.execute(insert(archive_object), rows)
            connection.commit()

    def mark_archived_sql(self, entries: Sequence[LedgerEntry], *, postgresql: bool) -> str:
        """Returns the SQL, for the data connection, that marks objects as `archived`.

        The SQL yields the number of updated ledger rows. The caller must check that it equals `len(entries)`.
        """
        columns = ("key", "rows", "bytes", "sha256", "version", "first", "last", "fingerprint")
        values = ", ".join(
            "({}, {}, {}, {}, {}, {}, {}, {})".format(
                quote_literal(e.key),
                e.rows,
                e.bytes,
                *map(quote_nullable, (e.sha256, e.version_id, e.first, e.last, e.fingerprint)),
            )
            for e in entries
        )
        moment = self._now.isoformat() if postgresql else self._now.strftime("%Y-%m-%d %H:%M:%S.%f")
        ledger = own_table(archive_object, self._database.schema)
        changed = (
            f"UPDATE {ledger} SET state = 'archived', row_count = v.rows, byte_count = v.bytes,"
            " sha256 = v.sha256, version_id = v.version, min_timestamp = v.first, max_timestamp = v.last,"
            f" schema_fingerprint = v.fingerprint, archived_at = {quote_nullable(moment)}"
            f" FROM {{values}} WHERE {ledger}.object_key = v.key AND {ledger}.state = 'pending'"
        )
        if postgresql:
            source = f"(VALUES {values}) AS v({', '.join(columns)})"
            return f"WITH turned AS ({changed.format(values=source)} RETURNING 1) SELECT count(*) FROM turned"
        names = ", ".join(f"column{n} AS {name}" for n, name in enumerate(columns, 1))
        return changed.format(values=f"(SELECT {names} FROM (VALUES {values})) AS v")

    def is_committed(self, keys: Sequence[str]) -> bool:
        """Returns whether a transaction whose COMMIT was not answered was committed.

        If the transaction is still open, its lock on the ledger rows makes the query wait until it ends.

        Raises:
            sqlalchemy.exc.DBAPIError: the ledger cannot be read, or the transaction does not end in time.
        """
        statement = select(archive_object.c.state).where(archive_object.c.object_key.in_(keys)).with_for_update()
        with self._control() as connection:
            states = set(connection.execute(statement).scalars())
            connection.rollback()
        return states == {"archived"}

    def count_archived(self, keys: Sequence[str]) -> tuple[int, int]:
        """Returns the numbers of archived objects among `keys` and of their rows, read over the control connection."""
        objects = rows = 0
        with self._control() as connection:
            for batch in split_keys(keys):
                archived = select(func.count(), func.coalesce(func.sum(archive_object.c.row_count), 0)).where(
                    archive_object.c.object_key.in_(batch),
                    archive_object.c.state == "archived",
                )
                counts = connection.execute(archived).one()
                objects, rows = objects + int(counts[0]), rows + int(counts[1])
            connection.rollback()
        return objects, rows

    def mark_foreign(self, key: str) -> None:
        """Record that the object under this key belongs to another program, so that no run deletes the object."""
        with self._control() as connection:
            connection.execute(update(archive_object).where(archive_object.c.object_key == key).values(state="foreign"))
            connection.commit()

    def claim_orphans(self, keys: Sequence[str] | None = None) -> list[str]:
        """Mark orphans as `sweeping`, and return their keys. The caller may then delete the objects.

        Args:
            keys: claim only these keys of this run. None: claim the orphans of this job's earlier runs in this bucket;
                orphans of another job are left out, because the other job may be running.
        """
        orphans = select(archive_object.c.id).where(archive_object.c.bucket == self._bucket)
        if keys is None:
            unfinished = archive_object.c.state.in_(("pending", "sweeping"))
            another_job_s = exists().where(run.c.run_id == archive_object.c.run_id, run.c.job != self._job)
            orphans = orphans.where(unfinished, archive_object.c.run_id != self._run_id, ~another_job_s)
        else:
            # `swept` is included: another run may have swept an object before this run wrote it.
            unfinished = archive_object.c.state.in_(("pending", "sweeping", "swept"))
            orphans = orphans.where(unfinished, archive_object.c.object_key.in_(keys))
        orphans = orphans.limit(SWEEP_LIMIT).with_for_update(skip_locked=True)
        with self._control() as connection:
            ids = list(connection.execute(orphans).scalars())
            claimed = (
                update(archive_object)
                .where(archive_object.c.id.in_(bindparam("ids", expanding=True)))
                .values(state="sweeping")
                .returning(archive_object.c.object_key)
            )
            keys_claimed = list(connection.execute(claimed, {"ids": ids}).scalars()) if ids else []
            connection.commit()
        return keys_claimed

    def mark_orphans_deleted(self, keys: Sequence[str]) -> None:
        """Mark objects as `swept`, after S3 has confirmed their deletion."""
        if not keys:
            return
        with self._control() as connection:
            connection.execute(
                update(archive_object).where(archive_object.c.object_key.in_(keys)).values(state="swept")
            )
            connection.commit()
