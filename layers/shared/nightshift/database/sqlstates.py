"""Classifies PostgreSQL's errors by SQLSTATE (manual, appendix A), finds hints for errors, and redacts messages."""

from __future__ import annotations

import re

_OURS = ("08", "25", "26", "28", "3D", "42", "53", "57", "58", "XX")
"""SQLSTATE classes of errors in nightshift's statements, its rights or the server. All other classes concern rows: a
constraint, a value, or an exception that a trigger raises with any code."""

_THE_SERVER_S = ("08", "53", "57", "58", "XX")
"""The classes among `_OURS` that the application's functions do not raise on purpose."""


def is_about_rows(state: str, *, in_function: bool) -> bool:
    """Returns whether an error concerns the statement's rows, so that the statement may succeed with other rows.

    Args:
        in_function: the error arose in a function that the statement called, e.g. a trigger function. A missing
            privilege or table is then missing for this function.
    """
    return not state.startswith(_THE_SERVER_S if in_function else _OURS)


_UNDEFINED = ("42883", "42P01", "42704")


def path_hint(state: str | None, *, in_function: bool) -> str | None:
    """Returns the hint for an application's function that relies on `search_path`; None for other errors.

    If an index or a CHECK calls an SQL function, the planner may replace the call by the function's text. The names in
    the function are then looked up whenever a statement is planned.
    """
    if not in_function or state not in _UNDEFINED:
        return None
    return (
        "a function that an index or a constraint calls looks for this by search_path: ALTER FUNCTION … SET search_path"
        " = …; autovacuum and pg_restore could not call it either"
    )


READ_ONLY_HINT = (
    "connect to the primary server (a cluster's writer endpoint); a backup reads rows from the replica that"
    " BACKUP_REPLICA_HOST names; or, where the setting is not meant for nightshift, ALTER ROLE …"
    " SET default_transaction_read_only = off"
)
_BY_STATE = {
    "25006": READ_ONLY_HINT,
    "28P01": "check the user and the password in DATABASE_URL, or in its secret",
    "28000": "the server lets this role in from here by no line of its pg_hba.conf, or only with TLS (sslmode=require)",
    "3D000": "correct the database's name, the last part of DATABASE_URL",
    "53300": "the server has no connection to spare: close some, or raise max_connections",
    "53100": "the server's disk is full",
    "57P03": "the server is starting or stopping; the next run tries again",
}
_NO_HOST = "correct the host in DATABASE_URL: nobody knows that name"
_BY_WORDS: tuple[tuple[str, str], ...] = (
    ("out of shared memory", "raise max_locks_per_transaction on the server (it has to be restarted)"),
    ("max_locks_per_transaction", "raise max_locks_per_transaction on the server (it has to be restarted)"),
    ("database is locked", "another process is writing to the SQLite file: end it, or try again later"),
    ("database table is locked", "another process is writing to the SQLite file: end it, or try again later"),
    ("readonly database", "nightshift's user may not write the SQLite file or its directory: chown or chmod both"),
    ("unable to open database file", "nightshift's user may not read the SQLite file or its directory"),
    ("file is not a database", "DATABASE_URL names a file that is no SQLite database"),
    ("Name or service not known", _NO_HOST),
    ("No address associated with hostname", _NO_HOST),
    ("could not translate host name", _NO_HOST),
    (
        "Temporary failure in name resolution",
        "no name server answers: check the VPC's DNS, and the host in DATABASE_URL",
    ),
    ("password authentication failed", _BY_STATE["28P01"]),
    # libpq reports no SQLSTATE for a refused login.
    ("no pg_hba.conf entry", _BY_STATE["28000"]),
    ("too many clients already", _BY_STATE["53300"]),
    ("remaining connection slots are reserved", _BY_STATE["53300"]),
    ("too many connections for", _BY_STATE["53300"]),
    ("the database system is", _BY_STATE["57P03"]),
    ("no password", "give a password in DATABASE_URL, or DATABASE_SECRET_ARN"),
)
_RIGHTS = {
    **dict.fromkeys(("schema", "sequence", "type", "foreign server", "foreign-data wrapper", "language"), "USAGE"),
    **dict.fromkeys(("function", "procedure", "routine", "aggregate"), "EXECUTE"),
    **dict.fromkeys(("table", "view", "materialized view", "foreign table", "column"), "SELECT"),
    "database": "CONNECT",
}
"""The right that a look-up needs, by the kind of object that follows "permission denied for" (`aclchk.c`)."""
_DENIED = re.compile(f"permission denied for ({'|'.join(_RIGHTS)})( |$)")
_NO_DATABASE = re.compile(r'database "[^"]+" does not exist')
_ROLE = re.compile(r'role "([^"]+)"')


def server_hint(state: str | None, words: str) -> str | None:
    """Returns the hint for an error of PostgreSQL or SQLite, by SQLSTATE and message; None if no hint is known."""
    if (role := _ROLE.search(words)) and state in (None, "22023", "28000", "42501", "42704"):
        if "does not exist" in words:
            return f"CREATE ROLE {role[1]}, or correct the name"
        if "member of" in words or "set role" in words.lower():
            return f"GRANT {role[1]} TO nightshift's role: it exists, and ours is no member of it"
    if state == "42501":
        if denied := _DENIED.search(words):
            return f"GRANT {_RIGHTS[denied[1]]} on it to nightshift's role"
        if "must be owner" in words:
            return "only its owner may do that: connect as the owner, or GRANT that role to nightshift's"
        return None
    if _NO_DATABASE.search(words):
        return _BY_STATE["3D000"]
    return _BY_STATE.get(state or "") or next((hint for known, hint in _BY_WORDS if known in words), None)


_ABOUT_A_VALUE = re.compile("invalid|out of range|too long|malformed", re.IGNORECASE)
_QUOTED = re.compile('".*"')


def first_line(message: str) -> str:
    """Returns the first line of a server's message, without a value that the line quotes."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    # Data exceptions (class 22) quote the value: invalid input syntax for type integer: "…".
    return (_QUOTED.sub('"…"', line) if _ABOUT_A_VALUE.search(line) else line)[:200]


def is_oversized(message: str) -> bool:
    """Returns whether a value would exceed 1 GB, by the message: PostgreSQL uses the same SQLSTATE for other errors."""
    return "invalid memory alloc request size" in message or "string buffer" in message
