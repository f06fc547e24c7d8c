"""Writes log events and lines of log files to Parquet: gathers them until they fill a file, then encodes it like rows.

The columns name their PostgreSQL types, as the archive's do, so that the same reader reads them.
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
"""Events of a CloudWatch log group; times in milliseconds since 1970."""

LINES = pa.schema(
    [
        _column("path", pa.string(), "text"),
        _column("line", pa.int64(), "bigint"),
        _column("position", pa.int64(), "bigint"),
        _column("content", pa.binary(), "bytea"),
    ]
)
"""Lines of files, with their line ends: the contents in their order are the file, byte by byte."""

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
"""The files themselves; `size` and `sha256` are of the contents, unpacked where they were packed."""


def event_ids(body: bytes, since_ms: int) -> set[str]:
    """Return the ids of events that were ingested since a time, or nobody knows when; `body` is a file of `EVENTS`."""
    events = pq.read_table(pa.BufferReader(body), columns=["ingestion_time", "event_id"])
    at = events["ingestion_time"].cast(pa.int64())
    recent = pc.fill_null(pc.greater_equal(at, since_ms), True)
    return set(events["event_id"].filter(recent).to_pylist())


class ParquetBuffer:
    """Rows of one schema on their way into files, in memory until they are encoded.

    Attributes:
        rows: gathered since the last file.
        size: their bytes, as the caller counts them.
    """

    def __init__(self, schema: pa.Schema, metadata: Mapping[str, str]) -> None:
        """`metadata` goes into the files' key-value metadata."""
        self._schema = schema
        self._encoder = ParquetEncoder(None, metadata)
        self._batches: list[pa.RecordBatch] = []
        self.rows = 0
        self.size = 0

    def add_record(self, columns: Sequence[Sequence[Any]], size: int) -> None:
        """Take some rows.

        Args:
            columns: one sequence for each field; text may hold half characters, which become U+FFFD.
            size: bytes to count for them.
        """
        arrays = [_array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self.rows += len(columns[0])
        self.size += size

    def encode_file(self) -> ParquetFile:
        """The rows as one file; nothing is gathered afterwards. Raises `NightshiftError` where memory ends."""
        table = pa.Table.from_batches(self._batches, schema=self._schema)
        self._batches, self.rows, self.size = [], 0, 0
        return self._encoder.encode_rows(table)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        whole = [v if v is None else v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values]
        return pa.array(whole, kind)
