"""What a rehearsal's role has no right to make, and what hangs on it: told as such, and no fault of the backup.

Event triggers, extensions that are not trusted, foreign-data wrappers and the like are for superusers. A rehearsal
looks at all the rest, and leaves these out on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nightshift.backup.client import Refused, told_once
from nightshift.backup.contents import Entry

_DENIED = re.compile("permission denied|must be |only superuser|only roles with", re.IGNORECASE)

_FOR_THE_FEW = {
    *("EVENT TRIGGER", "EXTENSION", "FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE"),
    *("PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "PROCEDURAL LANGUAGE", "CAST", "TRANSFORM"),
    *("FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "SHELL TYPE", "OPERATOR CLASS", "OPERATOR FAMILY", "ACCESS METHOD"),
    *("TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "SECURITY LABEL", "COMMENT"),
}
"""Kinds of objects that may take more than a database's owner. What the server refuses of a table, an index or a
trigger is no matter of the role: code in the backup asked for more than it may."""


def _first_line(entry: Entry) -> str:
    return entry.statement.partition("\n")[0]


class Lacking:
    """The objects of one archive that the role could not make."""

    def __init__(self, entries: Sequence[Entry], *, owners: bool) -> None:
        """Nothing is lacking yet.

        Args:
            owners: they are brought back. The schema `public` is in a dump only for the owner that it was given.
        """
        self._entries = {entry.id: entry for entry in entries}
        self._untold = {e.id for e in entries if e.kind == "COMMENT" and e.tag.startswith("EXTENSION ")}
        self._untold |= {e.id for e in entries if not owners and (e.kind, e.tag) == ("SCHEMA", "public")}
        self._found: set[int] = set()

    @property
    def ids(self) -> frozenset[int]:
        """Numbers of entries that nobody should look for. A comment belongs to who made the extension."""
        return frozenset(self._found | self._untold)

    def sift(self, refused: Sequence[Refused]) -> tuple[str, ...]:
        """Take note of what the role may not make; returns what was refused for other reasons, a sentence each."""
        about = {one: self._entry_of(one) for one in refused}
        for one, entry in about.items():
            if entry is not None and entry.kind in _FOR_THE_FEW and _DENIED.search(one.words):
                self._found.add(entry.id)
        size = -1
        while size != len(self._found):
            size = len(self._found)
            self._found |= {entry.id for entry in self._entries.values() if entry.needs & self._found}
        return told_once(one for one, entry in about.items() if entry is None or entry.id not in self.ids)

    def _entry_of(self, one: Refused) -> Entry | None:
        if one.entry:
            return self._entries.get(one.entry)
        return next((entry for entry in self._entries.values() if _first_line(entry) == one.command), None)

    def names(self) -> tuple[str, ...]:
        """Them, for people."""
        found = [self._entries[number] for number in sorted(self._found - self._untold)]
        return tuple(f"{one.kind.lower()} {f'{one.schema}.' if one.schema else ''}{one.tag}" for one in found)
