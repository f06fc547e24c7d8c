"""Converts the timestamps of fetched rows to points on their table's axis."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nightshift.errors import NightshiftError
from nightshift.rows.reserved_names import EXACT
from nightshift.rows.timestamp_column import TimestampColumn, parse_text


def sort_keys(table: pa.Table, axis: TimestampColumn) -> pa.Array:
    """Returns the keys that sort rows by time: points, or fractional numbers for `floor_timestamps`.

    Raises:
        NightshiftError: a text is no time.
    """
    column = table.column(axis.column).combine_chunks()
    if axis.epoch_unit is not None:
        return _numbers(column, table, axis)
    if axis.kind == "text":
        points = pa.array([parse_text(value) for value in column.to_pylist()], pa.int64())
        if points.null_count:
            raise NightshiftError(
                "a timestamp cannot be understood",
                detail=f"{axis.column}: {points.null_count} of {len(points)} values are no date and time",
                hint="write them like 2025-09-15 09:00:00",
            )
        return points
    if axis.kind == "date":
        return column.cast(pa.int32()).cast(pa.int64())
    return column.cast(pa.int64())


def floor_timestamps(keys: pa.Array) -> pa.Array:
    """The points of sort keys, as 64-bit integers."""
    return keys if pa.types.is_integer(keys.type) else pc.floor(keys).cast(pa.int64(), safe=False)


def is_sorted_by(table: pa.Table, axis: TimestampColumn) -> bool:
    """Returns whether the order of the sort keys is the order of the column itself, as a reader compares it."""
    column = table.column(axis.column)
    return axis.epoch_unit is None or not (pa.types.is_string(column.type) or column.null_count)


def _numbers(column: pa.Array, table: pa.Table, axis: TimestampColumn) -> pa.Array:
    if column.null_count:
        return _of_every_class(column, table, axis)
    if pa.types.is_string(column.type):
        # PostgreSQL's unlimited numeric, or SQLite's digits; days begin at whole units, so the fraction says nothing.
        return pc.replace_substring_regex(column, r"\..*", "").cast(pa.int64())
    return column.cast(pa.int64()) if pa.types.is_integer(column.type) else column


def _of_every_class(column: pa.Array, table: pa.Table, axis: TimestampColumn) -> pa.Array:
    """SQLite: values whose storage class is not the column's stand in the row's exact literals."""
    exact = table.column(EXACT).to_pylist()
    values = [
        json.loads(literals)[axis.column] if value is None else value
        for value, literals in zip(column.to_pylist(), exact, strict=True)
    ]
    return pa.array([_floor(value) for value in values], pa.int64())


def _floor(value: Any) -> int:
    return math.floor(Decimal(str(value).strip("'")))
