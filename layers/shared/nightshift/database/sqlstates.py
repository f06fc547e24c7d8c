"""What an error of PostgreSQL is about: rows, or us and the server (manual, appendix A); what may be shown of it."""

from __future__ import annotations

import re

_OURS = ("08", "25", "26", "28", "3D", "42", "53", "57", "58", "XX")
"""Classes that are about us or the server. All others are about rows: a constraint, a value, an exception that a
trigger raises under whatever code it likes."""

_THE_SERVER_S = ("08", "53", "57", "58", "XX")
"""Of these, the classes that no function of the application's raises on purpose."""


def is_about_rows(state: str, *, in_function: bool) -> bool:
    """Whether other rows may go through where a statement was refused.

    Args:
        in_function: the error arose in a function that the statement called, e.g. a trigger's: a missing privilege or
            table is then one that this function lacks.
    """
    return not state.startswith(_THE_SERVER_S if in_function else _OURS)


_UNDEFINED = ("42883", "42P01", "42704")


def path_hint(state: str | None, *, in_function: bool) -> str | None:
    """What to do about a function of the application's that looks for something by `search_path`; None for others.

    Such a one runs wherever a statement is planned, where an index or a CHECK calls it and it is of SQL: the server
    puts its text in its place.
    """
    if not in_function or state not in _UNDEFINED:
        return None
    return (
        "a function that an index or a constraint calls looks for this by search_path: ALTER FUNCTION … SET search_path"
        " = …; autovacuum and pg_restore could not call it either"
    )


_ABOUT_A_VALUE = re.compile("invalid|out of range|too long|malformed", re.IGNORECASE)
_QUOTED = re.compile('".*"')


def first_line(message: str) -> str:
    """The first line of a server's message, without the value that it may quote."""
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    # Data exceptions (class 22) quote the very value: invalid input syntax for type integer: "…".
    return (_QUOTED.sub('"…"', line) if _ABOUT_A_VALUE.search(line) else line)[:200]


def is_oversized(message: str) -> bool:
    """Whether something would be longer than 1 GB; PostgreSQL's codes for this are those of many errors."""
    return "invalid memory alloc request size" in message or "string buffer" in message
