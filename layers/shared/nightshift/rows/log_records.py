"""Writes log events and lines of log files to Parquet: collects records for a file, then encodes the file.

The columns name PostgreSQL types, like the columns of archived rows, so that the same reader can read both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightshift.rows.parquet import ParquetEncoder, ParquetFile
from nightshift.rows.reserved_names import TYPE_KEY

_MOMENT = pa.timestamp("ms", tz="UTC")


def _column(name: str, kind: pa.DataType, type_name: str) -> pa.Field:
    return pa.field(name, kind, metadata={TYPE_KEY: type_name.encode()})


EVENTS = pa.schema(
    [
        _column("timestamp", _MOMENT, "timestamp(3) with time zone"),
        _column("stream", pa.string(), "text"),
        _column("message", pa.string(), "text"),
        _column("ingestion_time", _MOMENT, "timestamp(3) with time zone"),
        _column("event_id", pa.string(), "text"),
    ]
)
"""Schema for events of a CloudWatch log group; the times are milliseconds since 1970."""

LINES = pa.schema(
    [
        _column("path", pa.string(), "text"),
        _column("line", pa.int64(), "bigint"),
        _column("position", pa.int64(), "bigint"),
        _column("content", pa.binary(), "bytea"),
    ]
)
"""Schema for lines of files, with line ends: the contents, joined in order, are exactly the bytes of the file."""

FILES = pa.schema(
    [
        _column("path", pa.string(), "text"),
        _column("size", pa.int64(), "bigint"),
        _column("sha256", pa.string(), "text"),
        _column("lines", pa.int64(), "bigint"),
        _column("gzip", pa.bool_(), "boolean"),
        _column("modified", _MOMENT, "timestamp(3) with time zone"),
    ]
)
"""Schema for facts of files; `size` and `sha256` describe the contents, after unpacking if the file was packed."""


def event_ids(body: bytes, since_ms: int) -> set[str]:
    """Returns the ids of events that were ingested since a time or at an unknown time; `body` is a file of `EVENTS`."""
    events = pq.read_table(pa.BufferReader(body), columns=["ingestion_time", "event_id"])
    at = events["ingestion_time"].cast(pa.int64())
    recent = pc.fill_null(pc.greater_equal(at, since_ms), True)
    return set(events["event_id"].filter(recent).to_pylist())


class ParquetBuffer:
    """Buffer in memory for rows of one schema, until `encode_file` encodes them.

    Attributes:
        rows: number of rows since the last file.
        size: number of bytes of these rows, as the caller counts them.
    """

    def __init__(self, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        """`metadata` goes into the files' key-value metadata."""
        self._schema = schema
        self._encoder = ParquetEncoder(None, metadata)
        self._batches: list[pa.RecordBatch] = []
        self.rows = 0
        self.size = 0

    def add_record(self, columns: Sequence[Sequence[Any]], size: int) -> None:
        """Add rows to the buffer.

        Args:
            columns: one sequence of values per field; unpaired surrogates in text become U+FFFD.
            size: number of bytes to count for the rows.
        """
        arrays = [_array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self.rows += len(columns[0])
        self.size += size

    def encode_file(self) -> ParquetFile:
        """Returns the rows as one file and empties the buffer; raises `NightshiftError` if memory is insufficient."""
        table = pa.Table.from_batches(self._batches, schema=self._schema)
        self._batches, self.rows, self.size = [], 0, 0
        return self._encoder.encode_rows(table)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        whole = [v if v is None else v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values]
        return pa.array(whole, kind)
