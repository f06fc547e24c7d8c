"""Streams rows out of and into PostgreSQL by binary COPY, which ADBC's driver translates to and from Arrow in C.

The driver turns every statement that returns rows into a `COPY (…) TO STDOUT`, `DELETE … RETURNING` included (legal
since PostgreSQL 9.6). COPY takes no bind parameters, so statements arrive with quoted identifiers and literals
(`database.catalog`). Autocommit is off: under it a client that fails half-way through a stream would have deleted rows
that nobody holds. After any error the connection is closed, not reused, and the server undoes the transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
from adbc_driver_postgresql import StatementOptions, dbapi

from nightshift.database import search_path
from nightshift.database.session_start import DURABLE, MEANING, UNLIMITED, settings_sql
from nightshift.database.sqlstates import first_line, is_about_rows, server_hint
from nightshift.database.url import DatabaseTarget
from nightshift.errors import DatabaseUnavailable
from nightshift.rows.postgres_errors import is_in_function, line_of, translate_error
from nightshift.rows.row_connection import ConnectionLost, TransactionLimits

SESSION = {
    **UNLIMITED,
    # What PostgreSQL prints as text must be the same on every server, and lossless. What it reads as text, too: without
    # `array_nulls` a null in an array would become the word.
    **MEANING,
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    # A policy that would hide rows raises an error instead.
    "row_security": "off",
    # Compiling a plan costs more than it saves on statements that only scan.
    "jit": "off",
    # An interval of time is always a small part of the table, whatever stale statistics say.
    "enable_seqscan": "off",
    "search_path": search_path.PINNED,
}

_AT_LOGIN = f"-c search_path={search_path.PINNED.replace(' ', '')} -c quote_all_identifiers=off"
_OPTIONS_REFUSED = re.compile("startup parameter|command-line option", re.IGNORECASE)
"""In the words of PgBouncer, or of Amazon's proxy."""

BATCH_BYTES = 4 << 20
"""Arrow batches of this size: small enough that a chunk's limit is noticed soon, large enough to cost nothing."""

_DRIVER_ERRORS = (dbapi.Error, pa.ArrowException, OSError)
"""Forms of the server's errors: through DBAPI, or through Arrow's C stream, whose numbers pyarrow maps to its own."""

_UNKNOWN_OUTCOME = "40003"


