"""Whether an SQLSTATE is about the rows of a statement, or about us and the server (PostgreSQL manual, appendix A)."""

from __future__ import annotations

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
