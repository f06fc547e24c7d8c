"""Exports one snapshot of a database, which any number of connections can read.

A snapshot alone is not enough: TRUNCATE and ALTER TABLE empty or rewrite a table even for sessions with an older
snapshot (PostgreSQL's manual, "Caveats" of MVCC). Every table is therefore locked before the snapshot is taken. The
lock mode ACCESS SHARE conflicts with TRUNCATE and ALTER TABLE, not with changes of rows. LOCK TABLE takes no snapshot.
If a new table appears before the snapshot, both steps are repeated. pg_dump takes its snapshot before its locks.

The session that exported the snapshot holds the locks. The backup checks at its end that the session still exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup import digest
from nightshift.backup.database_inventory import DatabaseInventory, list_relations, take_inventory
from nightshift.backup.unreadable_objects import relation_name, set_aside
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.connect import Database, is_lock_timeout, refused_statement, server_message, sqlstate
from nightshift.database.url import DatabaseTarget
from nightshift.errors import NightshiftError
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import ConnectionLost, RowsLocked, StatementRefused
from nightshift.settings import Settings

ATTEMPTS, TOGETHER = 5, 3
"""To lock all tables and find no new one: each waits for a lock as long as `connect.CONTROL_LOCK_TIMEOUT_S`. After some
the tables are locked one by one, each in `EACH_LOCK_MS`, and those that are not free are set aside."""
EACH_LOCK_MS = 500

TID_RANGE_SCANS = 140_000
"""The first version that reads a range of a table's pages without looking at the others."""

LOCK_SECONDS = 10.0
"""Lock timeout of data connections. A pending ACCESS EXCLUSIVE request queues behind our snapshot and blocks the
application behind it, so the backup aborts after this time.
"""

_UNDEFINED = {"42P01", "3F000"}

_NO_END = (
    # Somebody's limit for the transactions of an application is none for one that reads it all.
    "CASE WHEN CAST(current_setting('server_version_num') AS int) >= 170000"
    " THEN set_config('transaction_timeout', '0', false) END"
)

_MOMENT = f"""
SELECT pg_export_snapshot() AS id, pg_is_in_recovery() AS standby, pg_last_xact_replay_timestamp() AS replayed,
       clock_timestamp() AS moment, current_setting('server_version') AS version,
       CAST(current_setting('server_version_num') AS int) AS number, current_database() AS database,
       length(set_config('search_path', '', true)) AS path, coalesce(length({_NO_END}), 0) AS no_end
"""

_WITHOUT_INDEXES = (
    # The heap alone has every row: an index may be broken, and nobody would know. Pages are read in their order.
    "SELECT length(set_config('enable_seqscan', 'on', false) || set_config('enable_indexscan', 'off', false)"
    " || set_config('enable_indexonlyscan', 'off', false) || set_config('enable_bitmapscan', 'off', false)"
    " || set_config('synchronize_seqscans', 'off', false) || set_config('max_parallel_workers_per_gather', '0', false)"
    " || set_config('statement_timeout', '0', false) || set_config('idle_in_transaction_session_timeout', '0', false)"
    f" || set_config('lock_timeout', '{LOCK_SECONDS * 1000:.0f}ms', false)"
    f" || coalesce({_NO_END}, ''))"
)


