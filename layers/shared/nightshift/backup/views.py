"""Hashes the rows of materialized views when a backup is taken, and again after a restore has refreshed the views.

PostgreSQL allows no inserts into a materialized view. A restore refreshes the view from tables of the backup's
snapshot. The saved view may have older rows, because its tables have lost rows since (cleanup deletes rows every
night). The backup is not at fault, but the older rows are not restored. The restore and the verification record
therefore name the view with both counts.

REFRESH without CONCURRENTLY ignores snapshots: later readers see the new rows, whatever their snapshot. The backup
detects a view that was refreshed meanwhile by its file, and stores no digest for it.
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
    """A materialized view that holds rows. `file` is the number of its file (`relfilenode`) at the snapshot."""

    oid: int
    name: TableName
    columns: tuple[str, ...]
    file: int
    may_read: bool


def measure_views(
    connect: Callable[[], PostgresConnection], views: Sequence[FilledView], deadline: float
) -> tuple[tuple[ViewEntry, ...], tuple[str, ...]]:
    """Hash the rows of every view in the snapshot. Returns the entries, and a sentence for each view without an entry.

    `connect` opens a data connection that uses the snapshot. Views for which the time does not suffice are reported.
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
    """The rows of a view at the snapshot cannot be read."""


def _measured(connect: Callable[[], PostgresConnection], view: FilledView, deadline: float) -> ViewEntry:
    if not view.may_read:
        raise _Unknown("it may not be read: GRANT SELECT on it to nightshift's role")
    left = deadline - time.monotonic()
    if left <= 0:
        raise _Unknown("the time was over")
    with closing(connect()) as connection, connection.transaction(bounds := _bounds(left)):
        sums = read_sum(connection, digest_sql(view.name, view.columns), bounds)
        # The view is locked since it was read, so its present file is the file that was read.
        if connection.execute(f"SELECT CAST(pg_relation_filenode({view.oid}) AS bigint)") != view.file:
            raise _Unknown("it was refreshed while the backup was taken")
    return ViewEntry(
        schema=view.name.schema, name=view.name.name, rows=sums.rows, digest=sums.digest(), columns=view.columns
    )


def compare_views(
    target: DatabaseTarget, views: Sequence[ViewEntry], findings: RestoreFindings, *, seconds: float
) -> None:
    """Compare every refreshed view with the saved digest. `schema_diff` reports missing and unfilled views.

    A view with other rows than the saved view is reported under `but_for`, not as a difference.
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
