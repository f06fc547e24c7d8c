"""The first rows of an archive as CSV, for the Slack reader: bounded, and opened by Excel as it is (UTF-8 with BOM)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

BOM = b"\xef\xbb\xbf"
MAX_BYTES = 4 << 20


class CsvSample:
    """Collects the first rows of many tables until it is full."""

    def __init__(self, limit: int) -> None:
        """Args:
        limit: rows to keep; 0 keeps none.
        """
        self.rows = 0
        self._limit = limit
        self._body = bytearray()

    @property
    def full(self) -> bool:
        return self.rows >= self._limit or len(self._body) >= MAX_BYTES

    @property
    def content(self) -> bytes:
        return bytes(self._body)

    def add(self, table: pa.Table) -> None:
        """Append rows, header first; rows past the limit are ignored."""
        if self.full or table.num_rows == 0:
            return
        head = _printable(table.slice(0, self._limit - self.rows))
        while head.num_rows > 1 and head.nbytes > MAX_BYTES - len(self._body):
            head = head.slice(0, head.num_rows // 2)
        sink = pa.BufferOutputStream()
        csv.write_csv(head, sink, csv.WriteOptions(include_header=self.rows == 0))
        self._body += (BOM if self.rows == 0 else b"") + sink.getvalue().to_pybytes()
        self.rows += head.num_rows


def _printable(table: pa.Table) -> pa.Table:
    """CSV has text only: bytes become hex, identifiers their usual form."""
    columns = [_printable_column(field.type, column) for field, column in zip(table.schema, table.columns, strict=True)]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _printable_column(kind: pa.DataType, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(kind, pa.UuidType):
        return _as_text(column, str)
    if isinstance(kind, pa.BaseExtensionType):
        return column.cast(kind.storage_type)
    if pa.types.is_binary(kind):
        return _as_text(column, bytes.hex)
    return pc.cast(column, pa.string()) if pa.types.is_decimal(kind) else column


def _as_text(column: pa.ChunkedArray, write: Callable[[Any], str]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([None if v is None else write(v) for v in column.to_pylist()], pa.string())])
