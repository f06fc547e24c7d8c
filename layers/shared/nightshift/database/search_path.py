"""Sets `search_path` so that unqualified names in SQL mean only PostgreSQL's own objects (CVE-2018-1058).

PostgreSQL searches the schemas of `search_path` for unqualified tables, operators and functions. A role that may create
objects in one of these schemas could make our statements run its code with our rights. Therefore each new connection
sets `search_path` to pg_catalog, by a statement that names every function's schema. Our statements name the schema of
every other object.

Two settings of the session keep the role's own path, for three purposes. First, tables that a policy names without a
schema are looked up in the path's schemas. Second, triggers, defaults and constraints of a user's table run in our
session and may rely on the path. A statement that changes a user's table has the condition `HANDED_OVER`: the server
parses the whole statement with our path, and the condition then sets the role's path for what the statement calls.
Third, event triggers that run for our CREATE, ALTER, DROP and REVOKE may rely on the path. These statements have no
condition. They run with pg_catalog first and the role's path after it, which is safe because they name only types, and
objects with their schemas (see `is_definition`).

`TAKEN_BACK` must run before the next statement is parsed. `listen_to_paths` and `rows.postgres` run it, and set the
role's path for deferred triggers at COMMIT. A statement-level BEFORE trigger runs before any condition is evaluated: it
has the role's path only if the statement that changes rows is part of a statement with the condition.
"""

from __future__ import annotations

import re
from typing import Any

import pg8000
from sqlalchemy import Connection, Engine, event

PINNED = "pg_catalog, pg_temp"
"""Our `search_path`. pg_temp is named last; PostgreSQL otherwise searches it first for tables and types."""

ROLES_PATH = "nightshift.search_path"
"""Name of the session's setting that keeps the role's own `search_path`."""

CAPTURE = (
    f"pg_catalog.set_config('{ROLES_PATH}', pg_catalog.current_setting('search_path'), false),"
    " pg_catalog.set_config('nightshift.schemas', CAST(pg_catalog.current_schemas(false) AS pg_catalog.text), false)"
)
"""SQL expressions that save the role's path; evaluated in this order, before `PIN`."""

PIN = f"pg_catalog.set_config('search_path', '{PINNED}', false)"
"""SQL expression that sets our `search_path` for the session."""

SCHEMAS = "CAST(current_setting('nightshift.schemas') AS name[])"
"""SQL expression for the existing schemas of the role's own path, in order."""

_HAND_OVER = f"pg_catalog.set_config('search_path', pg_catalog.current_setting('{ROLES_PATH}', true), true)"

HANDED_OVER = f"(SELECT {_HAND_OVER}) IS NOT NULL"
"""SQL condition, always true, that sets the role's own path for the rest of the transaction. It depends on no row, so
the server evaluates it once, before it reads any row."""

HAND_OVER = f"SELECT pg_catalog.length({_HAND_OVER})"
"""SQL statement that sets the role's own path for the rest of the transaction, for the triggers that COMMIT runs."""

_DEFINES = re.compile(
    r"\s*(?:CREATE (?:TEMP |TEMPORARY |UNIQUE )?(?:TABLE|INDEX|SCHEMA|FUNCTION)|ALTER TABLE|DROP (?:TABLE|FUNCTION)"
    r"|REVOKE) "
)

OPEN_TO_EVENT_TRIGGERS = (
    "SELECT pg_catalog.length(pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog',"
    f" NULLIF(pg_catalog.current_setting('{ROLES_PATH}', true), '')), true))"
)
"""SQL statement that sets the path for a statement that `is_definition` accepts."""

TAKEN_BACK = f"SELECT pg_catalog.length(pg_catalog.set_config('search_path', '{PINNED}', true))"
"""SQL statement that sets our path again; it is safe to parse with any path."""


def is_definition(statement: str) -> bool:
    """Returns whether event triggers may run for one of our statements, e.g. CREATE TABLE."""
    return _DEFINES.match(statement) is not None


def is_handed_over(statement: str) -> bool:
    """Returns whether a statement runs, in part or as a whole, with the role's own path."""
    return HANDED_OVER in statement or is_definition(statement)


_HANDED = "nightshift.handed_over"


def listen_to_paths(engine: Engine) -> None:
    """Switch between our path and the role's path on all connections of an engine."""
    event.listen(engine, "before_cursor_execute", _open_to_event_triggers)
    event.listen(engine, "after_cursor_execute", _take_path_back)
    event.listen(engine, "commit", _hand_path_over)
    event.listen(engine, "rollback", _forget_path)


def _open_to_event_triggers(_: Connection, cursor: Any, statement: str, *_more: object) -> None:
    """Set the path before a definition, through the cursor, whose `execute` begins a transaction if needed."""
    if is_definition(statement):
        cursor.execute(OPEN_TO_EVENT_TRIGGERS)


def _take_path_back(connection: Connection, cursor: Any, statement: str, *_: object) -> None:  # noqa: ARG001 - SQLAlchemy's
    """Set our path again after a statement that ran with the role's path."""
    if HANDED_OVER in statement:
        connection.info[_HANDED] = True
    if is_handed_over(statement):
        _driver(connection).execute_simple(TAKEN_BACK)


def _hand_path_over(connection: Connection) -> None:
    """Set the role's path before COMMIT if a statement of the transaction used it, for the deferred triggers."""
    if connection.info.pop(_HANDED, False):
        _driver(connection).execute_simple(HAND_OVER)


def _forget_path(connection: Connection) -> None:
    """Forget, after a rollback, that the transaction used the role's path; a lost connection has no such mark."""
    if not connection.invalidated:
        connection.info.pop(_HANDED, None)


def _driver(connection: Connection) -> pg8000.Connection:
    driver: pg8000.Connection = connection.connection.dbapi_connection
    return driver
