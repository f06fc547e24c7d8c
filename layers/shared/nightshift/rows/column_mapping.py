"""Maps archived columns to PostgreSQL columns: sent directly, or through a stage table and a cast.

The driver sends each Arrow type in the binary form of one PostgreSQL type. Where that is the column's own type, rows go
straight into the table. Columns that were archived as text, or have values in `_nightshift_exact`, go into a temporary
table of carrier types first, and from there through the type's own input function.
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
"""Arrow type, the type of a stage's column for it, and the types whose binary form the driver writes for it."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Mapping of one archived column to one table column.

    Attributes:
        base_type: of the table's column.
        cast: the type to read the value as, as it was archived; None: as it is carried, for that type exists no longer
            or the column has become text.
        same: the table's column still has the archived type.
        declared: the table's column's type.
        recast: a cast from text to `cast` is another function than the type's input.
    """

    source: ArchivedColumn
    target: str
    base_type: str
    cast: str | None
    same: bool
    declared: str
    recast: bool = False


def can_copy_directly(ways: Sequence[ColumnMapping], file: ArchiveFile) -> bool:
    """Returns whether the rows of a file can go into the table as they are."""
    return not file.exact and all(way.same and way.base_type in _carrier(way.source.arrow)[1] for way in ways)


def direct_feed(ways: Sequence[ColumnMapping], file: ArchiveFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The rows under the table's column names."""
    return _feed(file, [(way.source.name, way.target) for way in ways])


def stage_feed(ways: Sequence[ColumnMapping], file: ArchiveFile) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The rows under a stage's column names."""
    names = [(way.source.name, f"c{number}") for number, way in enumerate(ways)]
    return _feed(file, [*names, (EXACT, EXACT)] if file.exact else names)


def stage_columns(ways: Sequence[ColumnMapping], file: ArchiveFile) -> str:
    """The column definitions of a file's stage."""
    columns = [f"c{number} {_carrier(way.source.arrow)[0]}" for number, way in enumerate(ways)]
    return ", ".join([*columns, f"{EXACT} json"] if file.exact else columns)


def stage_select(ways: Sequence[ColumnMapping], file: ArchiveFile, stage: str) -> str:
    """The query that reads a stage's rows with their original types."""
    return f"SELECT {', '.join(_read(way, number, exact=file.exact) for number, way in enumerate(ways))} FROM {stage}"


def _read(way: ColumnMapping, number: int, *, exact: bool) -> str:
    value = f"c{number}"
    exact_text = f"{EXACT} ->> {quote_literal(way.source.name)}" if exact and not way.source.is_text else None
    if way.cast is None:
        # What the value was is text now: its own, or that of what carries it.
        return f"coalesce({exact_text}, CAST({value} AS text))" if exact_text else value
    read = input_of(value, way.cast, recast=way.recast and way.source.is_text)
    return f"coalesce({input_of(exact_text, way.cast, recast=way.recast)}, {read})" if exact_text else read


def _carrier(kind: pa.DataType) -> tuple[str, frozenset[str]]:
    """The stage's type and the directly writable types of an Arrow type."""
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
    """SQL that counts the rows of a stage that are not in the table, compared exactly in the table's own types.

    Args:
        timestamp: the table's name of the column that the archive was sorted by; rows that are equal are equal there
            too, so an index on it saves reading the whole table.
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
    """A value as it is compared: to the letter, whatever its column's collation takes for equal.

    Bytes are compared as they are: their text is twice as long, and PostgreSQL has none of more than 1 GB.
    """
    return name if way.base_type == "bytea" else f'({output_of(name)}) COLLATE "C"'


def insert_sql(table: str, ways: Sequence[ColumnMapping], select: str, *, ignore_existing: bool) -> str:
    """SQL that inserts a query's rows and yields how many went in."""
    columns = ", ".join(quote_identifier(way.target) for way in ways)
    conflict = " ON CONFLICT DO NOTHING" if ignore_existing else ""
    return (
        f"WITH added AS (INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE {select}{conflict} RETURNING 1)"
        f" SELECT count(*) FROM added WHERE {HANDED_OVER}"
    )
