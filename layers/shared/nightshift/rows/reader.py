"""Reads archived files: the columns with their declared types, and the rows as Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nightshift.errors import ArchiveMismatch
from nightshift.rows.reserved_names import EXACT, TYPE_KEY

BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True)
class ArchivedColumn:
    """A column of an archived file.

    Attributes:
        type_name: the declared type in the database, e.g. `numeric(10,2)`.
        arrow: the Arrow type in the file.
    """

    name: str
    type_name: str
    arrow: pa.DataType

    @property
    def is_decimal(self) -> tuple[int, int] | None:
        """Returns precision and scale if the file stores the column as a decimal, else None."""
        return (self.arrow.precision, self.arrow.scale) if pa.types.is_decimal(self.arrow) else None

    @property
    def is_text(self) -> bool:
        """Returns whether the file stores the column as text: a text column, or a type that Arrow lacks."""
        return bool(pa.types.is_string(self.arrow))


class ArchiveFile:
    """A Parquet file of the archive in memory; methods decode the rows when they are called.

    Attributes:
        rows: the row count in the file's footer.
        columns: the columns in the table's order, without `_nightshift_exact`.
        exact: whether the file has the column `_nightshift_exact`.
        metadata: the file's key-value metadata, `nightshift.…`.
    """

    def __init__(self, body: bytes) -> None:
        """Open a file; raises `ArchiveMismatch` if the body is no Parquet file, or nightshift did not write it."""
        with _mismatch("the object is not a Parquet file"):
            self._file = pq.ParquetFile(pa.BufferReader(body))
            schema = self._file.schema_arrow
        fields = [field for field in schema if field.name != EXACT]
        if any(TYPE_KEY not in (field.metadata or {}) for field in fields):
            raise ArchiveMismatch("the Parquet file is not one of nightshift's", detail="its columns name no type")
        self.rows = int(self._file.metadata.num_rows)
        self.columns = tuple(ArchivedColumn(f.name, f.metadata[TYPE_KEY].decode(), f.type) for f in fields)
        self.exact = len(fields) < len(schema)
        self.metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        self.schema = schema

    def read_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields all rows in batches of `BATCH_ROWS`; raises `ArchiveMismatch` if a page cannot be decoded."""
        with _mismatch("rows of the object cannot be decoded"):
            yield from self._file.iter_batches(batch_size=BATCH_ROWS)

    def check_values(self) -> int:
        """Decode and validate every value of every row; returns the number of rows.

        Raises:
            ArchiveMismatch: a page cannot be decoded, or holds invalid values, e.g. text that is not UTF-8.
        """
        rows = 0
        for batch in self.read_batches():
            with _mismatch("values of the object are not valid"):
                batch.validate(full=True)
            rows += batch.num_rows
        return rows

    def largest_batch(self, column: str) -> int | None:
        """Returns an integer column's greatest value, else None; raises `ArchiveMismatch` if it cannot be decoded."""
        if not pa.types.is_integer(self.schema.field(column).type):
            return None
        with _mismatch("a column of the object cannot be decoded", detail=column):
            greatest = pc.max(self._file.read(columns=[column]).column(0)).as_py()
        return None if greatest is None else int(greatest)


@contextmanager
def _mismatch(message: str, detail: str | None = None) -> Iterator[None]:
    """Turn Arrow's exceptions into `ArchiveMismatch`; without `detail`, it has the first line of Arrow's message."""
    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        raise ArchiveMismatch(message, detail=detail or str(exc).splitlines()[0][:200]) from exc
