"""Parses values of file columns into bucket and key of an S3 object, or none that may be deleted.

A value is a key as it stands, or an address that names its bucket: `s3://bucket/key`, `arn:aws:s3:::bucket/key`, or a
URL of S3's own, whose path is percent-encoded and may carry a signature. Each has one reading. A value with none, or
more than one, names nothing: another scheme's address, a list, blanks around, a query behind a bare key. Nor does an
object in a bucket that the policy does not list, or below a prefix that nightshift keeps for itself.

`FileNameReading` is that rule in Python; `file_names_sql` is the same one in PostgreSQL's SQL, for rows that stay in
the server.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from nightshift.settings import Settings, is_alias

MOST_BYTES = 1024
"""Of a key, in UTF-8 (S3 user guide, "Naming Amazon S3 objects")."""

HOST = r"s3(?:[.-](?:dualstack[.])?[a-z0-9-]+)?[.]amazonaws[.]com(?:[.]cn)?"
"""Of S3: by region, in the older form with a hyphen, over IPv6, accelerated."""
URL_KEY = r"[^?#+]+"
"""A plus sign stands for itself or for a blank, depending on who wrote it."""
QUERY = r"(?:[?].*)?"
ODD_QUERY = r"[?](?:versionId=|X-Amz-|AWSAccessKeyId=)"
"""A version, or a signature: no part of a key."""
BLANKS = r" \t\n\r"
"""At the ends of what is no key; PostgreSQL and Python agree on no others."""
NO_KEY = (
    r"^(?:[a-z][a-z0-9+.-]*://|//|arn:|data:|file:|blob:|urn:)"  # an address
    r"|^[{[].*[]}]$"  # a list
    rf"|{ODD_QUERY}"
    r"|(?:^|/)[.][.]?(?:/|$)"  # some servers take it for another key
)
_MARKS = (":", "?", "./", ".\0", "\0//", "\0[", "\0{")
"""Of these, behind a zero byte where a key begins, whatever matches has at least one."""
_NO_KEY = re.compile(NO_KEY, re.IGNORECASE | re.DOTALL | re.ASCII)
_ODD_QUERY = re.compile(ODD_QUERY)
_PLAIN_ADDRESS = re.compile(r"(?:s3[an]?://|arn:aws[a-z-]*:s3:::)([^/]+)/(.+)", re.DOTALL)
_URL = re.compile(
    rf"https?://(?:(?P<host>[a-z0-9][a-z0-9.-]*)[.]{HOST}|{HOST}/(?P<path>[^/?#+]+))/(?P<key>{URL_KEY}){QUERY}",
    re.DOTALL,
)

ANY = "*"
NOT_LISTED = "names the bucket"


class NamedFiles(NamedTuple):
    """An object."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class NoFileNames:
    """A value names no object that may be deleted; `why` ends a sentence that begins with its column."""

    why: str


