"""Compares two schemas, entry by entry, in the output of pg_dump.

Ignores text that always differs: version comments, pg_dump's random `\\restrict` tokens (since 2025), and the wording
that a restore changes (`array_casts`). The rest is compared to the letter, in no order: pg_dump orders objects that do
not depend on each other as it likes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from nightshift.backup.array_casts import normalise_array_casts

_ENTRY = re.compile(r"^--\n-- (?:Data for )?Name: (.*); Type: (.*); Schema: (.*); Owner: .*\n--\n", re.MULTILINE)
_BY_NATURE = re.compile(r"^(?:\\(?:un)?restrict .*|-- Dumped (?:from database|by pg_dump) version .*)\n", re.MULTILINE)
_OWNER = re.compile(r'(?:\A|\n)ALTER [^\n]+ OWNER TO (?:"(?:[^"\n]|"")+"|[^\s"]+);\s*\Z')
_PREAMBLE = "preamble"


class DifferenceKind(StrEnum):
    """Kind of difference of an entry."""

    GONE = "did not come back"
    ADDED = "is not in the backup"
    ALTERED = "is not as it was"


@dataclass(frozen=True, slots=True)
class SchemaDifference:
    """An entry that is not the same in both.

    Attributes:
        name: with its kind, e.g. `view app.v`.
        digest: SHA-256 of what was found, without its owner; empty where there is nothing.
    """

    name: str
    how: DifferenceKind
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.how}"


def normalise_schema(sql: str) -> str:
    """Returns a schema's SQL without text that differs from one pg_dump to the next."""
    return _BY_NATURE.sub("", sql)


def schema_differences(saved: str, found: str) -> tuple[SchemaDifference, ...]:
    """Returns the differences of two schemas.

    Args:
        saved: SQL as pg_dump or pg_restore writes it: how it should be.
        found: the same, of what came of it.
    """
    before, after = _entries(saved), _entries(found)
    return tuple(
        SchemaDifference(
            name,
            DifferenceKind.GONE
            if name not in after
            else DifferenceKind.ADDED
            if name not in before
            else DifferenceKind.ALTERED,
            _digest(after[name]) if name in after else "",
        )
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != _as_given(after.get(name), before.get(name))
    )


def _as_given(found: Counter[str] | None, saved: Counter[str] | None) -> Counter[str] | None:
    """Statements without the ownership of objects that were saved without one, as those of a role that is gone are."""
    if not found or not saved or any(_OWNER.search(statement) for statement in saved):
        return found
    return _unowned(found)


def _unowned(statements: Counter[str]) -> Counter[str]:
    given: Counter[str] = Counter()
    for statement, count in statements.items():
        given[_OWNER.sub("", statement).rstrip()] += count
    return given


def _digest(statements: Counter[str]) -> str:
    return hashlib.sha256(json.dumps(sorted(_unowned(statements).items())).encode()).hexdigest()


def _entries(sql: str) -> dict[str, Counter[str]]:
    """Every entry's statements by its kind and name; overloaded functions share theirs."""
    text = normalise_array_casts(normalise_schema(sql))
    found: dict[str, Counter[str]] = {}
    name, at = _PREAMBLE, 0
    for match in _ENTRY.finditer(text):
        _put(found, name, text[at : match.start()])
        label, kind, schema = match.groups()
        name, at = f"{kind.lower()} {label if schema == '-' else f'{schema}.{label}'}", match.end()
    _put(found, name, text[at:])
    return found


def _put(found: dict[str, Counter[str]], name: str, statements: str) -> None:
    # How many blank lines end an entry depends on the one behind it, and so do the settings between entries.
    kept = re.sub(r"^SET default_(?:tablespace|table_access_method) = .*;\n", "", statements, flags=re.MULTILINE)
    kept = kept.replace("--\n-- PostgreSQL database dump complete\n--\n", "").strip()
    found.setdefault(name, Counter())[kept] += 1
