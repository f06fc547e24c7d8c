"""Removes passwords of other servers from a saved schema: options of user mappings, foreign servers and the like.

A user mapping keeps only its user's name. Foreign-data wrappers, servers and foreign tables keep the options whose
names are not secret and whose values hold no login. A user's own foreign-data wrapper may give any name to its
password, so every option that looks like a password is removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from nightshift.backup.contents import ArchiveEntry, read_entries, rewrite_entries

_KINDS = {"FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE"}
_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\s"\'(),]+)'
_LITERAL = r"(?:E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*')"
_OPTION = re.compile(rf"({_IDENTIFIER}) ({_LITERAL})", re.DOTALL)
_OPTIONS = re.compile(rf"(\s*)OPTIONS \(\s*({_IDENTIFIER} {_LITERAL}(?:,\s*{_IDENTIFIER} {_LITERAL})*)\s*\)", re.DOTALL)
_OF_A_COLUMN = re.compile(rf"^ALTER FOREIGN TABLE .* ALTER COLUMN {_IDENTIFIER}$", re.MULTILINE)
_NO_SECRET = {"user", "username"}
_SECRET_NAME = re.compile("pass|pwd|secret|token|credential|key|auth|conninfo|connstr|connection|dsn", re.IGNORECASE)
_LOGIN = re.compile(r"://[^/\s]*@|\b(?:password|pwd|passwd)\s*=", re.IGNORECASE)


def without_secrets(archive: bytes) -> tuple[bytes, tuple[str, ...]]:
    """An archive of pg_dump without them.

    Returns:
        the archive, and which options were left out, an object each.

    Raises:
        ArchiveUnknown: it cannot be read.
    """
    found = {entry.id: _left_out(entry) for entry in read_entries(archive) if entry.kind in _KINDS}
    if not any(found.values()):
        return archive, ()
    told = tuple(
        f"{entry.kind.lower()} {entry.tag.removeprefix('USER MAPPING ')} ({', '.join(names)})"
        for entry in read_entries(archive)
        if (names := found.get(entry.id))
    )
    return rewrite_entries(archive, lambda entry: replace(entry, statement=_edited(entry))), told


def _left_out(entry: ArchiveEntry) -> list[str]:
    return sorted(
        {
            name
            for options in _lists(entry)
            for name, value in _OPTION.findall(options[2])
            if _is_secret(entry.kind, name, value)
        }
    )


def _edited(entry: ArchiveEntry) -> str:
    statement = entry.statement
    for options in reversed(list(_lists(entry)) if entry.kind in _KINDS else []):
        found = _OPTION.findall(options[2])
        kept = [f"{name} {value}" for name, value in found if not _is_secret(entry.kind, name, value)]
        if len(kept) < len(found):
            listed = ",\n    ".join(kept)
            put = f"{options[1]}OPTIONS (\n    {listed}\n)" if kept else ""
            statement = statement[: options.start()] + put + statement[options.end() :]
    return statement


def _lists(entry: ArchiveEntry) -> Iterator[re.Match[str]]:
    """The lists of options; those of columns say what is called how, and are left alone."""
    for options in _OPTIONS.finditer(entry.statement):
        if not _OF_A_COLUMN.search(entry.statement, 0, options.start()):
            yield options


def _is_secret(kind: str, name: str, value: str) -> bool:
    plain = name.strip('"')
    if kind == "USER MAPPING":
        return plain not in _NO_SECRET
    return bool(_SECRET_NAME.search(plain) or _LOGIN.search(value))
