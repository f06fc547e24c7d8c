"""Maps archived columns to PostgreSQL columns, for rows that are sent directly or through a stage table.

The driver sends each Arrow type in the binary form of one PostgreSQL type. If this type is the column's type, rows are
copied directly into the table. Columns that were archived as text, or have values in `_nightshift_exact`, are copied
into a temporary stage table first; the type's input function then converts the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from nightshift.database.catalog import quote_identifier, quote_literal
from nightshift.database.search_path import HANDED_OVER
from nightshift.database.values import input_of, output_of
from nightshift.rows.reader import ArchivedColumn, ArchiveFile
from nightshift.rows.reserved_names import EXACT

_CARRIERS: tuple[tuple[pa.DataType, str, frozenset[str]], ...] = (
    (pa.bool_(), "boolean", frozenset({"bool"})),
    (pa.int16(), "smallint", frozenset({"int2"})),
    (pa.int32(), "integer", frozenset({"int4"})),
    (pa.int64(), "bigint", frozenset({"int8"})),
    (pa.float32(), "real", frozenset({"float4"})),
    (pa.float64(), "double precision", frozenset({"float8"})),
    (pa.string(), "text", frozenset({"text", "varchar", "bpchar", "name", "json"})),
    (pa.binary(), "bytea", frozenset({"bytea"})),
    (pa.uuid(), "uuid", frozenset({"uuid"})),
    (pa.date32(), "date", frozenset({"date"})),
    (pa.time64("us"), "time", frozenset({"time"})),
    (pa.timestamp("us"), "timestamp", frozenset({"timestamp"})),
    (pa.timestamp("us", "UTC"), "timestamptz", frozenset({"timestamptz"})),
    (pa.json_(), "json", frozenset({"json", "jsonb"})),
)
"""For each Arrow type: the type of the stage table's column, and the types whose binary form the driver writes."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Mapping of an archived column to a table column.

    Attributes:
        base_type: base type of the table's column.
        cast: the archived type, to which the value is converted; None if the value stays as the file holds it, because
            the archived type no longer exists or the column has become text.
        same: the table's column still has the archived type.
        declared: declared type of the table's column.
        recast: a cast from text to `cast` does not call the type's input function.
    """

    source: ArchivedColumn
    target: str
    base_type: str
    cast: str | None
    same: bool
    declared: str
    recast: bool = False


def can_copy_directly(ways: Sequence[ColumnMapping], file: ArchiveFile) -> bool:
    """Returns whether the rows of a file can be copied into the table without a stage table."""
    return not file.exact and all(way.same and way.base_type in _carrier(way.source.arrow)[1] for way in ways)


def direct_feed(ways: Sequence[ColumnMapping], file: ArchiveFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Returns the rows with the table's column names."""
    return _feed(file, [(way.source.name, way.target) for way in ways])


def stage_feed(ways: Sequence[ColumnMapping], file: ArchiveFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Returns the rows with the stage table's column names."""
    names = [(way.source.name, f"c{number}") for number, way in enumerate(ways)]
    return _feed(file, [*names, (EXACT, EXACT)] if file.exact else names)


def stage_columns(ways: Sequence[ColumnMapping], file: ArchiveFile) -> str:
    """Returns the column definitions of a file's stage table."""
    columns = [f"c{number} {_carrier(way.source.arrow)[0]}" for number, way in enumerate(ways)]
    return ", ".join([*columns, f"{EXACT} json"] if file.exact else columns)


def stage_select(ways: Sequence[ColumnMapping], file: ArchiveFile, stage: str) -> str:
    """Returns the query that reads a stage table's rows with their original types."""
    return f"SELECT {', '.join(_read(way, number, exact=file.exact) for number, way in enumerate(ways))} FROM {stage}"


def _read(way: ColumnMapping, number: int, *, exact: bool) -> str:
    value = f"c{number}"
    exact_text = f"{EXACT} ->> {quote_literal(way.source.name)}" if exact and not way.source.is_text else None
    if way.cast is None:
        # The value becomes text: its exact text, or the text of the value in the file.
        return f"coalesce({exact_text}, CAST({value} AS text))" if exact_text else value
    read = input_of(value, way.cast, recast=way.recast and way.source.is_text)
    return f"coalesce({input_of(exact_text, way.cast, recast=way.recast)}, {read})" if exact_text else read


def _carrier(kind: pa.DataType) -> tuple[str, frozenset[str]]:
    """Returns, for an Arrow type, the type of the stage table's column and the types that can be written directly."""
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})", frozenset({"numeric"})
    return next(((stage, bases) for arrow, stage, bases in _CARRIERS if arrow == kind), ("text", frozenset()))


def _feed(file: ArchiveFile, names: Sequence[tuple[str, str]]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    places = [file.schema.get_field_index(name) for name, _ in names]
    schema = pa.schema([pa.field(new, file.schema.field(p).type) for p, (_, new) in zip(places, names, strict=True)])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in file.read_batches():
            yield pa.RecordBatch.from_arrays([batch.column(place) for place in places], schema=schema)

    return schema, batches()


def differing_rows_sql(
    table: str, ways: Sequence[ColumnMapping], file: ArchiveFile, stage: str, timestamp: str | None
) -> str:
    """Returns SQL that counts the stage table's rows that are not in the table, compared exactly in the table's types.

    Args:
        timestamp: the table's column by which the archive was sorted. The SQL reads only rows in the range of its
            values, for which an index on the column can be used.
    """
    names = [quote_identifier(way.target) for way in ways]
    as_text = ", ".join(_compared(name, way) for name, way in zip(names, ways, strict=True))
    came = f"SELECT {as_text} FROM came"
    stands = f"SELECT {as_text} FROM {table}"
    if timestamp is not None:
        column = quote_identifier(timestamp)
        stands += (
            f" WHERE {column} >= (SELECT min({column}) FROM came) AND {column} <= (SELECT max({column}) FROM came)"
        )
    read = ", ".join(
        f"CAST({_read(way, number, exact=file.exact)} AS {way.declared})" for number, way in enumerate(ways)
    )
    return (
        f"WITH came({', '.join(names)}) AS MATERIALIZED (SELECT {read} FROM {stage})"
        f" SELECT count(*) FROM ({came} EXCEPT ALL {stands}) missing WHERE {HANDED_OVER}"
    )


def _compared(name: str, way: ColumnMapping) -> str:
    """Returns SQL for the form in which a value is compared: its text, byte by byte, regardless of the collation.

    Values of type bytea are compared directly: their text is twice as long and may exceed PostgreSQL's 1 GB.
    """
    return name if way.base_type == "bytea" else f'({output_of(name)}) COLLATE "C"'


def insert_sql(table: str, ways: Sequence[ColumnMapping], select: str, *, ignore_existing: bool) -> str:
    """Returns SQL that inserts a query's rows and yields the number of inserted rows."""
    columns = ", ".join(quote_identifier(way.target) for way in ways)
    conflict = " ON CONFLICT DO NOTHING" if ignore_existing else ""
    return (
        f"WITH added AS (INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE {select}{conflict} RETURNING 1)"
        f" SELECT count(*) FROM added WHERE {HANDED_OVER}"
    )
