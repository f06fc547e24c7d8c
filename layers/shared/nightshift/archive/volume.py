"""Counts a table's due rows: for a dry run's estimate, and to refuse a run that would delete an abnormal share.

The guard counts rows in the snapshot in which the table was described. The planner's statistics are not reliable after
an UPDATE of all rows, a TRUNCATE and a load, or a mass deletion. A count stops as soon as the decision is certain. The
count of due rows stops at the number from which the default limit applies. The count of all rows stops when the due
rows are certainly within the limit. A nightly run therefore reads its due rows once more (by the index, if it exists)
and a few times as many other rows. The whole table is counted only if the due rows exceed the limit.
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
"""Default limit on the share of a table that one run may delete. It applies after the backlog has been worked off."""

USUAL_SHARE_FROM_ROWS = 100_000
"""Number of due rows from which the default limit applies. In small tables the share varies too much."""

COMPRESSION = 0.25
"""Parquet bytes per byte of table, if the ledger has no measured value (chat logs: 0.2 to 0.3)."""

BYTES_A_SECOND = 100 << 20
"""Bytes of a table that two workers archive per second; see benchmarks/."""

REQUEST_USD = (0.0045 + 0.00035) / 1000
"""Price of a PUT and the GET that verifies it, S3 Standard, Seoul: https://aws.amazon.com/s3/pricing/."""

STORAGE_USD = 0.025 / 1024**3
"""Price of one byte for a month, from the same source."""


def check_volume(connection: Connection, target: CleanupTarget, limit: float | None) -> GuardRefusal | None:
    """Refuse a run whose share of due rows exceeds the limit. With `force` in the event the caller skips the check.

    Args:
        connection: a connection in the snapshot in which the table was described.
        limit: maximum share of the table; None: `DEFAULT_MAX_SHARE`, and no limit until the backlog is worked off.
    """
    label = target.info.name.label
    if limit is None and not has_worked_off(connection, label):
        return None
    if target.is_postgresql:
        # JIT compilation of the short statements takes longer than it saves.
        connection.exec_driver_sql("SELECT set_config('jit', 'off', true)")
    if limit is None:
        if count_up_to(connection, target, USUAL_SHARE_FROM_ROWS, target.due_condition) < USUAL_SHARE_FROM_ROWS:
            return None
        limit = DEFAULT_MAX_SHARE
    due = count_up_to(connection, target, None, target.due_condition)
    return check_share(label, due, count_up_to(connection, target, math.ceil(due / limit) + 1) if due else 0, limit)


def check_share(table: str, due: int, total: int, limit: float) -> GuardRefusal | None:
    """Refuse a table if its share of due rows exceeds the limit."""
    if due <= limit * total:
        return None
    return make_refusal(
        "abnormal_volume",
        f"{due:,} of {total:,} rows of {table} are due, more than {limit:.0%}",
        'check keep_days; if it is right, send {"force": true} once, or set max_share in the policy',
    )


def estimate_due_rows(connection: Connection, target: CleanupTarget, *, chunk_bytes: int) -> CleanupEstimate:
    """Count the due rows, and estimate the other figures. `chunk_bytes`: Arrow bytes of a chunk in a real run."""
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
    """Returns the mean size of the table's archived rows in Parquet bytes; None: no row is archived."""
    if not table_exists(connection, archive_object):
        return None
    sums = select(func.sum(archive_object.c.byte_count), func.sum(archive_object.c.row_count)).where(
        archive_object.c.table_name == target.info.name.label, archive_object.c.state == "archived"
    )
    size, rows = connection.execute(sums).one()
    return float(size) / float(rows) if rows else None


def _days(connection: Connection, target: CleanupTarget) -> int:
    """Returns the number of calendar days from the oldest to the latest due row; 1 in SQLite."""
    axis = target.axis
    if not target.is_postgresql:
        return 1
    ends = [axis.point_sql(f"{end}({axis.epoch_sql})") for end in ("min", "max")]
    statement = f"SELECT {', '.join(ends)} FROM {target.info.name.sql} WHERE {target.due_condition}"
    first, last = connection.exec_driver_sql(statement).one()
    return (axis.to_day(int(last)) - axis.to_day(int(first))).days + 1
