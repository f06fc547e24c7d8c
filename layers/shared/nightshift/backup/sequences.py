"""Sets the sequences of a restored database to their saved states, and compares them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.backup.models import SequenceState
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.connect import sqlstate

_A_STATEMENT = 200


def set_sequences(connection: Connection, states: tuple[SequenceState, ...]) -> None:
    """Sets them, many at a time; a refused one is found by the comparison, and does not affect the others."""
    for start in range(0, len(states), _A_STATEMENT):
        some = states[start : start + _A_STATEMENT]
        if not _moved(connection, some):
            for state in some:
                _moved(connection, (state,))


def _moved(connection: Connection, states: tuple[SequenceState, ...]) -> bool:
    calls = ", ".join(
        f"setval(to_regclass({quote_literal(_sql(state))}), {state.last_value}, {str(state.is_called).lower()})"
        for state in states
    )
    try:
        connection.exec_driver_sql(f"SELECT count(*) FROM (SELECT {calls}) moved")
        connection.commit()
    except DBAPIError as exc:
        if sqlstate(exc) is None:  # not the server's word: it is gone
            raise
        connection.rollback()
        return False
    return True


def sequence_differences(connection: Connection, states: tuple[SequenceState, ...]) -> Iterator[str]:
    """Compare sequences, many at a time; yields a sentence for each that is missing or differs."""
    for start in range(0, len(states), _A_STATEMENT):
        some = states[start : start + _A_STATEMENT]
        known = ", ".join(f"to_regclass({quote_literal(_sql(state))}) IS NOT NULL" for state in some)
        there = connection.exec_driver_sql(f"SELECT {known}").one()
        found = [state for state, is_there in zip(some, there, strict=True) if is_there]
        stands = " UNION ALL ".join(f"SELECT {n}, last_value, is_called FROM {_sql(s)}" for n, s in enumerate(found))
        rows = connection.exec_driver_sql(stands).all() if found else ()
        moved = {found[n] for n, value, called in rows if (value, called) != (found[n].last_value, found[n].is_called)}
        for state, is_there in zip(some, there, strict=True):
            label = TableName(state.schema, state.name).label
            if not is_there:
                yield f"sequence {label} did not come back"
            elif state in moved:
                yield f"sequence {label} stands elsewhere"


def _sql(state: SequenceState) -> str:
    return TableName(state.schema, state.name).sql
