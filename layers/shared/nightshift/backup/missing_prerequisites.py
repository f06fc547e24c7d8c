"""Finds objects that the target cannot create, and their dependents. Such an object is not a fault of the backup.

Only superusers may create event triggers, untrusted extensions, foreign-data wrappers and similar objects. An extension
may not be installed, or may be allowed in one database of a server only (pg_cron). A role, a library or a locale may be
missing. Objects that cannot be created are left out of the comparison. All other objects are restored and compared.
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
"""The server's message for an extension whose schema was not saved."""
_OF_THE_SERVER = {"EXTENSION", "COLLATION", "ACCESS METHOD", "TEXT SEARCH DICTIONARY"}
"""Kinds of objects that need files of the server. A refusal of such an object is not a fault of the backup."""

_FOR_THE_FEW = {
    *("EVENT TRIGGER", "EXTENSION", "FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE"),
    *("PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA", "PROCEDURAL LANGUAGE", "CAST", "TRANSFORM"),
    *("FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "SHELL TYPE", "OPERATOR CLASS", "OPERATOR FAMILY", "ACCESS METHOD"),
    *("TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "SECURITY LABEL", "COMMENT"),
}
"""Kinds of objects that may need more rights than a database's owner has. If the server refuses another kind, e.g. a
table, an index or a trigger, the role is not the cause: code in the backup needed more rights than it has."""


class MissingPrerequisites:
    """The objects of one archive that the restoring role cannot create."""

    def __init__(self, entries: Sequence[ArchiveEntry], *, owners: bool, without: frozenset[int] = frozenset()) -> None:
        """Args:
        entries: entries of the archive.
        owners: owners are restored.
        without: numbers of entries that are left out, and reported elsewhere.
        """
        self._entries = {entry.id: entry for entry in entries}
        self._without = without
        self._unexpected = {e.id for e in entries if not owners and _is_its_owners(e)}
        self._found: set[int] = set()
        self._words: dict[int, str] = {}

    @property
    def entry_ids(self) -> frozenset[int]:
        """Returns the numbers of the entries that the database is not expected to have."""
        return frozenset(self._found | self._unexpected | self._without)

    def remove_entries(self, refused: Sequence[RefusedEntry]) -> tuple[str, ...]:
        """Record the entries that the role cannot create. Returns one sentence for each other refusal."""
        about = {refusal: self._entry_of(refusal) for refusal in refused if not _is_known(refusal)}
        for refusal, entry in about.items():
            if entry is not None and _is_no_fault(entry, refusal.words):
                self._found.add(entry.id)
                self._words.setdefault(entry.id, refusal.words)
        self._found = self._with_dependents(self._found)
        # An object that cannot be created makes others fail. Refusals with the same message are reported once.
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
        """Yields a sentence for each message of the server, with the objects that are missing because of it."""
        named: set[int] = set()
        for words in dict.fromkeys(self._words.values()):
            lost = self._with_dependents({number for number, why in self._words.items() if why == words})
            names = [self._entries[number].name for number in sorted(lost - named - self._unexpected)]
            named |= lost
            if names:
                yield f"left out, as the server said {words!r}: {', '.join(names)}"

    def find_cause(self, schema: str, table: str) -> str | None:
        """Returns why a table could not be created, if the reason is not a fault of the backup; else None."""
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
    """Returns whether an owner was not set because the object does not exist. The object is reported already."""
    given = refusal.command.startswith("ALTER ") and " OWNER TO " in refusal.command
    return given and "does not exist" in refusal.words and not refusal.words.startswith("role ")


def _is_its_owners(entry: ArchiveEntry) -> bool:
    """Returns whether an entry makes sense only for the owner: schema `public`, or the comment of an extension."""
    return (entry.kind, entry.tag) == ("SCHEMA", "public") or (
        entry.kind == "COMMENT" and entry.tag.startswith("EXTENSION ")
    )


def _is_no_fault(entry: ArchiveEntry, words: str) -> bool:
    """Returns whether the server's message on an entry concerns the server or the role, not the backup."""
    denied = entry.kind in _FOR_THE_FEW and _DENIED.search(words)
    return bool(denied or (entry.kind in _OF_THE_SERVER and not _NOT_SAVED.search(words)) or _ABSENT.search(words))
