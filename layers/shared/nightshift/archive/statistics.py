"""Plans the scan of a table, counts its rows, finds the oldest row that is still due, and runs VACUUM.

Each function reads as little as possible. Due rows are counted only if a guard or a dry run needs the number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.chunk_allocator import ChunkAllocator, ChunkRange, ScanRange
from nightshift.archive.target import CleanupTarget
from nightshift.database.catalog import HeapTable
from nightshift.database.connect import server_message
from nightshift.rows.timestamp_column import parse_text, years_of

MIN_INDEX_CORRELATION = 0.5
"""Minimum correlation of timestamp and physical order. From here on, rows of one time interval are close together."""

MAX_INDEX_SCAN_FRACTION = 0.05
"""Maximum share of due rows for which an index scan is used instead of reading every page."""

_SQLITE_FIRST_ROWS = 20_000


def plan_scan_ranges(
    connection: Connection, target: CleanupTarget, heaps: Sequence[HeapTable], target_bytes: int, workers: int
) -> list[ScanRange]:
    """Returns the ranges to archive, one per heap. Heaps whose index shows that no row is due are left out."""
    ranges = []
    for heap in heaps:
        if not target.is_postgresql:
            lowest = connection.exec_driver_sql(f"SELECT min({target.rowid_column}) FROM {heap.name.sql}").scalar()
            rows = ChunkRange(int(lowest or 0), heap.blocks + 1)
            allocator = ChunkAllocator(rows, _SQLITE_FIRST_ROWS, target_bytes)
            ranges.append(ScanRange(heap=heap, allocator=allocator, condition=target.ctid_range_condition))
        elif not heap.indexed:
            ranges.append(_by_place(target, heap, target_bytes, workers))
        elif (span := _span(connection, target, heap)) is not None:
            if _serves(heap, span):
                ranges.append(_by_time(target, heap, span, target_bytes, workers))
            else:
                ranges.append(_by_place(target, heap, target_bytes, workers))
    return ranges


def _serves(heap: HeapTable, span: tuple[int, int, int]) -> bool:
    """Returns whether to scan a heap by the index on the timestamp.

    A scan by the index reads due rows only. Its chunks can end at midnights, so that each day becomes one object. If
    the rows are not stored in the order of time, every chunk reads pages from all parts of the table. A large share of
    such a table is read page by page instead, which makes more and smaller objects.
    """
    lo, cutoff, top = span
    in_order = heap.correlation is None or abs(heap.correlation) >= MIN_INDEX_CORRELATION
    return in_order or (cutoff - lo) / max(1, top - lo) <= MAX_INDEX_SCAN_FRACTION


def _by_place(target: CleanupTarget, heap: HeapTable, target_bytes: int, workers: int) -> ScanRange:
    bytes_a_block = max(8192, heap.bytes // max(1, heap.blocks))
    width = max(1, target_bytes // bytes_a_block)
    allocator = ChunkAllocator(ChunkRange(0, heap.blocks), width, target_bytes, workers)
    return ScanRange(heap=heap, allocator=allocator, condition=target.ctid_range_condition)


def _by_time(
    target: CleanupTarget, heap: HeapTable, span: tuple[int, int, int], target_bytes: int, workers: int
) -> ScanRange:
    lo, cutoff, top = span
    bytes_a_point = max(heap.bytes, 1) / max(1, top - lo)
    width = max(1, int(target_bytes / bytes_a_point))

    def to_midnight(start: int, end: int) -> int:
        """Return the last midnight in a chunk as its end, or `end` if there is none, so that a day is one object."""
        midnight = target.axis.day_start(target.axis.to_day(end))
        return midnight if midnight > start else end

    allocator = ChunkAllocator(ChunkRange(lo, cutoff), width, target_bytes, workers, align=to_midnight)
    return ScanRange(heap=heap, allocator=allocator, condition=target.time_range_condition)


def _span(connection: Connection, target: CleanupTarget, heap: HeapTable) -> tuple[int, int, int] | None:
    """Returns the oldest point, the cutoff and the latest point of a heap with an index; None: no row is due."""
    axis, name = target.axis, heap.name.sql
    oldest = axis.point_sql(f"SELECT min({axis.epoch_sql}) FROM ONLY {name} WHERE {target.due_condition}")
    # The latest value that is a time: the index scan skips marks at the end of the index.
    last = "'infinity'" if axis.epoch_unit is None else axis.literal_sql(years_of(axis.epoch_unit)[1])
    youngest = axis.point_sql(f"SELECT max({axis.epoch_sql}) FROM ONLY {name} WHERE {axis.epoch_sql} < {last}")
    row = connection.exec_driver_sql(f"SELECT {oldest}, {youngest}").one()
    if row[0] is None:
        return None
    # PostgreSQL 13 extracts epochs as floating point, so the scan begins slightly before the oldest point.
    return int(row[0]) - 1, axis.to_epoch(target.cutoff), int(row[1])


def expected_due(connection: Connection, target: CleanupTarget) -> int:
    """Returns the planner's estimate of the number of due rows; 0 in SQLite, which has no estimate."""
    if not target.is_postgresql:
        return 0
    statement = f"EXPLAIN (FORMAT JSON) SELECT 1 FROM {target.info.name.sql} WHERE {target.due_condition}"
    plan = connection.exec_driver_sql(statement).scalar_one()
    return int((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]["Plan Rows"])


