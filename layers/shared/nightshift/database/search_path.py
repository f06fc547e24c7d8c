"""Whose names SQL means: on every connection PostgreSQL's own, and nobody else's (CVE-2018-1058).

A name without a schema is looked for in the schemas of `search_path`, and so are operators and functions: whoever may
create objects in one of these could have his own code run by our statements, with our rights. So `search_path` is set
to PostgreSQL's own schema as a connection opens, by a statement that names every function's schema; all else that our
statements mean is written with its schema.

What the role's own path was is kept in two settings of the session, for two purposes. Tables that a policy names
without a schema are looked for in its schemas, in the catalogue. And triggers, defaults and constraints of a user's
table may rely on it, for they run in our session. A statement that changes such a table has `HANDED_OVER` among its
conditions: by the time it is true the statement has been read, operators and all, by our path, and the role's own one
is set for what the statement calls. `TAKEN_BACK` must follow before the next statement is read; both planes see to that
(`database.connect`, `rows.postgres`), and to the path of what is left for COMMIT. BEFORE triggers of a whole statement
are called before any condition is looked at: they have the role's path only where the statement that changes rows is
part of another one, which has the condition.
"""

from __future__ import annotations

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

TAKEN_BACK = f"SELECT pg_catalog.length(pg_catalog.set_config('search_path', '{PINNED}', true))"
"""Statement that sets ours again; safe to read by any path."""
