"""Counts a table's due rows: for the dry run's estimate, and to refuse a run that would take an abnormal share.

The guard counts rows in the snapshot in which the table was described. The planner's statistics are not enough: after
an UPDATE of all rows, a TRUNCATE and a load, or a mass deletion they are of another table. A count ends where its
answer is certain: at the number of due rows from which the limit applies at all, and at the number of rows of which the
due ones are no more than the limit. So a nightly run reads its due rows once more (by the index, where there is one),
and a few times as many of the others; the whole table is counted only where more than the limit is due.
"""

from __future__ import annotations

import math

from sqlalchemy import Connection, func, select

from nightshift.archive.statistics import count_due, count_up_to
from nightshift.archive.table_guards import make_refusal
from nightshift.archive.target import CleanupTarget
from nightshift.database.history import has_worked_off
from nightshift.database.tables import archive_object, table_exists
from nightshift.results.cleanup import CleanupEstimate
from nightshift.results.common import GuardRefusal

DEFAULT_MAX_SHARE = 0.5
"""Share of a table that one run may take once the table's backlog has been worked off, where nobody set a limit."""

USUAL_SHARE_FROM_ROWS = 100_000
"""Below this many due rows the unset limit does not apply: small tables swing."""

COMPRESSION = 0.25
"""Parquet bytes per byte of table, where the ledger knows no better (chat logs measured 0.2 to 0.3)."""

BYTES_A_SECOND = 100 << 20
"""Table bytes archived a second by two workers; see benchmarks/."""

REQUEST_USD = (0.0045 + 0.00035) / 1000
"""A PUT and the GET that proves it, S3 Standard, Asia Pacific (Seoul): https://aws.amazon.com/s3/pricing/."""

STORAGE_USD = 0.025 / 1024**3
"""A byte and month, same source."""


def check_volume(connection: Connection, target: CleanupTarget, limit: float | None) -> GuardRefusal | None:
    """Refuse a run that would take more than its share; `force` in the event overrides.

    Args:
        connection: in the transaction, and the snapshot, in which the table was described.
        limit: share of the table; None: nobody set one, and the first run that works a backlog off may take all.
    """
    label = target.info.name.label
    if limit is None and not has_worked_off(connection, "cleanup", label):
        return None
    if target.is_postgresql:
        # Compiling these short statements takes longer than it saves.
        connection.exec_driver_sql("SELECT set_config('jit', 'off', true)")
    if limit is None:
        if count_up_to(connection, target, USUAL_SHARE_FROM_ROWS, target.due_condition) < USUAL_SHARE_FROM_ROWS:
            return None
        limit = DEFAULT_MAX_SHARE
    due = count_up_to(connection, target, None, target.due_condition)
    return check_share(label, due, count_up_to(connection, target, math.ceil(due / limit) + 1) if due else 0, limit)


def check_share(table: str, due: int, total: int, limit: float) -> GuardRefusal | None:
    """Refuse more due rows than the limit allows."""
    if due <= limit * total:
        return None
    return make_refusal(
        "abnormal_volume",
        f"{due:,} of {total:,} rows of {table} are due, more than {limit:.0%}",
        'check keep_days; if it is right, send {"force": true} once, or set max_share in the policy',
    )


def estimate_due_rows(connection: Connection, target: CleanupTarget, *, chunk_bytes: int) -> CleanupEstimate:
    """Count the due rows and estimate the rest; `chunk_bytes` is what a real run would aim at."""
    due, total = count_due(connection, target)
    heap_bytes = sum(heap.bytes for heap in target.info.heaps)
    due_bytes = heap_bytes * due / total if total else 0.0
    a_row = _archived_row(connection, target)
    size = due * a_row if a_row is not None else due_bytes * COMPRESSION
    days = _days(connection, target) if due else 0
    objects = max(days, math.ceil(due_bytes / chunk_bytes)) if due else 0
    return CleanupEstimate(
        rows=due,
        bytes=int(size),
        objects=objects,
        seconds=due_bytes / BYTES_A_SECOND,
        share=due / total if total else 0.0,
        usd=objects * REQUEST_USD + size * STORAGE_USD,
    )


def _archived_row(connection: Connection, target: CleanupTarget) -> float | None:
    """Mean size of this table's rows in the archive so far; None where it has none."""
    if not table_exists(connection, archive_object):
        return None
    sums = select(func.sum(archive_object.c.byte_count), func.sum(archive_object.c.row_count)).where(
        archive_object.c.table_name == target.info.name.label, archive_object.c.state == "archived"
    )
    size, rows = connection.execute(sums).one()
    return float(size) / float(rows) if rows else None


def _days(connection: Connection, target: CleanupTarget) -> int:
    """Calendar days between the oldest and the youngest due row."""
    axis = target.axis
    if not target.is_postgresql:
        return 1
    ends = [axis.point_sql(f"{end}({axis.epoch_sql})") for end in ("min", "max")]
    statement = f"SELECT {', '.join(ends)} FROM {target.info.name.sql} WHERE {target.due_condition}"
    first, last = connection.exec_driver_sql(statement).one()
    return (axis.to_day(int(last)) - axis.to_day(int(first))).days + 1
