"""The outbox: files whose rows are gone. Claimed in a transaction, told to S3, and gone when it commits.

A claim *deletes* its rows and commits only after S3 has answered for every file: whoever dies in between leaves the
rows where they were, and deleting a file twice is harmless. What S3 refuses goes back in, to be tried again later. A
file that some row still names, or names again, is not deleted: its entry is dropped, and comes back when that row goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, text

from nightshift.database.tables import file_deletion
from nightshift.expiry.graph import Named

FIRST_PAUSE = timedelta(hours=1)
LONGEST_PAUSE = timedelta(days=1)

_ROWS_A_STATEMENT = 500

Bucket = str


@dataclass(frozen=True, slots=True)
class File:
    """A file to delete; `attempts` were in vain."""

    bucket: Bucket
    key: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Files taken out of the outbox, in a transaction that is still open.

    Attributes:
        last: the highest id among them; the next claim goes on behind it.
        kept: how many were dropped because a row still names them.
    """

    files: tuple[File, ...]
    last: int
    kept: int


class Outbox:
    """The outbox of one database, as one run sees it."""

    def __init__(self, run_id: str, as_of: datetime, named: Sequence[Named]) -> None:
        """Args:
        as_of: aware; what is to be tried later than that is left alone.
        named: every place in which rows name files.
        """
        self._run_id = run_id
        self._as_of = as_of
        self._named = named

    def claim(self, connection: Connection, after: int, limit: int) -> Claim | None:
        """Take files whose time has come; None where there are no more.

        Args:
            after: only ids above this one.
            limit: so many at the most.
        """
        claim = self._claim_at_once if connection.dialect.name == "postgresql" else self._claim_in_turn
        return claim(connection, after, limit)

    def _claim_at_once(self, connection: Connection, after: int, limit: int) -> Claim | None:
        """One statement, and one row for all files that are alike: row by row it would take longer than S3."""
        kept = " UNION ".join(
            f"SELECT g.id FROM gone g JOIN {named.table.sql} f ON {named.joins('g')}" for named in self._named
        )
        statement = text(
            "WITH due AS (SELECT id FROM nightshift_file_deletion WHERE next_try <= :as_of AND id > :after"
            " ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED),"
            " gone AS (DELETE FROM nightshift_file_deletion o USING due WHERE o.id = due.id"
            " RETURNING o.id, o.bucket, o.object_key, o.attempts),"
            f" kept AS ({kept or 'SELECT 0 AS id WHERE false'})"
            " SELECT g.bucket, g.attempts, k.id IS NOT NULL AS kept, max(g.id) AS last, count(*) AS files,"
            " CAST(json_agg(g.object_key) AS text) AS keys"
            " FROM gone g LEFT JOIN kept k ON k.id = g.id GROUP BY 1, 2, 3"
        )
        rows = connection.execute(statement, {"as_of": self._as_of, "after": after, "limit": limit}).all()
        if not rows:
            return None
        files = [File(row.bucket, key, row.attempts) for row in rows if not row.kept for key in json.loads(row.keys)]
        return Claim(tuple(files), max(row.last for row in rows), sum(row.files for row in rows if row.kept))

    def _claim_in_turn(self, connection: Connection, after: int, limit: int) -> Claim | None:
        """SQLite: nobody else writes in between."""
        o = file_deletion.c
        due = select(file_deletion).where(o.next_try <= self._as_of, o.id > after).order_by(o.id).limit(limit)
        rows = connection.execute(due).all()
        if not rows:
            return None
        still = set()
        for named in self._named:
            join = f"JOIN {named.table.sql} f ON {named.joins('o')}"
            found = text(f"SELECT o.id FROM nightshift_file_deletion o {join} WHERE o.id BETWEEN :first AND :last")
            still |= set(connection.execute(found, {"first": rows[0].id, "last": rows[-1].id}).scalars())
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            ids = [row.id for row in rows[start : start + _ROWS_A_STATEMENT]]
            connection.execute(delete(file_deletion).where(o.id.in_(ids)))
        files = tuple(File(row.bucket, row.object_key, row.attempts) for row in rows if row.id not in still)
        return Claim(files, rows[-1].id, len(rows) - len(files))

    def put_back(self, connection: Connection, failed: Iterable[tuple[File, str]]) -> None:
        """Files that S3 did not delete, with its reason; each further failure waits twice as long, up to a day."""
        rows = [
            {
                "bucket": file.bucket,
                "object_key": file.key,
                "run_id": self._run_id,
                "attempts": file.attempts + 1,
                "last_error": reason[:200],
                "next_try": self._as_of + min(FIRST_PAUSE * 2 ** min(file.attempts, 10), LONGEST_PAUSE),
            }
            for file, reason in failed
        ]
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            connection.execute(insert(file_deletion).values(rows[start : start + _ROWS_A_STATEMENT]))


def waiting(connection: Connection) -> int:
    """Files in the outbox, whenever they are due."""
    return int(connection.execute(select(func.count()).select_from(file_deletion)).scalar_one())
