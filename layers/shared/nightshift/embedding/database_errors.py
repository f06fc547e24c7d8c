"""Classifies errors of SQL statements by the reaction that they need."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from nightshift.database.connect import is_lock_timeout, sqlstate

_BUSY = {"55P03", "40P01", "40001"}
_ABOUT_A_ROW = ("22", "23", "44", "P0")
"""Classes of SQLSTATE (PostgreSQL manual, appendix A) by which the database refuses a row: a value, a constraint, a
view's condition, a trigger's exception."""


def is_busy(exc: DBAPIError) -> bool:
    """Returns whether another session caused the error: a lock, a deadlock."""
    return is_lock_timeout(exc) or sqlstate(exc) in _BUSY


def is_row_error(exc: DBAPIError) -> bool:
    """The database does not take a row as it is."""
    state = sqlstate(exc)
    return state.startswith(_ABOUT_A_ROW) if state else type(exc).__name__ == "IntegrityError"


def is_out_of_time(exc: DBAPIError) -> bool:
    """The statement took longer than is left of the run (or somebody cancelled it)."""
    return sqlstate(exc) == "57014"
