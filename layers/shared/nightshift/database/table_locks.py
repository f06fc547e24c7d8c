"""Locks tables, so that runs that delete rows and runs that restore rows exclude each other.

Deleting runs share a table; a restore into it needs it alone. No run waits, so there is no deadlock: the second is
refused. Like the run's lock this one is not needed for safety, and ends with its connection (PostgreSQL) or process
(SQLite, where one file stands for all tables). The holds that protect restored rows are checked within each deleting
transaction, see `archive.holds.HoldWatch`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from nightshift.database.catalog import TableName
from nightshift.database.connect import Database
from nightshift.database.lock import open_lock

_SPACE = 0x6E_73_74_6C << 32
"""Keeps the keys apart from other people's: the upper half of each; the lower is the table's OID."""

# Partitions share the lock of the whole that they are parts of.
_LOCK = """
SELECT {function}(:space + CAST(CAST(coalesce(pg_partition_root(c.oid), c.oid) AS oid) AS bigint))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name
"""


class TableLocks:
    """The locks of one run. Nothing is opened before the first is taken."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._file: int | None = None

    def take(self, tables: Sequence[TableName], *, alone: bool = False) -> TableName | None:
        """Lock tables until `release`; returns one that another run has, None where all are locked now.

        Args:
            alone: nobody else may have them; else others may that do not want them alone.
        """
        taken = self._in_postgresql if self._database.is_postgresql else self._in_sqlite
        return next((table for table in tables if not taken(table, alone=alone)), None)

    def release(self) -> None:
        """Let go of all of them."""
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            except SQLAlchemyError:  # it is gone, and the locks with it; the next ones are taken on another
                self._connection = None
                self._stack.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Let go of the locks, and of their connection."""
        self.release()
        self._connection = None
        self._stack.close()

    def _in_postgresql(self, table: TableName, *, alone: bool) -> bool:
        if self._connection is None:
            self._connection = self._stack.enter_context(self._database.connect(autocommit=True))
            self._connection.detach()  # from the pool: the locks must go with their connection
        function = "pg_try_advisory_lock" if alone else "pg_try_advisory_lock_shared"
        names = {"space": _SPACE, "schema": table.schema, "name": table.name}
        taken = self._connection.execute(text(_LOCK.format(function=function)), names).scalar()
        return taken is not False  # no row: the table is gone, and nobody can restore into it

    def _in_sqlite(self, _table: TableName, *, alone: bool) -> bool:
        if self._file is None:
            path = Path(self._database.target.path)
            self._file = open_lock(path, Path(f"{path}.nightshift-rows.lock"))
        try:
            fcntl.flock(self._file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
