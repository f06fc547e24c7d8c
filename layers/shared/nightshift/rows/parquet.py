"""Writes rows to Parquet: one file per day, sorted by time, with statistics and a page index.

Columns of floats have no statistics, because minimum and maximum do not cover NaN, and engines that use statistics
would skip NaN (`x <> 1`). Columns of floats have no dictionary, because its values are compared bit by bit, so that -0
would differ from 0.

The format is Parquet 2.6 with zstd, which Athena, DuckDB, Spark and pyarrow can read. A sample of the rows decides on
dictionary encoding, which halves the cost of columns with few distinct values and doubles that of other columns.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightshift.errors import NightshiftError
from nightshift.rows.reserved_names import EXACT
from nightshift.rows.timestamp_column import TimestampColumn, parse_text

# Arrow's default allocator keeps freed memory: two workers peak at 300 to 380 MB with it, and at 240 to 320 MB with
# jemalloc, which some platforms' wheels lack.
with suppress(NotImplementedError):
    pa.set_memory_pool(pa.jemalloc_memory_pool())

ROW_GROUP_ROWS = 64 * 1024
_SAMPLE_ROWS = 4096
_FEW = 0.25
"""Share of distinct values in a sample below which a column is dictionary-encoded."""


@dataclass(frozen=True, slots=True)
class ArchiveDay:
    """The rows of one calendar day (in the policy's zone), oldest first.

    Attributes:
        first, last: the oldest and the youngest point on the axis; None if the rows have no timestamp.
    """

    day: date
    rows: pa.Table
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A Parquet file in memory, and the row count in the file's footer."""

    body: bytes
    rows: int


def by_day(table: pa.Table, axis: TimestampColumn) -> Iterator[ArchiveDay]:
    """Sort rows by time and split them at the zone's midnights; the axis's column must have no nulls.

    Raises `NightshiftError` if memory is insufficient or Arrow fails.
    """
    with _explained("sorted", table):
        keys = sort_keys(table, axis)
        if len(keys) > 1 and not pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py():
            order = pc.sort_indices(keys)
            table, keys = table.take(order), keys.take(order)
        points = floor_timestamps(keys)
    start, count = 0, len(points)
    while start < count:
        first = points[start].as_py()
        midnight = axis.next_day(first)
        end = count
        if midnight is not None and points[count - 1].as_py() >= midnight:
            end = bisect.bisect_left(range(count), midnight, lo=start, key=lambda i: points[i].as_py())
        yield ArchiveDay(axis.to_day(first), table.slice(start, end - start), first, points[end - 1].as_py())
        start = end


class ParquetEncoder:
    """Encodes the files of one table, all with the same settings."""

    def __init__(self, axis: TimestampColumn | None, metadata: Mapping[str, str]) -> None:
        """Args:
        axis: the timestamp column by which the rows are sorted; None for unsorted rows.
        metadata: key-value metadata of the files.
        """
        self._axis = axis
        self._metadata = {key: value.encode() for key, value in metadata.items()}
        self._dictionary: list[str] | None = None

    def encode_rows(self, table: pa.Table) -> ParquetFile:
        """Encode rows as one file; raises `NightshiftError` if memory is insufficient or Arrow fails."""
        with _explained("written as Parquet", table):
            if self._dictionary is None:
                # Determined by the first file only; a sample of every file would cost 2 % of a run.
                self._dictionary = _dictionary_columns(table)
            schema = table.schema.with_metadata(self._metadata)
            sink = pa.BufferOutputStream()
            with pq.ParquetWriter(
                sink,
                schema,
                compression="zstd",
                compression_level=1,
                use_dictionary=self._dictionary,
                write_statistics=[field.name for field in schema if not pa.types.is_floating(field.type)],
                write_page_index=True,
                sorting_columns=_sorting_columns(table, self._axis),
            ) as writer:
                writer.write_table(table.cast(schema), row_group_size=ROW_GROUP_ROWS)
            buffer = sink.getvalue()
            return ParquetFile(buffer.to_pybytes(), pq.read_metadata(pa.BufferReader(buffer)).num_rows)


@contextmanager
def _explained(done: str, table: pa.Table) -> Iterator[None]:
    """Translate exceptions of Arrow, e.g. for insufficient memory, into a `NightshiftError` with a hint."""
    try:
        yield
    except (pa.ArrowException, MemoryError, OSError) as exc:
        raise NightshiftError(
            f"rows could not be {done}",
            detail=f"{table.num_rows} rows: {type(exc).__name__}",
            hint=None
            if isinstance(exc, pa.ArrowInvalid)
            else "a smaller CLEANUP_CHUNK_MB, or more memory for the function",
        ) from exc


def _dictionary_columns(table: pa.Table) -> list[str]:
    """Returns the columns with few distinct values in the first rows."""
    sample = table.slice(0, _SAMPLE_ROWS)
    few = []
    for field, column in zip(table.schema, sample.columns, strict=True):
        storage = column.cast(field.type.storage_type) if isinstance(field.type, pa.BaseExtensionType) else column
        if pa.types.is_boolean(storage.type) or pa.types.is_floating(storage.type):
            continue
        if len(storage.unique()) <= max(1, int(len(storage) * _FEW)):
            few.append(field.name)
    return few


def sort_keys(table: pa.Table, axis: TimestampColumn) -> pa.Array:
    """Returns the keys that sort rows by time: points, or fractional numbers for `floor_timestamps`.

    Raises `NightshiftError` if a text is no date and time.
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
    """Returns the points of sort keys, as 64-bit integers."""
    return keys if pa.types.is_integer(keys.type) else pc.floor(keys).cast(pa.int64(), safe=False)


def _sorting_columns(table: pa.Table, axis: TimestampColumn | None) -> list[pq.SortingColumn] | None:
    """Returns the axis's column as the file's sorting column; None if a reader would compare its values differently."""
    if axis is None:
        return None
    column = table.column(axis.column)
    if axis.epoch_unit is not None and (pa.types.is_string(column.type) or column.null_count):
        return None
    return [pq.SortingColumn(table.schema.get_field_index(axis.column))]


def _numbers(column: pa.Array, table: pa.Table, axis: TimestampColumn) -> pa.Array:
    if column.null_count:
        return _of_every_class(column, table, axis)
    if pa.types.is_string(column.type):
        # A numeric without limits (PostgreSQL), or digits (SQLite); the fraction is irrelevant, as days begin at whole
        # units.
        return pc.replace_substring_regex(column, r"\..*", "").cast(pa.int64())
    return column.cast(pa.int64()) if pa.types.is_integer(column.type) else column


def _of_every_class(column: pa.Array, table: pa.Table, axis: TimestampColumn) -> pa.Array:
    """Returns the sort keys of a SQLite column; the row's exact literals hold values of another storage class."""
    exact = table.column(EXACT).to_pylist()
    values = [
        json.loads(literals)[axis.column] if value is None else value
        for value, literals in zip(column.to_pylist(), exact, strict=True)
    ]
    return pa.array([math.floor(Decimal(str(value).strip("'"))) for value in values], pa.int64())
