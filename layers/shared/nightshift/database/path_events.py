"""Hands the role's own search_path over, and takes it back, as SQLAlchemy sends statements; see `search_path`."""

from __future__ import annotations

from typing import Any

import pg8000
from sqlalchemy import Connection, Engine, event

from nightshift.database.search_path import (
    HAND_OVER,
    HANDED_OVER,
    OPEN_TO_EVENT_TRIGGERS,
    TAKEN_BACK,
    is_definition,
    is_handed_over,
)

_HANDED = "nightshift.handed_over"


def listen_to_paths(engine: Engine) -> None:
    """Do so on an engine's connections."""
    event.listen(engine, "before_cursor_execute", _open_to_event_triggers)
    event.listen(engine, "after_cursor_execute", _take_path_back)
    event.listen(engine, "commit", _hand_path_over)
    event.listen(engine, "rollback", _forget_path)


def _open_to_event_triggers(_: Connection, cursor: Any, statement: str, *_more: object) -> None:
    """The cursor's own call, for it begins the transaction where there is none yet."""
    if is_definition(statement):
        cursor.execute(OPEN_TO_EVENT_TRIGGERS)


def _take_path_back(connection: Connection, cursor: Any, statement: str, *_: object) -> None:  # noqa: ARG001 - SQLAlchemy's
    """After a statement that ran by the role's own search_path, ours holds again; see `search_path`."""
    if HANDED_OVER in statement:
        connection.info[_HANDED] = True
    if is_handed_over(statement):
        _driver(connection).execute_simple(TAKEN_BACK)


def _hand_path_over(connection: Connection) -> None:
    """Hands the path over before COMMIT after such statements: deferred triggers run by the role's path, too."""
    if connection.info.pop(_HANDED, False):
        _driver(connection).execute_simple(HAND_OVER)


def _forget_path(connection: Connection) -> None:
    """An undone transaction has left nothing; of a connection that is gone there is nothing to know."""
    if not connection.invalidated:
        connection.info.pop(_HANDED, None)


def _driver(connection: Connection) -> pg8000.Connection:
    driver: pg8000.Connection = connection.connection.dbapi_connection
    return driver