class PostgresConnection:
    """One data connection; see `rows.row_connection.RowConnection`."""

    def __init__(self, target: DatabaseTarget) -> None:
        """Connect; raises `DatabaseUnavailable` where the server cannot be reached or refuses the login."""
        self.healthy = True
        self._handed_over = False
        try:
            self._connection = open_connection(target)
            path = {} if target.search_path is None else {search_path.ROLES_PATH: target.search_path}
            self._set(SESSION | path)
            # English messages, where we may choose: see `_SAID`. Only a superuser may, so a refusal is no news.
            with suppress(dbapi.Error):
                self._set({"lc_messages": "C"})
            self._rollback()
        except dbapi.Error as exc:
            raise DatabaseUnavailable(
                "a data connection could not be opened",
                detail=f"{target.host}:{target.port}/{target.database}: {_message(exc)}",
                hint=server_hint(exc.sqlstate, _message(exc))
                or "check DATABASE_URL and that the server has connections to spare",
            ) from None

    def _set(self, settings: Mapping[str, str]) -> None:
        """Set parameters for the session, in one round trip. Committed: a rollback would undo them."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT {DURABLE}, {settings_sql(settings)}")
            cursor.fetchall()
        self._connection.commit()

    @contextmanager
    def transaction(self, bounds: TransactionLimits) -> Iterator[None]:
        self._handed_over = False
        budget = f"{max(1, min(bounds.seconds, 2_000_000) * 1000):.0f}ms"
        try:
            self.execute(
                f"SELECT length(set_config('statement_timeout', '{budget}', true)"
                f" || set_config('idle_in_transaction_session_timeout', '{budget}', true)"
                f" || set_config('lock_timeout', '{bounds.lock_seconds * 1000:.0f}ms', true))"
            )
            yield
        finally:
            self._rollback()

    def stream_rows(self, statement: str, bounds: TransactionLimits) -> Iterator[pa.RecordBatch]:
        size = 0
        with self._connection.cursor() as cursor, _translated_errors():
            cursor.adbc_statement.set_options(**{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)})
            cursor.execute(statement)
            for batch in cursor.fetch_record_batch():
                size += batch.nbytes
                bounds.check(size)
                yield batch
        self._take_path_back(statement)

    def read_table(self, statement: str, bounds: TransactionLimits) -> pa.Table:
        batches = list(self.stream_rows(statement, bounds))
        return pa.Table.from_batches(batches) if batches else pa.table({})

    def load_rows(
        self,
        schema: str,
        table: str,
        form: pa.Schema,
        batches: Iterator[pa.RecordBatch],
        bounds: TransactionLimits,
        *,
        hand_over: bool = False,
    ) -> int:
        """Put rows into a table by `COPY … FROM STDIN (FORMAT binary)`, encoded from Arrow in C.

        Args:
            schema, table: exact names; `pg_temp` for the session's own tables.
            form: of the batches; its field names are the columns to fill.
            hand_over: the table's own defaults and constraints may rely on the role's search_path.

        Returns the number of rows that the server took. Raises whatever `batches` raises, too.
        """
        raised: list[BaseException] = []

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    bounds.check()
                    yield batch
            except BaseException as exc:
                raised.append(exc)  # the driver passes on its text at most
                raise

        if hand_over:
            self.execute(search_path.HAND_OVER)
        try:
            with self._connection.cursor() as cursor:
                reader = pa.RecordBatchReader.from_batches(form, watched())
                loaded = int(cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema))
        except _DRIVER_ERRORS as exc:
            if raised:
                raise raised[0] from None
            raise translate_error(exc) from exc
        if hand_over:
            self._take_path_back(search_path.HANDED_OVER)
        return loaded

    def execute(self, statement: str) -> int:
        with _translated_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement)
            row: Any = cursor.fetchone()
            answer = int(row[0])
        self._take_path_back(statement)
        return answer

    def run_statement(self, statement: str) -> None:
        if search_path.is_definition(statement):
            self.execute(search_path.OPEN_TO_EVENT_TRIGGERS)
        with _translated_errors(), self._connection.cursor() as cursor:
            cursor.execute(statement)
        self._take_path_back(statement)

    def _take_path_back(self, statement: str) -> None:
        """After a statement that ran by the role's own search_path, ours holds again; see `database.search_path`."""
        self._handed_over |= search_path.HANDED_OVER in statement
        if search_path.is_handed_over(statement):
            self.execute(search_path.TAKEN_BACK)

    def commit(self) -> None:
        if self._handed_over:
            # For what the statement has left for COMMIT to call.
            self.execute(search_path.HAND_OVER)
        try:
            self._connection.commit()
        except _DRIVER_ERRORS as exc:
            state = getattr(exc, "sqlstate", None)
            if state and state != _UNKNOWN_OUTCOME and is_about_rows(state, in_function=is_in_function(str(exc))):
                # A constraint or a trigger that is due last. The server said no: the outcome is known.
                raise translate_error(exc) from exc
            self.healthy = False
            raise ConnectionLost("the answer to COMMIT was not success", detail=line_of(exc)) from exc

    def close(self) -> None:
        with suppress(Exception):
            self._connection.close()

    def _rollback(self) -> None:
        """Undo. Where even that fails the connection is gone, and the server has undone it by itself."""
        try:
            self._connection.rollback()
        except _DRIVER_ERRORS:
            self.healthy = False


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except _DRIVER_ERRORS as exc:
        raise translate_error(exc) from exc


def _message(exc: dbapi.Error) -> str:
    """The server's own message, without libpq's text on the address before it."""
    line = first_line(str(exc)).rpartition("failed: ")[2].strip()
    return f"{line} (SQLSTATE {exc.sqlstate})" if exc.sqlstate else line or type(exc).__name__


def open_connection(target: DatabaseTarget) -> dbapi.Connection:
    """A connection whose driver knows the types by their names.

    It asks for these as it connects, by operators and functions without a schema, and where every name comes quoted
    (`quote_all_identifiers`) it knows none. So the session is told at log-in. Some pools and proxies refuse to be told
    anything there: `database.session_start` has seen that behind one of them nothing can be taken for PostgreSQL's own.
    """
    try:
        return dbapi.connect(target.libpq_uri(options=_AT_LOGIN), autocommit=False)
    except dbapi.Error as exc:
        if not _OPTIONS_REFUSED.search(str(exc)):
            raise
    return dbapi.connect(target.libpq_uri(), autocommit=False)
