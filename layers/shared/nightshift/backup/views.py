"""Hashes the rows of materialized views when a backup is taken, and again after a restore has filled them.

PostgreSQL allows no inserts into a materialized view. A restore refreshes it from tables of the backup's snapshot,
while the saved rows may be older, from tables that have lost rows since (cleanup does that every night). That is no
fault of the backup, and yet these rows are not restored: the restore, and the proof, name the view with both counts.

REFRESH without CONCURRENTLY ignores snapshots: later readers see the new rows, whatever their snapshot.
Such a view is detected by its file, and has no digest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from nightshift.backup.digest import SESSION, digest_sql, read_sum
from nightshift.backup.models import ViewEntry
from nightshift.backup.requests import RestoreFindings
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.url import DatabaseTarget
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import RowsLocked, StatementInterrupted, StatementRefused, TransactionLimits

_IS_FILLED = "SELECT count(*) FROM pg_class WHERE oid = to_regclass({name}) AND relispopulated"

_LOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FilledView:
    """A materialized view that holds rows; `file` is where they lay at the snapshot."""

    oid: int
    name: TableName
    columns: tuple[str, ...]
    file: int
    may_read: bool


def measure_views(
    connect: Callable[[], PostgresConnection], views: Sequence[FilledView], deadline: float
) -> tuple[tuple[ViewEntry, ...], tuple[str, ...]]:
    """Hash the rows of every view at the snapshot's moment; returns the entries, and a sentence for each without one.

    `connect` opens a data connection that looks at that moment. Views that the time does not suffice for are reported.
    """
    entries, missing = [], []
    for view in views:
        try:
            entries.append(_measured(connect, view, deadline))
        except (StatementInterrupted, RowsLocked, StatementRefused, _Unknown) as exc:
            words = (exc.detail or exc.message).rpartition("ERROR:")[2].strip()
            missing.append(
                f"a digest of the materialized view {view.name.label}, so that nobody will know whether a restore"
                f" fills it with the same rows: {words}"
            )
    return tuple(entries), tuple(missing)


class _Unknown(StatementRefused):
    """The rows of the moment cannot be had."""


def _measured(connect: Callable[[], PostgresConnection], view: FilledView, deadline: float) -> ViewEntry:
    if not view.may_read:
        raise _Unknown("it may not be read: GRANT SELECT on it to nightshift's role")
    left = deadline - time.monotonic()
    if left <= 0:
        raise _Unknown("the time was over")
    with closing(connect()) as connection, connection.transaction(bounds := _bounds(left)):
        sums = read_sum(connection, digest_sql(view.name, view.columns), bounds)
        # The rows are locked by now: their file is the one that was read.
        if connection.execute(f"SELECT CAST(pg_relation_filenode({view.oid}) AS bigint)") != view.file:
            raise _Unknown("it was refreshed while the backup was taken")
    return ViewEntry(
        schema=view.name.schema, name=view.name.name, rows=sums.rows, digest=sums.digest(), columns=view.columns
    )


def compare_views(
    target: DatabaseTarget, views: Sequence[ViewEntry], findings: RestoreFindings, *, seconds: float
) -> None:
    """Look at every view that was filled again; the schema's own comparison knows of those that were not, or are gone.

    Views that hold other rows than before, of tables that are as they were, are no differences (`but_for`).
    """
    deadline = time.monotonic() + seconds
    for view in views:
        try:
            with closing(PostgresConnection(target)) as connection:
                _compare(connection, view, deadline - time.monotonic(), findings)
        except (StatementInterrupted, RowsLocked, StatementRefused) as exc:
            findings.differences.append(
                f"the rows of the materialized view {view.label} are not known: {exc.detail or exc.message}"
            )


def _compare(connection: PostgresConnection, view: ViewEntry, seconds: float, findings: RestoreFindings) -> None:
    bounds = _bounds(seconds)
    connection.execute(SESSION)
    with connection.transaction(bounds):
        if not connection.execute(_IS_FILLED.format(name=quote_literal(view.table.sql))):
            return
        sums = read_sum(connection, digest_sql(view.table, view.columns), bounds)
    if sums.digest() != view.digest:
        findings.but_for.append(
            f"the materialized view {view.label} holds other rows than it did: {sums.rows} that its query yields, in"
            f" place of the {view.rows} that it held when it was saved, which nothing brings back"
        )


def _bounds(seconds: float) -> TransactionLimits:
    return TransactionLimits(seconds=seconds, lock_seconds=_LOCK_SECONDS, bytes=1 << 20, stop=lambda: False)