@dataclass(frozen=True, slots=True)
class FileScope:
    """Buckets in which files may be deleted, and prefixes in them that are protected.

    Attributes:
        buckets: those that the policy lists, and no other.
        own: bucket and prefix of nightshift's own objects, archive and backups; `ANY` for a bucket that is known by
            an alias alone.
    """

    buckets: frozenset[str] = frozenset()
    own: frozenset[tuple[str, str]] = frozenset()

    def outside_scope(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        """Those of some keys of one bucket that may not be deleted, and why."""
        if not bucket or bucket not in self.buckets:
            return dict.fromkeys(keys, "NotListed" if bucket else "NoBucket")
        refused = {key: "Protected" for key in keys if self.is_own(bucket, key)} if self.own_prefixes(bucket) else {}
        text = "\0".join(("", *keys, ""))
        if any(mark in text for mark in _MARKS):  # a pattern a key would take a tenth of the time of a request
            refused |= {key: "NotAKey" for key in keys if _NO_KEY.search(key)}
        return refused

    def own_prefixes(self, bucket: str) -> list[str]:
        """The prefixes in a bucket that are nightshift's; an empty one stands for all of it."""
        return sorted({prefix for place, prefix in self.own if place in (bucket, ANY)})

    def is_own(self, bucket: str, key: str) -> bool:
        """Returns whether an object is nightshift's; for some servers slashes in front are no part of a key."""
        key = key.lstrip("/")
        return any(not own or key == own or key.startswith(f"{own}/") for own in self.own_prefixes(bucket))


@dataclass(frozen=True, slots=True)
class FileNameReading:
    """Rules for reading the values of a file column.

    Attributes:
        strip: beginning of values that is no part of a key.
        prefix: prefix of values that are no address.
    """

    reach: FileScope = FileScope()
    strip: str = ""
    prefix: str = ""

    def read_value(self, value: str, bucket: str | None) -> NamedFiles | NoFileNames:
        """Returns the object that a value names, or why it names none; `bucket` is the row's, else the policy's."""
        named = self._read(value, bucket or "")
        if isinstance(named, NoFileNames):
            return named
        if not named.bucket:
            return NoFileNames("does not say in which bucket")
        if named.bucket not in self.reach.buckets:
            return NoFileNames(f"{NOT_LISTED} {named.bucket[:80]}, which the policy does not list")
        if self.reach.is_own(*named):
            return NoFileNames("names an object of nightshift's own")
        return named

    def _read(self, value: str, bucket: str) -> NamedFiles | NoFileNames:
        if self.strip and value.startswith(self.strip):
            rest = value[len(self.strip) :]
            plain = _url_key(rest) if self.strip.startswith("http") else rest
            if plain is None:
                return NoFileNames("holds a URL that has no one reading")
            return _checked(bucket, plain, self.prefix)
        address = _PLAIN_ADDRESS.fullmatch(value)
        if address and not _ODD_QUERY.search(value):
            return _checked(address[1], address[2])
        if (url := _URL.fullmatch(value)) and (key := _url_key(value[url.start("key") :])) is not None:
            return _checked(url["host"] or url["path"], key)
        return _checked(bucket, value, self.prefix)


def reach_of(settings: Settings, buckets: Collection[str]) -> FileScope:
    """Returns the scope in which files of the given buckets, and of the settings' own, may be deleted."""
    listed = frozenset(b for b in (*buckets, settings.expire_files_bucket) if b and not is_alias(b))
    places = [(settings.archive_bucket, settings.archive_prefix)]
    places.append((settings.backup_bucket or settings.archive_bucket, settings.backup_prefix))
    own = ((ANY if is_alias(bucket) else bucket, prefix.strip("/")) for bucket, prefix in places if bucket)
    return FileScope(listed, frozenset(own))


def shorten_name(value: str) -> str:
    """A value for a report: no signature, no login, no line of any length."""
    return re.sub(r"//[^/@]*@", "//", value.partition("?")[0])[:120]


def other_readings(value: str, named: NamedFiles) -> dict[str, str]:
    """Keys that a value may have been meant for, where its own names nothing → the remedy."""
    key = named.key
    readings = {key.lstrip("/"): 'strip = "/" in [[expiry.files]]'} if key.startswith("/") else {}
    if key.startswith(f"{named.bucket}/"):
        readings[key.removeprefix(f"{named.bucket}/")] = f'strip = "{named.bucket}/" in [[expiry.files]]'
    if "%" in key and (plain := _decoded(key)):
        readings[plain] = "correct the column: its keys are percent-encoded"
    if len(parts := re.split(r"[,;|\n]", value)) > 1:
        first = parts[0].strip()
        readings[key.removesuffix(value) + first] = "name a column that holds one key a row"
    if "?" in key:
        readings[key.partition("?")[0]] = "correct the column: what follows the question mark is no part of the key"
    return {other: remedy for other, remedy in readings.items() if other and other != key}


def _checked(bucket: str, key: str, prefix: str = "") -> NamedFiles | NoFileNames:
    if _NO_KEY.search(key):
        return NoFileNames(_kind(key))
    if not key or key != key.strip(" \t\n\r"):
        return NoFileNames("holds blanks around a key")
    if len((prefix + key).encode("utf-8", "surrogatepass")) > MOST_BYTES:
        return NoFileNames("holds more than a key can")
    return NamedFiles(bucket, prefix + key)


def _url_key(rest: str) -> str | None:
    """Returns the key in a URL's end: its decoded path, without a query; None where the query names a version."""
    path = re.fullmatch(rf"({URL_KEY}){QUERY}", rest, re.DOTALL)
    return None if path is None or re.search(r"[?&]versionId=", rest) else _decoded(path[1])


def _decoded(path: str) -> str | None:
    """A URL's path as the key that it stands for; None where it is not percent-encoded as it should be."""
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", path):
        return None
    try:
        return unquote(path, errors="strict")
    except UnicodeDecodeError:
        return None


def _kind(value: str) -> str:
    if value[:1] in "[{":
        return "holds a list"
    if "://" in value or value.startswith("//") or ":" in value.partition("/")[0]:
        return "holds an address that is not of a listed bucket"
    return "holds a query, or a path with dots, where a key should be"
