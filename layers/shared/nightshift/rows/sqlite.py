"""Reads rows from SQLite, and inserts archived rows.

SQLite serves small services and local runs, so the standard library's driver is fast enough. In SQLite every value has
its own type, which only this driver reports. The Arrow type of a column follows from the column's affinity. A value of
another storage class is null in the typed column, and `_nightshift_exact` holds its SQL literal (see `rows.columns`).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from nightshift.database.catalog import TableColumn, quote_identifier
from nightshift.database.connect import open_sqlite
from nightshift.errors import NightshiftError
from nightshift.rows.reader import ArchiveFile
from nightshift.rows.reserved_names import EXACT, TYPE_KEY
from nightshift.rows.row_connection import RowsLocked, StatementRefused, TransactionLimits

_ARROW = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "blob": pa.binary(),
    "numeric": pa.float64(),
}
_HOLDS = {"integer": int, "real": float, "text": str, "blob": bytes, "numeric": float}
_EXACT_IN_DOUBLE = 1 << 53
_FETCH = 2048


def select_list(columns: Sequence[TableColumn]) -> str:
    """Returns the SQL list that fetches all columns."""
    return ", ".join(quote_identifier(column.name) for column in columns)


class SqliteConnection:
    """A connection for row data in SQLite; see `rows.row_connection.RowConnection`."""

    healthy = True

    def __init__(self, path: str, columns: Sequence[TableColumn]) -> None:
        self._connection = open_sqlite(path)
        # Text that is not UTF-8 must not raise an error: it is read as bytes, without loss.
        self._connection.text_factory = _decode
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._columns = columns

    @contextmanager
    def transaction(self, bounds: TransactionLimits) -> Iterator[None]:
        """See `rows.row_connection.RowConnection.transaction`; takes the write lock at the beginning."""
        self._connection.execute(f"PRAGMA busy_timeout = {bounds.lock_seconds * 1000:.0f}")
        try:
            self._run("BEGIN IMMEDIATE")
            yield
        finally:
            with suppress(sqlite3.Error):
                self._connection.rollback()

    def stream_rows(self, statement: str, bounds: TransactionLimits) -> Iterator[pa.RecordBatch]:
        size = 0
        cursor = self._run(statement)
        while rows := cursor.fetchmany(_FETCH):
            batch = _to_arrow(rows, self._columns)
            size += batch.nbytes
            bounds.check(size)
            yield batch

    def read_table(self, statement: str, bounds: TransactionLimits) -> pa.Table:
        batches = list(self.stream_rows(statement, bounds))
        table = pa.Table.from_batches(batches) if batches else pa.table({})
        if EXACT in table.column_names and table.column(EXACT).null_count == table.num_rows:
            table = table.drop_columns([EXACT])
        return table

    def insert_rows(self, table: str, columns: Mapping[str, str], file: ArchiveFile, bounds: TransactionLimits) -> int:
        """Insert archived rows into a table, except rows whose keys the table already has.

        Args:
            table: the table's name, quoted for SQL.
            columns: the table's column name by archived name.

        Returns:
            the number of inserted rows.
        """
        names = ", ".join(quote_identifier(name) for name in columns.values())
        added = 0
        for batch in file.read_batches():
            bounds.check()
            for places, rows in _to_sqlite(batch, list(columns)):
                statement = f"INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING"
                added += self._run_many(statement, rows)
        return added

    def count_missing(self, table: str, columns: Mapping[str, str], file: ArchiveFile) -> int:
        """Returns the number of archived rows that a table lacks with these values; arguments as for `insert_rows`."""
        missing = 0
        for batch in file.read_batches():
            for places, rows in _to_sqlite(batch, list(columns)):
                pairs = zip(columns.values(), places.split(", "), strict=True)
                same = " AND ".join(f"{quote_identifier(name)} IS {place} COLLATE BINARY" for name, place in pairs)
                statement = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {same} LIMIT 1)"
                missing += sum(not self._connection.execute(statement, row).fetchone()[0] for row in rows)
        return missing

    def execute(self, statement: str) -> int:
        """See `rows.row_connection.RowConnection.execute`; for a change of rows, returns the number of changed rows."""
        cursor = self._run(statement)
        row = cursor.fetchone() if cursor.description else None
        return int(row[0]) if row else cursor.rowcount

    def run_statement(self, statement: str) -> None:
        self._run(statement)

    def commit(self) -> None:
        """See `rows.row_connection.RowConnection.commit`; SQLite never leaves the outcome unknown."""
        try:
            self._run("COMMIT")
        except NightshiftError:
            # If a deferred foreign key refuses the COMMIT, SQLite keeps the transaction open, with its lock.
            self._connection.rollback()
            raise

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()

    def _run(self, statement: str) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement)
        except sqlite3.OperationalError as exc:
            raise _operational(exc) from exc
        except sqlite3.IntegrityError as exc:
            refused = StatementRefused("the database refused a statement", detail=str(exc))
            if exc.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
                refused.message = "rows that are due are still referenced by another table"
                refused.hint = "archive the referencing table first, with a retention that is not longer"
            refused.about_rows = True
            raise refused from exc

    def _run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        try:
            return self._connection.executemany(statement, rows).rowcount
        except sqlite3.OperationalError as exc:
            raise _operational(exc) from exc
        except sqlite3.IntegrityError as exc:
            raise StatementRefused(
                "an archived row breaks a constraint of the table",
                detail=str(exc),
                hint="restore what it references first, or restore into a table of its own"
                if exc.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
                else "restore into a table of its own (leave out --into-original), or change the constraint",
            ) from exc


def _operational(exc: sqlite3.OperationalError) -> NightshiftError:
    if "locked" in str(exc) or "busy" in str(exc):
        return RowsLocked("the SQLite database is locked by somebody else", detail=str(exc))
    return NightshiftError("the database refused a statement", detail=str(exc))


def _to_sqlite(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    """Yields placeholders and the rows of SQLite values for these placeholders: all rows at once, unless the batch has
    exact literals."""
    plain = ", ".join("?" * len(names))
    values = list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))
    if EXACT not in batch.schema.names:
        yield plain, list(values)
        return
    for row, exact in zip(values, batch.column(EXACT).to_pylist(), strict=True):
        given, places = list(row), ["?"] * len(names)
        for name, literal in json.loads(exact or "{}").items():
            if name in names:
                place = names.index(name)
                given[place] = _value(literal)
                if literal.startswith("CAST"):
                    places[place] = "CAST(? AS TEXT)"
        yield ", ".join(places), [given]


_LITERAL = re.compile(r"(?P<cast>CAST\()?x'(?P<hex>[0-9a-f]*)'(?(cast) AS TEXT\))|'(?P<text>(?:[^']|'')*)'", re.DOTALL)


def _value(literal: str) -> int | float | str | bytes:
    """Returns the value of a literal that `_literal` wrote."""
    if match := _LITERAL.fullmatch(literal):
        text = match["text"]
        return bytes.fromhex(match["hex"]) if text is None else text.replace("''", "'")
    return int(literal) if literal.lstrip("-").isdigit() else float(literal)


def _to_arrow(rows: Sequence[tuple[Any, ...]], columns: Sequence[TableColumn]) -> pa.RecordBatch:
    arrays, fields = [], []
    misfits: dict[int, dict[str, str]] = {}
    for column, fetched in zip(columns, zip(*rows, strict=True), strict=True):
        holds = _HOLDS[column.base_type]
        values = [_as_double(value) for value in fetched] if column.base_type == "numeric" else fetched
        kept = [value if type(value) is holds else None for value in values]
        for number, value in enumerate(values):
            if value is not None and kept[number] is None:
                misfits.setdefault(number, {})[column.name] = _literal(value)
        arrays.append(pa.array(kept, _ARROW[column.base_type]))
        fields.append(pa.field(column.name, arrays[-1].type, metadata={TYPE_KEY: column.type_name.encode()}))
    exact = [json.dumps(misfits[n], ensure_ascii=False) if n in misfits else None for n in range(len(rows))]
    arrays.append(pa.array(exact, pa.string()))
    fields.append(pa.field(EXACT, pa.string()))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _as_double(value: Any) -> Any:
    """Returns an integer that a double can hold as a float, because NUMERIC affinity stores 10.0 as the integer 10."""
    return float(value) if type(value) is int and abs(value) <= _EXACT_IN_DOUBLE else value


class _UndecodableText(bytes):
    """Bytes of a value whose storage class is text but whose text is not UTF-8."""


def _literal(value: int | float | str | bytes) -> str:
    """Returns an SQL literal for a value, which keeps the value's storage class."""
    if isinstance(value, _UndecodableText):
        return f"CAST(x'{value.hex()}' AS TEXT)"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        # 17 digits are exact. Infinity has no literal, but 9e999 overflows to infinity.
        return {"inf": "9e999", "-inf": "-9e999"}.get(repr(value), repr(value))
    return str(value)


def _decode(raw: bytes) -> str | bytes:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _UndecodableText(raw)
