"""Sequences of a restored database: moved to where they stood, and compared."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.backup.manifest import SequenceState
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.connect import sqlstate

_A_STATEMENT = 200


def set_sequences(connection: Connection, states: tuple[SequenceState, ...]) -> None:
    """Move them, many at a time; one that is refused is found by who compares, and costs no other its place."""
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
    known = text("SELECT CAST(to_regclass(:name) AS oid)")
    for state in states:
        label = TableName(state.schema, state.name).label
        if connection.execute(known, {"name": _sql(state)}).scalar() is None:
            yield f"sequence {label} did not come back"
            continue
        query = f"SELECT last_value, is_called FROM {_sql(state)}"
        if tuple(connection.exec_driver_sql(query).one()) != (state.last_value, state.is_called):
            yield f"sequence {label} stands elsewhere"


def _sql(state: SequenceState) -> str:
    return TableName(state.schema, state.name).sql
