"""The SQL that gives an archived value back, written from the format's description, not from the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

EXACT = "_nightshift_exact"
TYPE = b"nightshift.type"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def rows_as_sql(table: pa.Table) -> Iterator[dict[str, str]]:
    """Each archived row as SQL expressions by column, every one of the column's declared type."""
    fields = [field for field in table.schema if field.name != EXACT]
    columns = {field.name: _as_sql(table.column(field.name)) for field in fields}
    exact = table.column(EXACT).to_pylist() if EXACT in table.column_names else [None] * table.num_rows
    for number in range(table.num_rows):
        row = {field.name: columns[field.name][number] for field in fields}
        row |= {name: quoted(text) for name, text in json.loads(exact[number] or "{}").items()}
        yield {field.name: f"({row[field.name]})::{field.metadata[TYPE].decode()}" for field in fields}


def _as_sql(column: pa.ChunkedArray) -> list[str]:
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return [_null_or(value, lambda v: quoted(str(v))) for value in column.to_pylist()]
    if isinstance(kind, pa.BaseExtensionType):
        return [_null_or(value, quoted) for value in column.cast(kind.storage_type).to_pylist()]
    if pa.types.is_date32(kind):
        return [_null_or(v, lambda n: f"date '1970-01-01' + {n}") for v in column.cast(pa.int32()).to_pylist()]
    if pa.types.is_timestamp(kind):
        zero = "timestamptz '1970-01-01 00:00:00+00'" if kind.tz else "timestamp '1970-01-01'"
        points = column.cast(pa.int64()).to_pylist()
        return [_null_or(v, lambda n: f"{zero} + interval '{n} microseconds'") for v in points]
    if pa.types.is_binary(kind):
        return [_null_or(value, lambda v: f"'\\x{v.hex()}'") for value in column.to_pylist()]
    return [
        _null_or(value, lambda v: quoted(repr(v) if isinstance(v, float) else str(v))) for value in column.to_pylist()
    ]


def _null_or(value: Any, sql: Any) -> str:
    return "NULL" if value is None else str(sql(value))