def count_up_to(connection: Connection, target: CleanupTarget, most: int | None, condition: str = "") -> int:
    """Returns the number of rows that meet a condition, at most `most`; None: no maximum."""
    rows = f"SELECT 1 FROM {target.info.name.sql}" + (f" WHERE {condition}" if condition else "")
    if most is None:
        counted = rows.replace("SELECT 1", "SELECT count(*)", 1)
    else:
        counted = f"SELECT count(*) FROM ({rows} LIMIT {most}) counted"
    return int(connection.exec_driver_sql(counted).scalar_one())


def count_due(connection: Connection, target: CleanupTarget) -> tuple[int, int]:
    """Returns the number of due rows and the number of all rows."""
    table = target.info.name.sql
    counted = f"SELECT count(*) FILTER (WHERE {target.due_condition}), count(*) FROM {table}"
    due, total = connection.exec_driver_sql(counted).one()
    return int(due), int(total)


def oldest_due(
    connection: Connection, target: CleanupTarget, heaps: Sequence[HeapTable] | None = None
) -> datetime | None:
    """Returns the timestamp of the oldest row that is still due; None: no row is due.

    The timestamp is aware, in the policy's time zone. For a row before year 1 it is `datetime.min` in that time zone.

    Args:
        heaps: search only the pages that were appended to these heaps since they were described. The search is cheap
            even after a large deletion, when an index scan reads every dead row. None: search the whole table.
    """
    axis = target.axis
    if heaps is None:
        sources = [(target.info.name.sql, target.due_condition)]
    else:
        sources = [
            (f"ONLY {heap.name.sql}", f"{target.due_condition} AND ctid >= '({heap.blocks},0)'") for heap in heaps
        ]
    points = []
    for source, condition in sources:
        oldest = f"SELECT min({axis.epoch_sql}) FROM {source} WHERE {condition}"
        if target.is_postgresql:
            oldest = f"SELECT {axis.point_sql(oldest)}"
        point = connection.exec_driver_sql(oldest).scalar()
        if isinstance(point, str):
            point = parse_text(point)  # SQLite
        if point is not None:
            points.append(int(point))
    if not points:
        return None
    return axis.to_datetime(min(points)) or datetime.min.replace(tzinfo=axis.zone)


def vacuum_table(connection: Connection, heap: HeapTable, deadline: float) -> str | None:
    """`VACUUM (ANALYZE)` one heap on an autocommit connection.

    Returns:
        None, or a warning that says why VACUUM failed. The archived rows are not affected.
    """
    left = deadline - time.monotonic()
    if left < 1:
        return f"VACUUM of {heap.name.label}: no time left"
    notices = connection.connection.driver_connection.notices  # type: ignore[union-attr]  # pg8000's
    notices.clear()
    try:
        connection.exec_driver_sql(f"SET statement_timeout = '{left:.0f}s'")
        connection.exec_driver_sql(f"VACUUM (ANALYZE) {heap.name.sql}")
    except DBAPIError as exc:
        return f"VACUUM of {heap.name.label}: {server_message(exc)}"
    # If the role lacks the privilege, PostgreSQL only warns and does not vacuum the table.
    warned = [notice[b"M"].decode() for notice in notices if notice.get(b"V", notice.get(b"S")) == b"WARNING"]
    return f"VACUUM of {heap.name.label}: {warned[0]}" if warned else None
