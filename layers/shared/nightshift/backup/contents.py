"""Reads the table of contents of a pg_dump archive (custom format), and rewrites it with other statements.

pg_restore lists it for people, and cannot change it. The format is PostgreSQL's own (`pg_backup_archiver.c`), and has
been extended three times since version 12. An archive of an unknown version is not changed. Only archives without rows
are supported: in others, data offsets would have to be moved.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nightshift.errors import NightshiftError

_MAGIC = b"PGDMP"
_KNOWN = ((1, 14), (1, 15), (1, 16))
_ACCESS_METHOD, _ALGORITHM, _RELKIND = (1, 14), (1, 15), (1, 16)
_CUSTOM = 1
_DATE_FIELDS = 7


class ArchiveUnknown(NightshiftError):
    """This is no archive of pg_dump, or one of a version that is not known."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One object.

    Attributes:
        id: number within the archive, as lists for pg_restore have it.
        kind: e.g. `FOREIGN TABLE`.
        tag: its name, without the schema.
        statement: SQL that makes it.
        needs: ids of what it depends on.
        tablespace: where it is to lie; None: in the database's own.
    """

    id: int
    kind: str
    tag: str
    schema: str | None
    owner: str | None
    statement: str = field(repr=False)
    needs: frozenset[int] = frozenset()
    tablespace: str | None = None

    @property
    def name(self) -> str:
        """Its kind and name, for people."""
        return f"{self.kind.lower()} {f'{self.schema}.' if self.schema else ''}{self.tag}"


def read_entries(archive: bytes) -> tuple[ArchiveEntry, ...]:
    """The objects of an archive, in its order; raises `ArchiveUnknown`."""
    return tuple(entry for entry, _ in _Reader(archive).entries())


def rewrite_entries(archive: bytes, edit: Callable[[ArchiveEntry], ArchiveEntry]) -> bytes:
    """An archive whose entries have the statement, the tablespace and the owner of what `edit` returns.

    Raises:
        ArchiveUnknown: it cannot be read.
    """
    reader = _Reader(archive)
    pieces: list[bytes] = []
    copied = 0
    for entry, places in reader.entries():
        edited = edit(entry)
        for before, after, (start, end) in zip(_texts(entry), _texts(edited), places, strict=True):
            if before != after:
                pieces += [archive[copied:start], reader.text_of(after)]
                copied = end
    return b"".join([*pieces, archive[copied:]])


def _texts(entry: ArchiveEntry) -> tuple[str, str, str]:
    """Return the texts of an entry that can be written anew, in the archive's order."""
    return entry.statement, entry.tablespace or "", entry.owner or ""


_Places = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Start and end positions in the archive of the texts of `_texts`."""


class _Reader:
    def __init__(self, archive: bytes) -> None:
        self._archive = archive
        self._at = len(_MAGIC)
        if not archive.startswith(_MAGIC):
            raise ArchiveUnknown("this is no archive of pg_dump")
        version = self._byte(), self._byte()
        self._byte()  # revision
        self._version = version
        self._int_bytes, self._offset_bytes, form = self._byte(), self._byte(), self._byte()
        if version not in _KNOWN or form != _CUSTOM:
            raise ArchiveUnknown(
                "the archive of pg_dump has a form that is not known",
                detail=f"version {version[0]}.{version[1]}, format {form}",
                hint="set BACKUP_PG_CLIENT to a pg_dump of PostgreSQL 13 to 18;"
                " for a backup that has it: a newer nightshift",
            )

    def entries(self) -> Iterator[tuple[ArchiveEntry, _Places]]:
        """Yields each entry with the positions of its texts in the archive."""
        if self._version >= _ALGORITHM:
            self._byte()
        else:
            self._number()
        for _ in range(_DATE_FIELDS):
            self._number()
        for _ in ("database", "server's version", "pg_dump's version"):
            self._text()
        for _ in range(self._number()):
            yield self._entry()

    def text_of(self, text: str) -> bytes:
        """A text as archives hold it."""
        body = text.encode(errors="surrogateescape")
        return b"\0" + len(body).to_bytes(self._int_bytes, "little") + body

    def _entry(self) -> tuple[ArchiveEntry, _Places]:
        number = self._number()
        if self._number():
            raise ArchiveUnknown("the archive of pg_dump holds rows")
        _, _, tag, kind = self._text(), self._text(), self._text(), self._text()
        self._number()  # section
        statement, first = self._placed()
        _, _, schema = self._text(), self._text(), self._text()
        tablespace, second = self._placed()
        if self._version >= _ACCESS_METHOD:
            self._text()
        if self._version >= _RELKIND:
            self._number()
        owner, third = self._placed()
        self._text()  # with OIDs
        needs = set()
        while (needed := self._text()) is not None:
            needs.add(int(needed))
        self._at += 1 + self._offset_bytes  # where its data are
        entry = ArchiveEntry(
            id=number,
            kind=kind or "",
            tag=tag or "",
            schema=schema or None,
            owner=owner or None,
            statement=statement or "",
            needs=frozenset(needs),
            tablespace=tablespace or None,
        )
        return entry, (first, second, third)

    def _placed(self) -> tuple[str | None, tuple[int, int]]:
        """A text, and where it begins and ends."""
        start = self._at
        text = self._text()
        return text, (start, self._at)

    def _byte(self) -> int:
        (value,) = struct.unpack_from("B", self._archive, self._at)
        self._at += 1
        return int(value)

    def _number(self) -> int:
        negative = self._byte()
        value = int.from_bytes(self._archive[self._at : self._at + self._int_bytes], "little")
        self._at += self._int_bytes
        return -value if negative else value

    def _text(self) -> str | None:
        length = self._number()
        if length < 0:
            return None
        self._at += length
        if self._at > len(self._archive):
            raise ArchiveUnknown("the archive of pg_dump is cut off")
        return self._archive[self._at - length : self._at].decode(errors="surrogateescape")
