"""Reads the entries of a pg_dump archive (custom format) and of its SQL, and rewrites an archive's statements.

pg_restore lists an archive for people, and cannot change an archive. The format is PostgreSQL's own
(`pg_backup_archiver.c`), and has been extended three times since version 12. An archive of an unknown version is not
changed. Archives with rows are not supported, because a rewrite would have to change the offsets of the rows.

Passwords of other servers are removed. They are options of user mappings, foreign servers and similar objects. A user
mapping keeps only its user's name. Foreign-data wrappers, servers and foreign tables keep an option if its name does
not look like a secret's name and its value holds no login. A custom foreign-data wrapper may use any name for its
password, so every option that looks like a password is removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from nightshift.errors import NightshiftError

_MAGIC = b"PGDMP"
_KNOWN = ((1, 14), (1, 15), (1, 16))
_ACCESS_METHOD, _ALGORITHM, _RELKIND = (1, 14), (1, 15), (1, 16)
_CUSTOM = 1
_DATE_FIELDS = 7

_KINDS = {"FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE"}
_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\s"\'(),]+)'
_LITERAL = r"(?:E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*')"
_OPTION = re.compile(rf"({_IDENTIFIER}) ({_LITERAL})", re.DOTALL)
_OPTIONS = re.compile(rf"(\s*)OPTIONS \(\s*({_IDENTIFIER} {_LITERAL}(?:,\s*{_IDENTIFIER} {_LITERAL})*)\s*\)", re.DOTALL)
_OF_A_COLUMN = re.compile(rf"^ALTER FOREIGN TABLE .* ALTER COLUMN {_IDENTIFIER}$", re.MULTILINE)
_NO_SECRET = {"user", "username"}
_SECRET_NAME = re.compile("pass|pwd|secret|token|credential|key|auth|conninfo|connstr|connection|dsn", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/\s]*@|\b(?:password|pwd|passwd)\s*=", re.IGNORECASE)


OWNERSHIP = re.compile(r'(?:\A|\n)(ALTER [^\n]+ OWNER TO (?:"(?:[^"\n]|"")+"|[^\s"]+);)\s*\Z')
"""The last statement of an entry, which transfers the entry's object to its owner."""
_SQL_ENTRY = re.compile(r"^--\n-- (?:Data for )?Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)\n--\n", re.MULTILINE)
_BETWEEN_ENTRIES = re.compile(r"^SET default_(?:tablespace|table_access_method) = .*;\n", re.MULTILINE)
"""Settings that pg_dump writes after an entry for the next entry."""
_BY_NATURE = re.compile(r"^(?:\\(?:un)?restrict .*|-- Dumped (?:from database|by pg_dump) version .*)\n", re.MULTILINE)
_END = "--\n-- PostgreSQL database dump complete\n--\n"


class ArchiveUnknown(NightshiftError):
    """The bytes are not an archive of pg_dump, or the archive has an unknown version."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One object in an archive.

    Attributes:
        id: number of the entry in the archive, as in `pg_restore --list`.
        kind: kind of the object, e.g. `FOREIGN TABLE`.
        tag: the object's name, without the schema.
        needs: ids of the entries on which the object depends.
        tablespace: the object's tablespace; None: the database's default tablespace.
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
        """Returns the object's kind and name, for messages."""
        return f"{self.kind.lower()} {f'{self.schema}.' if self.schema else ''}{self.tag}"


class SqlEntry(NamedTuple):
    """One entry of an archive's SQL. `schema` or `owner` is `-` if the object has no schema or no owner."""

    name: str
    kind: str
    schema: str
    owner: str
    statements: str


def split_sql(sql: str) -> Iterator[SqlEntry]:
    """Yields the entries of an archive's SQL, in order, without text that differs between two runs of pg_dump.

    The first entry, `preamble`, holds the SQL before all other entries.
    """
    pieces = _SQL_ENTRY.split(_BY_NATURE.sub("", sql))
    for at in range(0, len(pieces), 5):
        name, kind, schema, owner = pieces[at - 4 : at] if at else ("preamble", "", "-", "-")
        yield SqlEntry(name, kind, schema, owner, _BETWEEN_ENTRIES.sub("", pieces[at]).replace(_END, ""))


def read_entries(archive: bytes) -> tuple[ArchiveEntry, ...]:
    """Returns the objects of an archive, in order. Raises `ArchiveUnknown`."""
    return tuple(entry for entry, _ in _Reader(archive).entries())


def rewrite_entries(archive: bytes, edit: Callable[[ArchiveEntry], ArchiveEntry]) -> bytes:
    """Returns the archive with the statement, the tablespace and the owner that `edit` returns for each entry."""
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
        self._version = version = self._byte(), self._byte()
        self._byte()  # revision
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
        start = self._at
        text = self._text()
        return text, (start, self._at)

    def _byte(self) -> int:
        self._at += 1
        return self._archive[self._at - 1]

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


def without_secrets(archive: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Returns an archive without other servers' passwords, and one string per object with the removed options' names.

    Raises:
        ArchiveUnknown: the archive cannot be read.
    """
    left_out = []

    def edit(entry: ArchiveEntry) -> ArchiveEntry:
        if entry.kind not in _KINDS:
            return entry
        statement, names = _without_secret_options(entry)
        if names:
            name = f"{entry.kind.lower()} {entry.tag.removeprefix('USER MAPPING ')}"
            left_out.append(f"{name} ({', '.join(sorted(names))})")
        return replace(entry, statement=statement)

    return rewrite_entries(archive, edit), tuple(left_out)


def _without_secret_options(entry: ArchiveEntry) -> tuple[str, set[str]]:
    """Returns an entry's statement without its secret options, and the names of the removed options."""
    secret: set[str] = set()

    def edit(options: re.Match[str]) -> str:
        if _OF_A_COLUMN.search(entry.statement, 0, options.start()):
            return options[0]  # options of a column hold names, no secrets
        pairs = _OPTION.findall(options[2])
        kept = [f"{name} {value}" for name, value in pairs if not _is_secret(entry.kind, name, value)]
        if len(kept) == len(pairs):
            return options[0]
        secret.update(name for name, value in pairs if _is_secret(entry.kind, name, value))
        listed = ",\n    ".join(kept)
        return f"{options[1]}OPTIONS (\n    {listed}\n)" if kept else ""

    return _OPTIONS.sub(edit, entry.statement), secret


def _is_secret(kind: str, name: str, value: str) -> bool:
    plain = name.strip('"')
    if kind == "USER MAPPING":
        return plain not in _NO_SECRET
    return bool(_SECRET_NAME.search(plain) or _LOGIN.search(value))
