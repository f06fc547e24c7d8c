"""Maps each PostgreSQL type to an Arrow and Parquet type that holds all its values, or else to text.

The text is the output of the type's output function (`database.values`), not of a cast.

`encode_column` chooses the type. A type that it does not name is stored as text. Some types have a few values that the
Arrow type cannot hold (`infinity`, years after 294246, `24:00`, `NaN` in a numeric). In the typed column such a value
is null. The row's `_nightshift_exact` column then holds its exact text, in a JSON object by column name. Only files
with such values have this column. Ordinary queries therefore see proper types, and a restore finds every value.

`jsonb` becomes Parquet's JSON, but `json` becomes text: PostgreSQL accepts half a surrogate pair in `json`, and readers
that validate (DuckDB) refuse the whole column.

The declared type of every column is written into the Parquet schema's field metadata (`nightshift.type`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from nightshift.database.catalog import TableColumn, quote_identifier, quote_literal
from nightshift.database.values import output_of
from nightshift.errors import NightshiftError
from nightshift.rows.reserved_names import EXACT, TYPE_KEY

MAX_DIGITS = 38
"""Largest number of digits of a 128-bit decimal."""

_AS_IS = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar", "bytea", "uuid", "jsonb"}
    | {"date", "time", "timestamp", "timestamptz"}
)
"""Types that ADBC's driver reads into Arrow without loss (tested with driver 1.13 on PostgreSQL 16 and 18)."""

_PAIRS_A_CALL = 50
"""Largest number of key-value pairs per function call; PostgreSQL's default limit is 100 arguments."""

_FITS = {
    "date": "isfinite({0})",
    "time": "{0} < '24:00'",
    # Microseconds since 1970 in 64 bits end in the year 294247, PostgreSQL's since 2000 reach 294276.
    "timestamp": "{0} > '-infinity' AND {0} < '294246-01-01'",
    "timestamptz": "{0} > '-infinity' AND {0} < '294246-01-01 00:00:00+00'",
    "numeric": "{0} <> 'NaN'",
}
"""SQL condition under which a value fits its typed column; values of other types always fit."""


_MARKS = {"json": "\tas text"}
"""Marks in the fingerprint of columns whose declared type older files store in another form."""


@dataclass(frozen=True, slots=True)
class ColumnEncoding:
    """Encoding of one column in Arrow.

    Attributes:
        select: SQL expression that fetches the column.
        cast: Arrow type to which the fetched text is converted; None if the fetched value is kept.
        fits: SQL condition under which the typed column can hold the value; None if it always can.
    """

    column: TableColumn
    select: str
    cast: pa.DataType | None = None
    fits: str | None = None


def encode_column(column: TableColumn, *, always_fits: bool = False) -> ColumnEncoding:
    """Decide the encoding of a column.

    Args:
        always_fits: the caller's condition excludes values that do not fit, as for the policy's timestamp column.
    """
    name = quote_identifier(column.name)
    base = column.base_type
    if base == "numeric" and (decimal := _decimal(column)) is not None:
        fits = _FITS["numeric"].format(name)
        return ColumnEncoding(column, _printed_if(fits, name), decimal, fits)
    if base == "json":
        return ColumnEncoding(column, name, pa.string())
    if base not in _AS_IS:
        return carry_as_text(column)
    if base not in _FITS or always_fits:
        return ColumnEncoding(column, name)
    fits = _FITS[base].format(name)
    return ColumnEncoding(column, f"CASE WHEN {fits} THEN {name} END", fits=fits)


def carry_as_text(column: TableColumn, name: str | None = None) -> ColumnEncoding:
    """Returns the encoding of a column of any type as text; `name` is the name in the file, None for the own name."""
    known_as = column if name is None else replace(column, name=name)
    return ColumnEncoding(known_as, output_of(quote_identifier(column.name)))


def _printed_if(condition: str, name: str) -> str:
    """Returns SQL for a value's text if a condition is true, else NULL; the condition must not be true for NULL."""
    return f"CASE WHEN {condition} THEN pg_catalog.concat({name}) END"


def _decimal(column: TableColumn) -> pa.DataType | None:
    """Returns the decimal type for a `numeric(p, s)`; None for too many digits, a negative scale or no limits."""
    precision, scale = column.precision, column.scale
    if precision is None or scale is None or not 0 <= scale <= precision <= MAX_DIGITS:
        return None
    return pa.decimal128(precision, scale)


def select_list(carried: Sequence[ColumnEncoding]) -> str:
    """Returns the SQL list that fetches all columns, and `_nightshift_exact` last if a column may need it."""
    parts = [f"{c.select} AS {quote_identifier(c.column.name)}" for c in carried]
    risky = [c for c in carried if c.fits]
    if risky:
        misfits = " OR ".join(f"NOT ({c.fits})" for c in risky)
        pairs = [
            f"{quote_literal(c.column.name)}, {_printed_if(f'NOT ({c.fits})', quote_identifier(c.column.name))}"
            for c in risky
        ]
        objects = " || ".join(
            f"jsonb_build_object({', '.join(pairs[start : start + _PAIRS_A_CALL])})"
            for start in range(0, len(pairs), _PAIRS_A_CALL)
        )
        parts.append(f"CASE WHEN {misfits} THEN jsonb_strip_nulls({objects})::text END AS {EXACT}")
    return ", ".join(parts)


def count_non_empty(rows: pa.Table, name: str) -> int:
    """Returns the number of rows with non-empty text in a column."""
    return int(pc.sum(pc.not_equal(rows.column(name).cast(pa.string()), "")).as_py() or 0)


def apply_types(table: pa.Table, carried: Sequence[ColumnEncoding]) -> pa.Table:
    """Convert a fetched table to its final types, and store the database type in every field's metadata.

    Raises `NightshiftError` if a value does not fit; the caller must then roll back.
    """
    arrays, fields = [], []
    try:
        for index, way in enumerate(carried):
            array = table.column(index)
            if way.cast is not None:
                array = pc.cast(array, way.cast)
            if isinstance(array.type, pa.OpaqueType):
                raise NightshiftError("a column came in a form that nobody can read back", detail=way.column.name)
            arrays.append(array)
            fields.append(pa.field(way.column.name, array.type, metadata={TYPE_KEY: way.column.type_name.encode()}))
        if table.num_columns > len(carried):
            exact = table.column(len(carried))
            if exact.null_count < len(exact):
                arrays.append(exact)
                fields.append(pa.field(EXACT, exact.type))
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    except pa.ArrowException as exc:
        raise NightshiftError("a column cannot be carried into Parquet", detail=str(exc).splitlines()[0][:200]) from exc


def fingerprint_rows(columns: Sequence[TableColumn]) -> str:
    """Returns the SHA-256 of the columns' names and declared types, in order.

    Files with equal fingerprints also have equal Arrow types: a mark distinguishes `json` columns from those of files
    that were written before November 2026, which stored `json` as Parquet's JSON.
    """
    lines = "\n".join(f"{c.name}\t{c.type_name}{_MARKS.get(c.base_type, '')}" for c in columns)
    return hashlib.sha256(lines.encode()).hexdigest()


def exact_sum(numbers: pa.Array) -> int:
    """Returns the sum of 64-bit integers without nulls; the halves are summed separately, as Arrow's sum may overflow.

    The sum is exact for up to 2^31 integers.
    """
    low = pc.sum(pc.bit_wise_and(numbers, 0xFFFF_FFFF)).as_py() or 0
    high = pc.sum(pc.shift_right(numbers, 32)).as_py() or 0
    return int((high << 32) + low)
