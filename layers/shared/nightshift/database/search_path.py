"""Sets `search_path` so that unqualified names in SQL mean only PostgreSQL's own objects (CVE-2018-1058).

A name without a schema is looked for in the schemas of `search_path`, and so are operators and functions: a role that
may create objects in one of these could have its own code run by our statements, with our rights. So `search_path` is
set to PostgreSQL's own schema as a connection opens, by a statement that names every function's schema; all else that
our statements mean is written with its schema.

The role's own path is kept in two settings of the session, for three purposes. Tables that a policy names
without a schema are looked for in its schemas, in the catalogue. Triggers, defaults and constraints of a user's table
may rely on it, for they run in our session. A statement that changes such a table has `HANDED_OVER` among its
conditions: by the time it is true the statement has been read, operators and all, by our path, and the role's own one
is set for what the statement calls. And event triggers may rely on it, which are called for what we make. Such a
statement has no condition; it is read by PostgreSQL's own schema first and the role's path behind it, which is safe
where it names nothing but types, and objects with their schemas (see `is_definition`).

`TAKEN_BACK` must follow before the next statement is read; both planes see to that (`listen_to_paths`,
`rows.postgres`), and to the path of deferred triggers at COMMIT. BEFORE triggers of a whole statement are called before
any condition is looked at: they have the role's path only where the statement that changes rows is part of another one,
which has the condition.
"""

from __future__ import annotations

import re
from typing import Any

import pg8000
from sqlalchemy import Connection, Engine, event

PINNED = "pg_catalog, pg_temp"
"""pg_temp is last: unnamed, it would be the first place to look for tables and types."""

ROLES_PATH = "nightshift.search_path"
"""Setting of the session that keeps the role's own path."""

CAPTURE = (
    f"pg_catalog.set_config('{ROLES_PATH}', pg_catalog.current_setting('search_path'), false),"
    " pg_catalog.set_config('nightshift.schemas', CAST(pg_catalog.current_schemas(false) AS pg_catalog.text), false)"
)
"""Expressions that keep the path as it is; evaluated in their order, before `PIN`."""

PIN = f"pg_catalog.set_config('search_path', '{PINNED}', false)"
"""Expression that sets ours for the session."""

SCHEMAS = "CAST(current_setting('nightshift.schemas') AS name[])"
"""Expression for the schemas of the role's own path, in order; those that are not there are left out."""

_HAND_OVER = f"pg_catalog.set_config('search_path', pg_catalog.current_setting('{ROLES_PATH}', true), true)"

HANDED_OVER = f"(SELECT {_HAND_OVER}) IS NOT NULL"
"""Condition, always true, that sets the role's own path for the rest of the transaction. It rests on no row, so the
server looks at it once, before it looks at any."""

HAND_OVER = f"SELECT pg_catalog.length({_HAND_OVER})"
"""Statement that does the same, for what COMMIT calls."""

_DEFINES = re.compile(
    r"\s*(?:CREATE (?:TEMP |TEMPORARY |UNIQUE )?(?:TABLE|INDEX|SCHEMA|FUNCTION)|ALTER TABLE|DROP (?:TABLE|FUNCTION)"
    r"|REVOKE) "
)

OPEN_TO_EVENT_TRIGGERS = (
    "SELECT pg_catalog.length(pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog',"
    f" NULLIF(pg_catalog.current_setting('{ROLES_PATH}', true), '')), true))"
)
"""Statement that sets the path by which a statement that `is_definition` something is read."""

TAKEN_BACK = f"SELECT pg_catalog.length(pg_catalog.set_config('search_path', '{PINNED}', true))"
"""Statement that sets ours again; safe to read by any path."""


def is_definition(statement: str) -> bool:
    """Returns whether a statement is one that event triggers are called for."""
    return _DEFINES.match(statement) is not None


def is_handed_over(statement: str) -> bool:
    """Returns whether a statement runs, in part or whole, by the role's own path."""
    return HANDED_OVER in statement or is_definition(statement)


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
