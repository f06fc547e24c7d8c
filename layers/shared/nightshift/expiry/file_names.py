"""Parses a value of a file column into the bucket and key of an S3 object.

A value is a plain key, or an address that names its bucket: `s3://bucket/key`, `arn:aws:s3:::bucket/key`, or an S3 URL,
whose path is percent-encoded and may have a signature. A value names a file only if it has exactly one reading. An
address with another scheme, a list, a value with surrounding blanks, and a plain key with a query name no file. A value
also names no file if the policy does not list the bucket, or if the key has a prefix that nightshift uses.

`FileNameReading` is the rule in Python. `file_names_sql` is the same rule in PostgreSQL's SQL, for rows that are not
sent to the client.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from nightshift.settings import Settings, is_alias

MOST_BYTES = 1024
"""Largest length of a key in UTF-8 (S3 user guide, "Naming Amazon S3 objects")."""

HOST = r"s3(?:[.-](?:dualstack[.])?[a-z0-9-]+)?[.]amazonaws[.]com(?:[.]cn)?"
"""Pattern of S3's host names: regional, the older form with a hyphen, IPv6 (dualstack), accelerated."""
URL_KEY = r"[^?#+]+"
"""Pattern of a URL's path. A plus sign is excluded, because it may mean itself or a blank."""
QUERY = r"(?:[?].*)?"
ODD_QUERY = r"[?](?:versionId=|X-Amz-|AWSAccessKeyId=)"
"""Pattern of a query with a version or a signature, which is no part of a key."""
BLANKS = r" \t\n\r"
"""Blanks that a key may not begin or end with; PostgreSQL and Python agree on these characters."""
NO_KEY = (
    r"^(?:[a-z][a-z0-9+.-]*://|//|arn:|data:|file:|blob:|urn:)"  # an address
    r"|^[{[].*[]}]$"  # a list
    rf"|{ODD_QUERY}"
    r"|(?:^|/)[.][.]?(?:/|$)"  # some servers resolve the dots
)
_MARKS = (":", "?", "./", ".\0", "\0//", "\0[", "\0{")
"""Every match of NO_KEY contains at least one of these marks, if a zero byte precedes and follows each key."""
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
    """Bucket and key of an S3 object."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class NoFileNames:
    """Result for a value that names no deletable object; `why` ends a sentence that begins with the column."""

    why: str


@dataclass(frozen=True, slots=True)
class FileScope:
    """Buckets in which files may be deleted, and protected prefixes in these buckets.

    Attributes:
        buckets: the buckets that the policy or the settings list.
        own: bucket and prefix of the archive and of the backups; `ANY` for a bucket of which only an alias is known.
    """

    buckets: frozenset[str] = frozenset()
    own: frozenset[tuple[str, str]] = frozenset()

    def outside_scope(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        """Returns the keys of one bucket that may not be deleted, each with the reason."""
        if not bucket or bucket not in self.buckets:
            return dict.fromkeys(keys, "NotListed" if bucket else "NoBucket")
        refused = {key: "Protected" for key in keys if self.is_own(bucket, key)} if self.own_prefixes(bucket) else {}
        text = "\0".join(("", *keys, ""))
        if any(mark in text for mark in _MARKS):  # one match per key would cost a tenth of a request's time
            refused |= {key: "NotAKey" for key in keys if _NO_KEY.search(key)}
        return refused

    def own_prefixes(self, bucket: str) -> list[str]:
        """Returns the protected prefixes in a bucket; an empty prefix protects the whole bucket."""
        return sorted({prefix for place, prefix in self.own if place in (bucket, ANY)})

    def is_own(self, bucket: str, key: str) -> bool:
        """Returns whether an object is nightshift's own; leading slashes are ignored, as some servers ignore them."""
        key = key.lstrip("/")
        return any(not own or key == own or key.startswith(f"{own}/") for own in self.own_prefixes(bucket))


@dataclass(frozen=True, slots=True)
class FileNameReading:
    """Rules for reading the values of a file column.

    Attributes:
        strip: beginning of a value that is no part of the key.
        prefix: prefix that is added to values that are plain keys.
    """

    reach: FileScope = FileScope()
    strip: str = ""
    prefix: str = ""

    def read_value(self, value: str, bucket: str | None) -> NamedFiles | NoFileNames:
        """Returns the object that a value names, or the reason why it names none; `bucket` is from row or policy."""
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
    """Returns the scope for the given buckets and the bucket in the settings (EXPIRE_FILES_BUCKET)."""
    listed = frozenset(b for b in (*buckets, settings.expire_files_bucket) if b and not is_alias(b))
    places = [(settings.archive_bucket, settings.archive_prefix)]
    places.append((settings.backup_bucket or settings.archive_bucket, settings.backup_prefix))
    own = ((ANY if is_alias(bucket) else bucket, prefix.strip("/")) for bucket, prefix in places if bucket)
    return FileScope(listed, frozenset(own))


def shorten_name(value: str) -> str:
    """Returns a value for a report, without a signature or a login, and at most 120 characters long."""
    return re.sub(r"//[^/@]*@", "//", value.partition("?")[0])[:120]


def other_readings(value: str, named: NamedFiles) -> dict[str, str]:
    """Returns other keys that a value may mean, each with the change to make if the other key exists."""
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
    """Returns the key at the end of a URL: the decoded path without the query; None if the query names a version."""
    path = re.fullmatch(rf"({URL_KEY}){QUERY}", rest, re.DOTALL)
    return None if path is None or re.search(r"[?&]versionId=", rest) else _decoded(path[1])


def _decoded(path: str) -> str | None:
    """Returns the key for a URL's path; None if the path is not correctly percent-encoded."""
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
