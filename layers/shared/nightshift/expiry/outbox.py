"""The outbox: files whose rows are gone. Looked up, told to S3, and settled when S3 has answered for each.

No transaction is open while S3 works: whoever dies in between leaves every entry where it was, and deleting a file
twice is harmless. What S3 refuses stays in, to be tried again later. A file that some row still names, or names again,
is not deleted: its entry is dropped, and comes back when that row goes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select, text, update

from nightshift.database.tables import file_deletion
from nightshift.expiry.graph import Named
from nightshift.expiry.session import stamp

FIRST_PAUSE = timedelta(hours=1)
LONGEST_PAUSE = timedelta(days=1)

_IDS_A_STATEMENT = 500
"""On SQLite, which has no arrays."""

_MANY = 0.05
"""Share of a table from which it is faster to read it whole than to look for so many of its rows one by one."""

Bucket = str


@dataclass(slots=True)
class Entries:
    """Entries of the outbox that are alike: one bucket, as many tries in vain. `ids` and `keys` belong together."""

    bucket: Bucket
    attempts: int
    ids: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be deleted next.

    Attributes:
        files: the entries, by bucket and tries.
        kept: ids of those that a row still names.
        last: the highest id of all; the next claim goes on behind it.
    """

    files: tuple[Entries, ...]
    kept: tuple[int, ...]
    last: int


class Outbox:
    """The outbox of one database, as one run sees it."""

    def __init__(self, as_of: datetime, named: Sequence[Named]) -> None:
        """Args:
        as_of: aware; what is to be tried later than that is left alone.
        named: every place in which rows name files.
        """
        self._as_of = as_of
        self._named = named

    def look(self, connection: Connection, after: int, limit: int) -> Claim | None:
        """Files whose time has come; None where there are no more. Ends the transaction.

        Args:
            after: only ids above this one.
            limit: so many at the most.
        """
        postgresql = connection.dialect.name == "postgresql"
        due = self._due(after, limit, postgresql=postgresql)
        if postgresql and not self._planned(connection, due):
            connection.rollback()
            return None
        # As the driver takes it: `text()` would look for parameters in the names of columns.
        rows = connection.exec_driver_sql(self._statement(due, postgresql=postgresql)).all()
        connection.rollback()
        if not rows:
            return None
        files = [Entries(row.bucket, row.attempts, json.loads(row.ids), json.loads(row.keys)) for row in rows]
        kept = [number for row, entries in zip(rows, files, strict=True) if row.kept for number in entries.ids]
        last = max(max(entries.ids) for entries in files)
        return Claim(tuple(e for row, e in zip(rows, files, strict=True) if not row.kept), tuple(kept), last)

    def _due(self, after: int, limit: int, *, postgresql: bool) -> str:
        return (
            "SELECT id, bucket, object_key, attempts FROM nightshift_file_deletion"
            f" WHERE next_try <= '{stamp(self._as_of, postgresql=postgresql)}' AND id > {after}"
            f" ORDER BY id LIMIT {limit}"
        )

    def _planned(self, connection: Connection, due: str) -> int:
        """Tell the planner how to look for rows that name a file; returns how many files there are.

        Nobody has counted what was put into the outbox a moment ago: it may take that for a row or two, and look
        through a table of files once for each of them.
        """
        files = int(connection.exec_driver_sql(f"SELECT count(*) FROM ({due}) due").scalar_one())
        one_by_one = all(named.indexed and files < _MANY * named.rows for named in self._named)
        loops = "on" if one_by_one else "off"
        connection.exec_driver_sql(
            f"SELECT set_config('enable_nestloop', '{loops}', true), set_config('jit', 'off', true)"
        )
        return files

    def _statement(self, due: str, *, postgresql: bool) -> str:
        """One row for all entries that are alike: row by row it would take longer than S3."""
        gather = "CAST(json_agg({}) AS text)" if postgresql else "json_group_array({})"
        kept = " UNION ".join(
            f"SELECT d.id FROM due d JOIN {named.table.sql} f ON {named.joins('d')}" for named in self._named
        )
        return (
            f"WITH due AS ({due}), kept AS ({kept or 'SELECT 0 AS id WHERE 1 = 0'})"
            f" SELECT d.bucket, d.attempts, k.id IS NOT NULL AS kept,"
            f" {gather.format('d.id')} AS ids, {gather.format('d.object_key')} AS keys"
            " FROM due d LEFT JOIN kept k ON k.id = d.id GROUP BY 1, 2, 3"
        )

    def gone(self, connection: Connection, ids: Sequence[int]) -> None:
        """Drop entries: S3 said that their files are gone, or a row still names them. The caller commits."""
        if connection.dialect.name == "postgresql":
            _at_once(connection, f"DELETE FROM {file_deletion.name} o USING {_THESE} WHERE o.id = these.id", ids, {})
            return
        for some in _parts(ids):
            connection.execute(delete(file_deletion).where(file_deletion.c.id.in_(some)))

    def failed(self, connection: Connection, ids: Sequence[int], attempts: int, reason: str) -> None:
        """Note that S3 did not delete these, and why; each further failure waits twice as long, up to a day.

        Args:
            attempts: tries in vain before this one.
        """
        next_try = self._as_of + min(FIRST_PAUSE * 2 ** min(attempts, 10), LONGEST_PAUSE)
        noted = {"attempts": attempts + 1, "last_error": reason[:200], "next_try": next_try}
        if connection.dialect.name == "postgresql":
            values = "attempts = :attempts, last_error = :last_error, next_try = :next_try"
            statement = f"UPDATE {file_deletion.name} o SET {values} FROM {_THESE} WHERE o.id = these.id"
            _at_once(connection, statement, ids, noted)
            return
        for some in _parts(ids):
            connection.execute(update(file_deletion).where(file_deletion.c.id.in_(some)).values(noted))


_THESE = "unnest(CAST(:ids AS bigint[])) AS these(id)"


def _at_once(connection: Connection, statement: str, ids: Sequence[int], values: dict[str, Any]) -> None:
    """A statement about these entries. The planner takes any list for a hundred: it must not choose by that."""
    connection.exec_driver_sql("SELECT set_config('enable_nestloop', 'off', true)")
    connection.execute(text(statement), {"ids": f"{{{','.join(map(str, ids))}}}", **values})


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    """As many at a time as a statement of SQLite takes."""
    return [ids[start : start + _IDS_A_STATEMENT] for start in range(0, len(ids), _IDS_A_STATEMENT)]


def waiting(connection: Connection) -> int:
    """Files in the outbox, whenever they are due."""
    return int(connection.execute(select(func.count()).select_from(file_deletion)).scalar_one())
