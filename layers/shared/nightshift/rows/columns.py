"""Maps each PostgreSQL type to an Arrow and Parquet type that carries all its values, or else to PostgreSQL's text.

The text is the one that the type's own output function prints (`database.values`): no cast stands between.

The map is explicit: a type that is not in it is carried as text on purpose. Three families are carried typed although a
few of their values do not fit (`infinity`, years past 294246, `24:00`, `NaN` in a numeric): such a value is null in
its typed column, and its exact text is in the row's `_nightshift_exact` column, a JSON object by column name.
That column exists only in files that need it. So ordinary queries see proper types, and a restore sees every value.

`json` is text, and not Parquet's JSON as `jsonb` is: PostgreSQL takes half a surrogate pair for a character there, and
readers that validate (DuckDB) refuse the whole column.

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
"""Of a 128-bit decimal."""

_AS_IS = frozenset(
    {"bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar", "bytea", "uuid", "jsonb"}
    | {"date", "time", "timestamp", "timestamptz"}
)
"""Types that ADBC's driver reads into Arrow, value for value (tried with driver 1.13 on PostgreSQL 16 and 18)."""

_PAIRS_A_CALL = 50
"""A function takes 100 arguments in PostgreSQL as it is shipped."""

_FITS = {
    "date": "isfinite({0})",
    "time": "{0} < '24:00'",
    # Microseconds since 1970 in 64 bits end in the year 294247, PostgreSQL's since 2000 reach 294276.
    "timestamp": "{0} > '-infinity' AND {0} < '294246-01-01'",
    "timestamptz": "{0} > '-infinity' AND {0} < '294246-01-01 00:00:00+00'",
    "numeric": "{0} <> 'NaN'",
}
"""Condition under which a value fits its typed column; types that are not here always fit."""


_MARKS = {"json": "\tas text"}
"""Marks that distinguish a column from one of the same declared type that older files hold in another form."""


@dataclass(frozen=True, slots=True)
class ColumnEncoding:
    """Encoding of one column in Arrow.

    Attributes:
        select: the SQL expression to fetch.
        cast: Arrow type that the fetched text becomes; None: as fetched.
        fits: SQL condition under which the typed form holds the value; None: always.
    """

    column: TableColumn
    select: str
    cast: pa.DataType | None = None
    fits: str | None = None


def encode_column(column: TableColumn, *, always_fits: bool = False) -> ColumnEncoding:
    """Decide the encoding of a column.

    Args:
        always_fits: the caller's predicate already keeps awkward values out (the policy's own timestamp).
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
    """A column as PostgreSQL's text, whatever its type; `name` is its name in the file, None: its own."""
    known_as = column if name is None else replace(column, name=name)
    return ColumnEncoding(known_as, output_of(quote_identifier(column.name)))


def _printed_if(condition: str, name: str) -> str:
    """A value's text where a condition holds that does not hold for NULL."""
    return f"CASE WHEN {condition} THEN pg_catalog.concat({name}) END"


def _decimal(column: TableColumn) -> pa.DataType | None:
    """Parquet's decimal for a `numeric(p, s)`; PostgreSQL allows more digits, negative scales, and no limits at all."""
    precision, scale = column.precision, column.scale
    if precision is None or scale is None or not 0 <= scale <= precision <= MAX_DIGITS:
        return None
    return pa.decimal128(precision, scale)


def select_list(carried: Sequence[ColumnEncoding]) -> str:
    """The SQL list that fetches all columns, `_nightshift_exact` last where a column may need it."""
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
    """Give a fetched table its final types, and every field the name of its database type.

    Raises `NightshiftError` where a value does not fit after all; the caller must roll back.
    """
    try:
        return _refine(table, carried)
    except pa.ArrowException as exc:
        raise NightshiftError("a column cannot be carried into Parquet", detail=str(exc).splitlines()[0][:200]) from exc


def _refine(table: pa.Table, carried: Sequence[ColumnEncoding]) -> pa.Table:
    arrays, fields = [], []
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


def fingerprint_rows(columns: Sequence[TableColumn]) -> str:
    """SHA-256 over names and declared types, in order: equal exactly where the tables' shapes are.

    So are the types in the files: `json`, which was Parquet's JSON until November 2026, is told apart by a mark.
    """
    lines = "\n".join(f"{c.name}\t{c.type_name}{_MARKS.get(c.base_type, '')}" for c in columns)
    return hashlib.sha256(lines.encode()).hexdigest()


def exact_sum(numbers: pa.Array) -> int:
    """The sum of 64-bit integers, none of them null; Arrow's overflows, so the halves are summed apart.

    Exact for up to 2^31 of them at a time.
    """
    low = pc.sum(pc.bit_wise_and(numbers, 0xFFFF_FFFF)).as_py() or 0
    high = pc.sum(pc.shift_right(numbers, 32)).as_py() or 0
    return int((high << 32) + low)
