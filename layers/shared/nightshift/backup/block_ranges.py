"""Splits a table into page ranges that several connections read at once.

An update writes a new version of a row to another place, and the snapshot does not see the new version. Each row of the
snapshot is therefore in exactly one range, whatever other sessions write in the meantime.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nightshift.backup.database_inventory import SourceTable
from nightshift.backup.digest import HASH, computed_hash, row_hash
from nightshift.backup.snapshot import TID_RANGE_SCANS
from nightshift.database.catalog import quote_identifier
from nightshift.rows.columns import ColumnEncoding, carry_as_text, encode_column, select_list
from nightshift.rows.reserved_names import EXACT

BLOCKS_PER_RANGE = 8192
"""Pages in a range: 64 MB. The ranges are small enough that all connections finish at about the same time."""


@dataclass(frozen=True, slots=True)
class BlockRange:
    """A range of a table's pages.

    Attributes:
        first: the first page; None: the beginning of the table.
        end: the page after the last page; None: the end of the table, even if the table has grown.
    """

    source: SourceTable
    first: int | None = None
    end: int | None = None

    def select_sql(self, carried: Sequence[ColumnEncoding]) -> str:
        """Returns the query that reads each row's columns, then the row's hash, then the generated columns' hashes."""
        fetched = [select_list(carried)] if carried else []
        columns = [column.name for column in self.source.columns]
        computed = [column.name for column in self.source.computed]
        hashed = f"{row_hash(columns)} AS {HASH}"
        bounds = [f"ctid >= '({self.first},0)'"] if self.first is not None else []
        bounds += [f"ctid < '({self.end},0)'"] if self.end is not None else []
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        source = f"FROM ONLY {self.source.name.sql}{where}"
        if not computed:
            return f"SELECT {', '.join([*fetched, hashed])} {source}"
        # OFFSET prevents the server from repeating the expression of the row's hash for each generated column.
        inner = f"SELECT {', '.join([*map(quote_identifier, [*columns, *computed]), hashed])} {source} OFFSET 0"
        sums = [f"{computed_hash(name)} AS {HASH}_{place}" for place, name in enumerate(computed)]
        return f"SELECT {', '.join([*fetched, HASH, *sums])} FROM ({inner}) hashed"


def split_into_ranges(source: SourceTable, version: int) -> list[BlockRange]:
    """Returns a table's ranges. A server without TID range scans gets one range: it reads the whole table for each."""
    if source.blocks is None or source.blocks <= BLOCKS_PER_RANGE or version < TID_RANGE_SCANS:
        return [BlockRange(source)]
    starts = [*range(0, source.blocks, BLOCKS_PER_RANGE)]
    ends: list[int | None] = [*starts[1:], None]
    return [BlockRange(source, first, end) for first, end in zip(starts, ends, strict=True)]


def largest_first(sources: Sequence[SourceTable]) -> Iterator[SourceTable]:
    """Yields tables in the order of saving: the largest group of related tables first, to keep all connections busy.
    Related tables follow each other, so that a deadline rarely separates them.
    """
    families: dict[int, list[SourceTable]] = {}
    for source in sources:
        families.setdefault(source.kin, []).append(source)
    for family in sorted(families.values(), key=lambda tables: -sum(table.bytes for table in tables)):
        yield from sorted(family, key=lambda table: (-table.bytes, table.name.label))


def column_encodings(source: SourceTable) -> tuple[ColumnEncoding, ...]:
    """Returns the encoding of each column: the archive's rules, except for column names that Parquet cannot have."""
    names = [(column, name_in_file(column.name)) for column in source.columns]
    return tuple(encode_column(c) if name == c.name else carry_as_text(c, name) for c, name in names)


def name_in_file(column: str) -> str:
    """Returns a column's name in Parquet. A name that the format reserves (`_nightshift_exact`) gets a `_` appended."""
    return f"{column}_" if column.rstrip("_") == EXACT else column
