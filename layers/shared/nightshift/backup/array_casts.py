"""Normalises array casts, which PostgreSQL prints differently before and after a restore.

`status IN ('new', 'done')` on a `varchar` compares texts. PostgreSQL keeps that as a conversion of the whole list, and
writes it so; read back, the conversion goes to each entry, and from then on it is written so. Hardly a database that
was made by its own DDL is without one.
"""

from __future__ import annotations

import re

_OPENING = "(ARRAY["
_CONVERSION = re.compile(r"\)::([^\[\]'\n]{1,200}?)\[\]")
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[\[\](),]|[^'"\[\](),eE]+|.""", re.DOTALL
)


def normalise_array_casts(sql: str) -> str:
    """SQL in which a conversion of a list is one of each of its entries, as PostgreSQL itself reads it."""
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
    """The entries of a list that begins here, and where its bracket has closed; none where it never does."""
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
