"""Translates exceptions of ADBC's driver into subclasses of `NightshiftError`, by SQLSTATE."""

from __future__ import annotations

from nightshift.database.sqlstates import (
    READ_ONLY_HINT,
    first_line,
    is_about_rows,
    is_oversized,
    path_hint,
    server_hint,
)
from nightshift.errors import NightshiftError
from nightshift.rows.row_connection import ConnectionLost, RowsLocked, RowTooBig, StatementInterrupted, StatementRefused

_READ_ONLY = "25006"
_LOCKED = {"55P03"}
_INTERRUPTED = {"57014", "40001", "40P01", "25P03"}
_REFERENCED = "23503"
_SAID = {
    # Arrow's C stream reports an error during a COPY, with the message but without an SQLSTATE.
    "lock timeout": "55P03",
    "statement timeout": "57014",
    "user request": "57014",
    "deadlock detected": "40P01",
    "could not serialize": "40001",
    "foreign key constraint": _REFERENCED,
    "idle-in-transaction timeout": "25P03",
    "read-only transaction": _READ_ONLY,
    "terminating connection": "57P01",
    "server closed the connection": "08006",
    "no connection to the server": "08003",
    "SSL connection has been closed": "08006",
    "could not receive data": "08006",
    "could not send data": "08006",
}


def translate_error(exc: Exception) -> NightshiftError:
    """Returns the nightshift error for a driver's exception, by SQLSTATE (PostgreSQL manual, appendix A).

    The error contains only the first line of the message, because the server's DETAIL may quote a row.
    """
    message = str(exc)
    state = getattr(exc, "sqlstate", None) or next((s for words, s in _SAID.items() if words in message), None)
    if is_oversized(message) and not is_in_function(message):
        return RowTooBig(line_of(exc))
    error = _sorted(state, message, line_of(exc))
    if isinstance(error, StatementRefused):
        error.about_rows = is_about_rows(state or "", in_function=is_in_function(message))
    return error


def _sorted(state: str | None, message: str, detail: str) -> NightshiftError:
    if state in _LOCKED:
        return RowsLocked("rows or a table are locked by somebody else", detail=detail)
    if state in _INTERRUPTED:
        return StatementInterrupted("the server ended a statement", detail=detail)
    if state is not None and state.startswith(("08", "57P")):
        return ConnectionLost("the connection to the database was lost", detail=detail)
    if state == _READ_ONLY:
        return NightshiftError("the database is read-only", detail=detail, hint=READ_ONLY_HINT)
    if state == "23505":
        return StatementRefused(
            "the table has rows with keys of archived ones",
            detail=detail,
            hint="a key that is checked last (DEFERRABLE) leaves no choice: restore into a table of its own",
        )
    if "no partition of relation" in message:
        return StatementRefused(
            "the table has no partition for archived rows",
            detail=detail,
            hint="create the partition for their days first, or restore into a table of its own",
        )
    if state == _REFERENCED and "insert or update on table" in message:
        return StatementRefused(
            "archived rows reference rows of another table that are gone",
            detail=detail,
            hint="restore the referenced table's rows first, or restore into a table of its own",
        )
    if state == _REFERENCED:
        return StatementRefused(
            "rows that are due are still referenced by another table",
            detail=detail,
            hint="archive the referencing table first, with a retention that is not longer",
        )
    hint = path_hint(state, in_function=is_in_function(message)) or server_hint(state, detail)
    return StatementRefused("the database refused a statement", detail=detail, hint=hint)


def is_in_function(message: str) -> bool:
    """Returns whether an error arose in a function that the statement called, by the English CONTEXT line."""
    return "\nCONTEXT:  PL/" in message or "\nCONTEXT:  SQL " in message


def line_of(exc: Exception) -> str:
    """Returns the first line of the driver's message."""
    return first_line(str(exc)) or type(exc).__name__
