"""Reads rows from PostgreSQL and writes rows to it by binary COPY; ADBC's driver converts to and from Arrow in C.

The driver runs every statement that returns rows as `COPY (…) TO STDOUT`, including `DELETE … RETURNING` (allowed since
PostgreSQL 9.6). COPY has no bind parameters, so statements contain quoted identifiers and literals
(`database.catalog`). Autocommit is off; otherwise a client that fails during a stream would lose the rows that the
statement deleted. After an error the connection is closed, not reused, and the server rolls the transaction back.
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
    # PostgreSQL must print and read text in the same way on every server, without loss. Without `array_nulls`, a null
    # in an array would become the word.
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
    # An interval of time is always a small part of the table, even if the statistics are outdated.
    "enable_seqscan": "off",
    "search_path": search_path.PINNED,
}

_AT_LOGIN = f"-c search_path={search_path.PINNED.replace(' ', '')} -c quote_all_identifiers=off"
_OPTIONS_REFUSED = re.compile("startup parameter|command-line option", re.IGNORECASE)
"""Pattern of the message with which PgBouncer or Amazon's proxy refuses options in the connection."""

BATCH_BYTES = 4 << 20
"""Size of the Arrow batches: small enough to detect a chunk's limit early, and large enough to cause no overhead."""

_DRIVER_ERRORS = (dbapi.Error, pa.ArrowException, OSError)
"""Exceptions for errors of the server: from DBAPI, or from Arrow's C stream, whose codes pyarrow maps to exceptions."""

_UNKNOWN_OUTCOME = "40003"


class PostgresConnection:
    """A connection for row data in PostgreSQL; see `rows.row_connection.RowConnection`."""

    def __init__(self, target: DatabaseTarget) -> None:
        """Connect; raises `DatabaseUnavailable` if the server cannot be reached or refuses the login."""
        self.healthy = True
        self._handed_over = False
        try:
            self._connection = open_connection(target)
            path = {} if target.search_path is None else {search_path.ROLES_PATH: target.search_path}
            self._set(SESSION | path)
            # `postgres_errors._SAID` needs English messages. Only a superuser may set them, so a refusal is ignored.
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
        """Set parameters for the session in one round trip, and commit, because a rollback would reset them."""
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
        """Insert rows into a table by `COPY … FROM STDIN (FORMAT binary)`.

        Args:
            schema, table: exact names; `pg_temp` for the session's temporary tables.
            form: schema of the batches; the field names are the columns to fill.
            hand_over: set the role's search_path, because the table's defaults and constraints may rely on it.

        Returns the number of inserted rows. Exceptions of `batches` are raised unchanged.
        """
        raised: list[BaseException] = []

        def watched() -> Iterator[pa.RecordBatch]:
            try:
                for batch in batches:
                    bounds.check()
                    yield batch
            except BaseException as exc:
                raised.append(exc)  # the driver keeps only the exception's text
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
        """Set our search_path again after a statement that ran with the role's path; see `database.search_path`."""
        self._handed_over |= search_path.HANDED_OVER in statement
        if search_path.is_handed_over(statement):
            self.execute(search_path.TAKEN_BACK)

    def commit(self) -> None:
        if self._handed_over:
            # For triggers and constraints that run at COMMIT.
            self.execute(search_path.HAND_OVER)
        try:
            self._connection.commit()
        except _DRIVER_ERRORS as exc:
            state = getattr(exc, "sqlstate", None)
            if state and state != _UNKNOWN_OUTCOME and is_about_rows(state, in_function=is_in_function(str(exc))):
                # A deferred constraint or trigger failed, so the transaction is known to be rolled back.
                raise translate_error(exc) from exc
            self.healthy = False
            raise ConnectionLost("the answer to COMMIT was not success", detail=line_of(exc)) from exc

    def close(self) -> None:
        with suppress(Exception):
            self._connection.close()

    def _rollback(self) -> None:
        """Roll back; if the rollback fails, the connection is lost and the server rolls back."""
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
    """Returns the server's message, without the text about the address that libpq puts before it."""
    line = first_line(str(exc)).rpartition("failed: ")[2].strip()
    return f"{line} (SQLSTATE {exc.sqlstate})" if exc.sqlstate else line or type(exc).__name__


def open_connection(target: DatabaseTarget) -> dbapi.Connection:
    """Open a connection with options that protect the driver's look-up of types.

    As it connects, the driver looks up types with unqualified operators and functions, and finds no type if
    `quote_all_identifiers` is on. The connection's options therefore set both parameters. Some pools and proxies refuse
    options; for these, `database.session_start` checks that no operator can be taken for one of PostgreSQL's own.
    """
    try:
        return dbapi.connect(target.libpq_uri(options=_AT_LOGIN), autocommit=False)
    except dbapi.Error as exc:
        if not _OPTIONS_REFUSED.search(str(exc)):
            raise
    return dbapi.connect(target.libpq_uri(), autocommit=False)
