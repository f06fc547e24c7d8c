"""Writes rows to Parquet: one file a day, sorted by time, with statistics and a page index.

Floats have neither, nor a dictionary: NaN has no place between a minimum and a maximum, and engines that use these
skip it (`x <> 1`); a dictionary's values are compared bit by bit, as if -0 were not 0.

The format is plain Parquet 2.6 with zstd, so that Athena, DuckDB, Spark and pyarrow read it as it is. Dictionary
encoding is chosen by looking: it halves the cost of columns with few values and doubles that of columns with many,
where pyarrow would try it and give up.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightshift.errors import NightshiftError
from nightshift.rows.points import floor_timestamps, is_sorted_by, sort_keys
from nightshift.rows.timestamp_column import TimestampColumn

# Arrow's usual allocator holds on to what was freed: two workers peak at 300 to 380 MB with it, at 240 to 320 MB with
# jemalloc, which not every platform's wheel carries.
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
        first, last: the oldest and the youngest point on the axis; None where the rows have no timestamp.
    """

    day: date
    rows: pa.Table
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A file in memory.

    Attributes:
        body: its bytes.
        rows: the row count that its own footer states.
    """

    body: bytes
    rows: int


def by_day(table: pa.Table, axis: TimestampColumn) -> Iterator[ArchiveDay]:
    """Sort rows by time and cut them at the zone's midnights.

    Args:
        table: any number of rows, no null in the axis's column.
        axis: which column, and how it lies against the calendar.

    Raises:
        NightshiftError: memory or Arrow gave out.
    """
    with _explained("sorted", table):
        keys = sort_keys(table, axis)
        if len(keys) > 1 and not _ascending(keys):
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
    """Writes files of one table, all in the same way."""

    def __init__(self, axis: TimestampColumn | None, metadata: Mapping[str, str]) -> None:
        """Args:
        axis: rows come sorted by its column; None: in no order.
        metadata: goes into the files' key-value metadata.
        """
        self._axis = axis
        self._metadata = {key: value.encode() for key, value in metadata.items()}
        self._dictionary: list[str] | None = None

    def encode_rows(self, table: pa.Table) -> ParquetFile:
        """Write one file.

        Raises:
            NightshiftError: memory or Arrow gave out.
        """
        with _explained("written as Parquet", table):
            if self._dictionary is None:
                # Judged once: a look at every file would cost 2 % of a run.
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
                sorting_columns=_sorted_by(table, self._axis),
            ) as writer:
                writer.write_table(table.cast(schema), row_group_size=ROW_GROUP_ROWS)
            buffer = sink.getvalue()
            return ParquetFile(buffer.to_pybytes(), pq.read_metadata(pa.BufferReader(buffer)).num_rows)


def _sorted_by(table: pa.Table, axis: TimestampColumn | None) -> list[pq.SortingColumn] | None:
    if axis is None or not is_sorted_by(table, axis):
        return None
    return [pq.SortingColumn(table.schema.get_field_index(axis.column))]


@contextmanager
def _explained(done: str, table: pa.Table) -> Iterator[None]:
    """Turn Arrow's exceptions where memory ends into an error with a remedy."""
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


def _ascending(keys: pa.Array) -> bool:
    return bool(pc.all(pc.less_equal(keys[:-1], keys[1:])).as_py())


def _dictionary_columns(table: pa.Table) -> list[str]:
    """Columns with few distinct values, judged by the first rows."""
    sample = table.slice(0, _SAMPLE_ROWS)
    few = []
    for field, column in zip(table.schema, sample.columns, strict=True):
        storage = column.cast(field.type.storage_type) if isinstance(field.type, pa.BaseExtensionType) else column
        if pa.types.is_boolean(storage.type) or pa.types.is_floating(storage.type):
            continue
        if len(storage.unique()) <= max(1, int(len(storage) * _FEW)):
            few.append(field.name)
    return few
