"""Normalises array casts, which PostgreSQL prints differently before and after a restore.

`status IN ('new', 'done')` on a `varchar` compares texts. PostgreSQL stores a cast of the whole array and prints it so.
When it parses that text again, it moves the cast to each element, and prints that from then on. Almost every database
that was created by its own DDL has such a cast.
"""

from __future__ import annotations

import re

_OPENING = "(ARRAY["
_CONVERSION = re.compile(r"\)::([^\[\]'\n]{1,200}?)\[\]")
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[\[\](),]|[^'"\[\](),eE]+|.""", re.DOTALL
)


def normalise_array_casts(sql: str) -> str:
    """Returns the SQL with each cast of an array replaced by casts of its elements, as PostgreSQL itself parses it."""
    pieces, at = [], 0
    while (start := sql.find(_OPENING, at)) >= 0:
        entries, end = _entries(sql, start + len(_OPENING))
        conversion = _CONVERSION.match(sql, end)
        if entries and conversion:
            each = ", ".join(f"({normalise_array_casts(entry)})::{conversion[1]}" for entry in entries)
            pieces.append(f"{sql[at:start]}ARRAY[{each}]")
            at = conversion.end()
        else:
            pieces.append(sql[at : start + len(_OPENING)])
            at = start + len(_OPENING)
    return "".join([*pieces, sql[at:]])


def _entries(sql: str, at: int) -> tuple[list[str], int]:
    """Returns the elements of the array that begins at `at`, and the position of its end; none if it never ends."""
    entries: list[str] = []
    begun, depth = at, 0
    for token in _TOKEN.finditer(sql, at):
        match token[0]:
            case "(" | "[":
                depth += 1
            case "]" if depth == 0:
                return [*entries, sql[begun : token.start()].strip()], token.end()
            case ")" | "]":
                depth -= 1
            case "," if depth == 0:
                entries.append(sql[begun : token.start()].strip())
                begun = token.end()
    return [], at
