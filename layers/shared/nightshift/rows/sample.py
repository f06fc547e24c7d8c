"""Writes the first rows of an archive as CSV for Slack, with limits on rows and bytes, in UTF-8 with BOM for Excel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from nightshift.rows.reserved_names import EXACT

BOM = b"\xef\xbb\xbf"
MAX_BYTES = 4 << 20

_FORMULA = r"^[=+\-@\t\r]"
"""Pattern of text that a spreadsheet reads as a formula (OWASP, CSV injection); chat logs contain strangers' text."""
_NUMBER = r"^[+-]?[0-9.]+$"


class CsvSample:
    """Collects the first rows of several tables, up to limits on rows and bytes."""

    def __init__(self, limit: int) -> None:
        """`limit` is the number of rows to keep; 0 keeps none."""
        self.rows = 0
        self.full = limit <= 0
        self._limit = limit
        self._body = bytearray()

    @property
    def to_csv(self) -> bytes:
        return bytes(self._body)

    def add_rows(self, table: pa.Table) -> None:
        """Append rows, with a header before the first row; rows above the limit on rows or bytes are ignored."""
        if self.full or table.num_rows == 0:
            return
        head = _printable(table.slice(0, self._limit - self.rows))
        while head.num_rows and head.nbytes > MAX_BYTES - len(self._body):
            head, self.full = head.slice(0, head.num_rows // 2), True
        if head.num_rows == 0:
            return
        sink = pa.BufferOutputStream()
        csv.write_csv(head, sink, csv.WriteOptions(include_header=self.rows == 0))
        self._body += (BOM if self.rows == 0 else b"") + sink.getvalue().to_pybytes()
        self.rows += head.num_rows
        self.full = self.full or self.rows >= self._limit


def _printable(table: pa.Table) -> pa.Table:
    """Returns the table in a form that CSV can hold: bytes as hexadecimal text, UUIDs as text, without `EXACT`."""
    names = [name for name in table.column_names if name != EXACT]  # only some chunks have this column
    columns = [_printable_column(table.schema.field(name).type, table.column(name)) for name in names]
    return pa.Table.from_arrays([_harmless(column) for column in columns], names=names)


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


def _harmless(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the column with an apostrophe before each text that a spreadsheet would read as a formula."""
    if not pa.types.is_string(column.type):
        return column
    formula = pc.and_not(pc.match_substring_regex(column, _FORMULA), pc.match_substring_regex(column, _NUMBER))
    return pc.if_else(formula, pc.binary_join_element_wise("'", column, ""), column)
