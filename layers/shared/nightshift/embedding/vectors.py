"""Formats vectors for a column, by the column's type.

| column | holds |
|---|---|
| pgvector's `vector`, `halfvec` | itself |
| `bytea`, BLOB | little-endian `float32`, four bytes a number |
| `json`, `jsonb`, `text`, TEXT | a JSON array |
| `real[]`, `double precision[]` | itself |

A `float32` needs nine digits to be read back exactly.
"""

from __future__ import annotations

import re
import sys
from array import array
from enum import StrEnum

from nightshift.database.catalog import TableColumn

_SIZED = re.compile(r"^(.*(?:vector|halfvec)\"?)\((\d+)\)$")


class VectorFormat(StrEnum):
    """Format of a vector in a column."""

    VECTOR = "vector"
    BYTES = "bytes"
    JSON = "json"
    ARRAY = "array"


def form_of(column: TableColumn, *, postgresql: bool) -> VectorFormat | None:
    """Returns the format of vectors in a column; None if it cannot hold any."""
    if not postgresql:
        if column.type_name.upper() in ("JSON", "JSONB"):
            return VectorFormat.JSON
        return {"blob": VectorFormat.BYTES, "text": VectorFormat.JSON}.get(column.base_type)
    match column.base_type.rpartition(".")[2]:
        case "vector" | "halfvec":
            return VectorFormat.VECTOR
        case "bytea":
            return VectorFormat.BYTES
        case "json" | "jsonb" | "text" | "varchar":
            return VectorFormat.JSON
        case "_float4" | "_float8":
            return VectorFormat.ARRAY
    return None


def declared_dimension(type_name: str) -> int | None:
    """The only dimension that a column of this type takes; None: it takes any."""
    match = _SIZED.match(type_name)
    return int(match.group(2)) if match else None


def with_dimension(type_name: str, dimension: int) -> str:
    """The type, for vectors of another dimension; types that take any stay as they are."""
    match = _SIZED.match(type_name)
    return f"{match.group(1)}({dimension})" if match else type_name


def as_text(vector: array[float], form: VectorFormat) -> str:
    """The vector as a text that PostgreSQL casts, or decodes from hexadecimal digits, to the column's type."""
    if form is VectorFormat.BYTES:
        return as_bytes(vector).hex()
    numbers = ("%.9g," * len(vector))[:-1] % tuple(vector)
    return f"{{{numbers}}}" if form is VectorFormat.ARRAY else f"[{numbers}]"


def as_bytes(vector: array[float]) -> bytes:
    """The vector as little-endian `float32`."""
    if sys.byteorder == "big":
        vector = vector[:]
        vector.byteswap()
    return vector.tobytes()
