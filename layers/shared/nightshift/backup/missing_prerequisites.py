"""Finds objects that cannot be created in the target, and their dependents. None of them is a fault of the backup.

Event triggers, extensions that are not trusted, foreign-data wrappers and the like are for superusers; an extension may
not be installed, or may be in one database of a server only (pg_cron); a role, a library or a locale may be absent. All
other objects are restored and compared, and these are left out on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nightshift.backup.contents import ArchiveEntry
from nightshift.backup.pg_tools import RefusedEntry

_DENIED = re.compile("permission denied|must be |only superuser|only roles with", re.IGNORECASE)
_ABSENT = re.compile(
    '^role ".*" does not exist|could not access file|could not load library|could not open ', re.DOTALL
)
_NOT_SAVED = re.compile('^schema ".*" does not exist')
"""Said of an extension whose schema is not among those that were saved."""
_OF_THE_SERVER = {"EXTENSION", "COLLATION", "ACCESS METHOD", "TEXT SEARCH DICTIONARY"}
"""Kinds of objects that are made of files of the server: whatever it refuses of them, the backup is as it should be."""

_FOR_THE_FEW = {
    *("EVENT TRIGGER", "EXTENSION", "FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE"),
    *("PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "PROCEDURAL LANGUAGE", "CAST", "TRANSFORM"),
    *("FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "SHELL TYPE", "OPERATOR CLASS", "OPERATOR FAMILY", "ACCESS METHOD"),
    *("TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "SECURITY LABEL", "COMMENT"),
}
"""Kinds of objects that may take more than a database's owner. What the server refuses of a table, an index or a
trigger is no matter of the role: code in the backup asked for more than it may."""


class MissingPrerequisites:
    """The objects of one archive that the role could not make."""

    def __init__(self, entries: Sequence[ArchiveEntry], *, owners: bool, without: frozenset[int] = frozenset()) -> None:
        """`owners` are restored; entries with the numbers `without` are reported elsewhere."""
        self._entries = {entry.id: entry for entry in entries}
        self._without = without
        self._unexpected = {e.id for e in entries if not owners and _is_its_owners(e)}
        self._found: set[int] = set()
        self._words: dict[int, str] = {}

    @property
    def entry_ids(self) -> frozenset[int]:
        """Numbers of entries that are not expected in the database."""
        return frozenset(self._found | self._unexpected | self._without)

    def remove_entries(self, refused: Sequence[RefusedEntry]) -> tuple[str, ...]:
        """Records entries that the role may not create; returns those refused for other reasons, a sentence each."""
        about = {refusal: self._entry_of(refusal) for refusal in refused if not _is_known(refusal)}
        for refusal, entry in about.items():
            if entry is not None and _is_no_fault(entry, refusal.words):
                self._found.add(entry.id)
                self._words.setdefault(entry.id, refusal.words)
        self._found = self._with_dependents(self._found)
        # An object that cannot be created causes others to fail: of refusals with the same words the first is named.
        sentences: dict[str, str] = {}
        for refusal, entry in about.items():
            if entry is None or entry.id not in self.entry_ids:
                sentences.setdefault(refusal.words, refusal.sentence)
        return tuple(sentences.values())

    def _entry_of(self, refusal: RefusedEntry) -> ArchiveEntry | None:
        if refusal.entry:
            return self._entries.get(refusal.entry)
        entries = self._entries.values()
        return next((entry for entry in entries if entry.statement.partition("\n")[0] == refusal.command), None)

    def environment_sentences(self) -> Iterator[str]:
        """Yields a sentence for each reason of the server: its words, and the objects that are missing for it."""
        named: set[int] = set()
        for words in dict.fromkeys(self._words.values()):
            lost = self._with_dependents({number for number, why in self._words.items() if why == words})
            names = [self._entries[number].name for number in sorted(lost - named - self._unexpected)]
            named |= lost
            if names:
                yield f"left out, as the server said {words!r}: {', '.join(names)}"

    def find_cause(self, schema: str, table: str) -> str | None:
        """Returns the reason why a table could not be created if that is no fault of the backup; else None."""
        wanted = {e.id for e in self._entries.values() if (e.kind, e.schema, e.tag) == ("TABLE", schema, table)}
        for number, words in self._words.items():
            if wanted & self._with_dependents({number}):
                return f"{self._entries[number].name}: {words}"
        return None

    def _with_dependents(self, numbers: set[int]) -> set[int]:
        found = set(numbers)
        size = -1
        while size != len(found):
            size = len(found)
            found |= {entry.id for entry in self._entries.values() if entry.needs & found}
        return found


def _is_known(refusal: RefusedEntry) -> bool:
    """Returns whether an object has no owner because it does not exist, which has been reported already."""
    given = refusal.command.startswith("ALTER ") and " OWNER TO " in refusal.command
    return given and "does not exist" in refusal.words and not refusal.words.startswith("role ")


def _is_its_owners(entry: ArchiveEntry) -> bool:
    """The schema `public` is in a dump for the owner that it was given; an extension's comment is for who made that."""
    return (entry.kind, entry.tag) == ("SCHEMA", "public") or (
        entry.kind == "COMMENT" and entry.tag.startswith("EXTENSION ")
    )


def _is_no_fault(entry: ArchiveEntry, words: str) -> bool:
    """Returns whether the server's message on an entry concerns the server or our role, not the backup."""
    denied = entry.kind in _FOR_THE_FEW and _DENIED.search(words)
    return bool(denied or (entry.kind in _OF_THE_SERVER and not _NOT_SAVED.search(words)) or _ABSENT.search(words))