@dataclass(frozen=True, slots=True)
class ExportedSnapshot:
    """A snapshot that is valid until `connection`'s transaction ends.

    Attributes:
        id: id for SET TRANSACTION SNAPSHOT and `pg_dump --snapshot`.
        time: the server's time at the snapshot, aware UTC.
        version: the server's version as text; `number` is `server_version_num`.
        replayed: on a standby, commit time of the last replayed transaction, aware UTC; else None.
    """

    id: str
    time: datetime
    database: str
    version: str
    number: int
    replayed: datetime | None
    survey: DatabaseInventory
    connection: Connection
    target: DatabaseTarget

    def connect(self) -> PostgresConnection:
        """Returns a new data connection that reads the snapshot.

        Raises:
            ConnectionLost: the session that exported the snapshot has ended.
        """
        connection = PostgresConnection(self.target)
        try:
            connection.run_statement("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                connection.run_statement(f"SET TRANSACTION SNAPSHOT {quote_literal(self.id)}")
            except StatementRefused as exc:
                raise ConnectionLost("the connection that held the snapshot was lost", detail=exc.detail) from exc
            connection.execute(digest.SESSION)
            connection.execute(_WITHOUT_INDEXES)
        except BaseException:
            connection.close()
            raise
        return connection

    def check_alive(self) -> None:
        """Check that the snapshot's session has held its locks without interruption.

        Raises:
            ConnectionLost: the session has ended. Tables may have been altered while they were read.
        """
        try:
            # Locks go with their transaction, and that with its session: one that still answers has them.
            self.connection.execute(text("SELECT 1"))
        except (DBAPIError, OSError) as exc:
            raise ConnectionLost("the connection that held the snapshot was lost", detail=server_message(exc)) from exc


@contextmanager
def snapshot_of(database: Database, settings: Settings) -> Iterator[ExportedSnapshot]:
    """Lock every readable table of BACKUP_SCHEMAS, and yield one snapshot of them all.

    A table that another session keeps locked in ACCESS EXCLUSIVE mode is not saved (`DatabaseInventory.aside`). Rows of
    the tables in BACKUP_EXCLUDE_ROWS are not saved either.

    Raises:
        InvalidSettings: a schema or a table of the settings does not exist.
        NightshiftError: a query was refused, or the server cannot be reached.
    """
    with database.connect() as connection:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                snapshot = _attempt(connection, database.target, settings, one_by_one=attempt > TOGETHER)
            except DBAPIError as exc:
                connection.rollback()
                _explain(exc, last=attempt == ATTEMPTS)
                continue
            if snapshot is not None:
                yield snapshot
                connection.rollback()
                return
            connection.rollback()
    raise NightshiftError(
        "tables are made faster than they can be locked",
        detail=f"{ATTEMPTS} attempts",
        hint="let BACKUP_SCHEMAS name the schemas in which this does not happen",
    )


def _attempt(
    connection: Connection, target: DatabaseTarget, settings: Settings, *, one_by_one: bool
) -> ExportedSnapshot | None:
    """Try once to lock the tables and take a snapshot. Returns None if a table was created after the locks."""
    seen = list_relations(connection, settings.backup_schemas)
    connection.rollback()
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    names = [relation_name(row) for row in seen if row.kind in ("r", "p") and row.may_read]
    busy: Sequence[TableName] = ()
    if one_by_one:
        busy = _lock_each(connection, names)
    elif names:
        listed = ", ".join(f"ONLY {name.sql}" for name in names)
        connection.exec_driver_sql(f"LOCK TABLE {listed} IN ACCESS SHARE MODE")
    row = connection.execute(text(_MOMENT)).one()
    relations = list_relations(connection, settings.backup_schemas)
    if not _tables(relations) <= _tables(seen):
        return None
    aside = set_aside(connection, relations, busy=busy, exclude=settings.backup_exclude_rows or ())
    return ExportedSnapshot(
        id=row.id,
        time=row.moment.astimezone(UTC),
        database=row.database,
        version=str(row.version).split()[0],
        number=row.number,
        replayed=row.replayed.astimezone(UTC) if row.standby and row.replayed else None,
        survey=take_inventory(connection, relations, settings.backup_schemas, aside),
        connection=connection,
        target=target,
    )


def _lock_each(connection: Connection, names: Sequence[TableName]) -> list[TableName]:
    """Locks the tables one by one; returns those that another session holds."""
    busy = []
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {EACH_LOCK_MS}")
    for name in names:
        connection.exec_driver_sql("SAVEPOINT one")
        try:
            connection.exec_driver_sql(f"LOCK TABLE ONLY {name.sql} IN ACCESS SHARE MODE")
        except DBAPIError as exc:
            if not is_lock_timeout(exc):
                raise
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one")
            busy.append(name)
        connection.exec_driver_sql("RELEASE SAVEPOINT one")  # no snapshot can be exported within one
    return busy


def _tables(relations: Sequence[Any]) -> set[tuple[int, TableName]]:
    return {(row.oid, relation_name(row)) for row in relations if row.kind in ("r", "p")}


def _explain(exc: DBAPIError, *, last: bool) -> None:
    """Raise, unless it is worth another attempt: a lock that was not free, a table that was dropped meanwhile."""
    if is_lock_timeout(exc):
        if last:
            raise RowsLocked(
                "a table is locked against everybody",
                detail=server_message(exc),
                hint="see pg_locks for who holds ACCESS EXCLUSIVE; the next run tries again",
            ) from exc
        return
    if sqlstate(exc) not in _UNDEFINED or last:
        raise refused_statement(exc) from exc
