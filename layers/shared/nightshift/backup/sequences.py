"""Reads the states of sequences, sets those of a restored database to the saved ones, and compares them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.backup.models import SequenceState
from nightshift.database.catalog import TableName, quote_literal
from nightshift.database.connect import server_refusal

T = TypeVar("T")

_A_STATEMENT = 200


def sequence_states(connection: Connection, names: Sequence[TableName]) -> Iterator[SequenceState]:
    """Yields the current states: later than the snapshot, so that no value in it is assigned twice."""
    for batch in _batches(names):
        query = " UNION ALL ".join(
            f"SELECT {number} AS n, last_value, is_called FROM {name.sql}" for number, name in enumerate(batch)
        )
        for number, last_value, is_called in connection.exec_driver_sql(query):
            name = batch[number]
            yield SequenceState(schema=name.schema, name=name.name, last_value=last_value, is_called=is_called)


def set_sequences(connection: Connection, states: Sequence[SequenceState]) -> None:
    """Sets them, many at a time; a refused one is found by the comparison, and does not affect the others."""
    for batch in _batches(states):
        if not _set_all(connection, batch):
            for state in batch:
                _set_all(connection, [state])


def _set_all(connection: Connection, states: Sequence[SequenceState]) -> bool:
    calls = ", ".join(
        f"setval({_found_sql(state)}, {state.last_value}, {str(state.is_called).lower()})" for state in states
    )
    try:
        connection.exec_driver_sql(f"SELECT count(*) FROM (SELECT {calls}) moved")
        connection.commit()
    except DBAPIError as exc:
        server_refusal(exc)
        connection.rollback()
        return False
    return True


def sequence_differences(connection: Connection, states: Sequence[SequenceState]) -> Iterator[str]:
    """Yields a sentence for each sequence that is missing or differs."""
    for batch in _batches(states):
        known = ", ".join(f"{_found_sql(state)} IS NOT NULL" for state in batch)
        exists = dict(zip(batch, connection.exec_driver_sql(f"SELECT {known}").one(), strict=True))
        found = set(sequence_states(connection, [state.table for state in batch if exists[state]]))
        for state in batch:
            if not exists[state]:
                yield f"sequence {state.label} did not come back"
            elif state not in found:
                yield f"sequence {state.label} stands elsewhere"


def _found_sql(state: SequenceState) -> str:
    return f"to_regclass({quote_literal(state.table.sql)})"


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _A_STATEMENT):
        yield items[start : start + _A_STATEMENT]
