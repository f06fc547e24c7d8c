"""Builds the rules of `file_names.FileNameReading` in SQL, for rows that are not sent to the client.

In PostgreSQL the rules are SQL expressions. Nearly all values are plain keys, and a few cheap checks distinguish plain
keys from other values. SQLite calls the Python function.
"""

from __future__ import annotations

import json
from functools import cache

from sqlalchemy import Connection

from nightshift.database.catalog import quote_literal
from nightshift.expiry.file_names import (
    BLANKS,
    HOST,
    MOST_BYTES,
    NO_KEY,
    ODD_QUERY,
    QUERY,
    URL_KEY,
    FileNameReading,
    FileScope,
    NamedFiles,
)

_ADDRESS = "(?:s3[an]?://|arn:aws[a-z-]*:s3:::)"
_BLANKS = f"^[{BLANKS}]|[{BLANKS}]$"
_T = "%[89ab][0-9a-f]"
_UTF8 = (
    f"^(?:[^%]|%(?:0[1-9a-f]|[1-7][0-9a-f])|%(?:c[2-9a-f]|d[0-9a-f]){_T}|%e0%[ab][0-9a-f]{_T}"
    f"|%(?:e[1-9a-cef]){_T}{_T}|%ed%[89][0-9a-f]{_T}|%f0%[9ab][0-9a-f]{_T}{_T}|%f[1-3]{_T}{_T}{_T}"
    f"|%f4%8[0-9a-f]{_T}{_T})*$"
)
"""Pattern of percent-encoded text that is well-formed UTF-8 without a zero byte (RFC 3629)."""
_FUNCTIONS = ("nightshift_file_bucket", "nightshift_file_key")


def object_sql(
    reading: FileNameReading, value: str, bucket: str, *, postgresql: bool, odd: str | None = None
) -> tuple[str, str]:
    """Returns SQL for the bucket and SQL for the key that a value names; one yields NULL if the value names no file.

    Args:
        value, bucket: SQL of the value (see `exact_text_sql`), and SQL of the bucket that the row or the policy names.
        odd: a column that holds the result of `odd_sql` for the value, so that the condition is computed only once.
    """
    if not postgresql:
        given = f"{value}, {bucket}, {quote_literal(_packed(reading))}"
        return f"{_FUNCTIONS[0]}({given})", f"{_FUNCTIONS[1]}({given})"
    odd = odd or odd_sql(reading, value)
    prefix = f"{quote_literal(reading.prefix)} || " if reading.prefix else ""
    key = f"CASE WHEN {odd} THEN {_odd_key(reading, value)} ELSE {prefix}{value} END"
    where = f"CASE WHEN {odd} THEN {_odd_bucket(reading, value, bucket)} ELSE {bucket} END"
    return where, key


def odd_sql(reading: FileNameReading, value: str) -> str:
    """Returns a cheap PostgreSQL condition that is true if a value may be other than a plain key."""
    return f"({_begins(value, reading.strip)} OR {_odd(value)})" if reading.strip else _odd(value)


def tellable_sql(reading: FileNameReading, bucket: str, key: str) -> str:
    """Returns PostgreSQL's condition that the bucket and key from `object_sql` name an object that may be deleted."""
    listed = ", ".join(map(quote_literal, sorted(reading.reach.buckets))) or "NULL"
    parts = [f"{bucket} IN ({listed})", f"octet_length({key}) <= {MOST_BYTES}"]
    for place in sorted(reading.reach.buckets):
        for own in reading.reach.own_prefixes(place):
            inside = f" AND left(ltrim({key}, '/') || '/', {len(own) + 1}) = {quote_literal(own + '/')}" if own else ""
            parts.append(f"({bucket} = {quote_literal(place)}{inside}) IS NOT TRUE")
    return " AND ".join(parts)


def exact_text_sql(text: str, *, postgresql: bool) -> str:
    """Returns SQL for a text that is compared byte by byte, regardless of its column's collation."""
    return f'({text}) COLLATE "C"' if postgresql else f"({text}) COLLATE BINARY"


def address_sql(value: str, *, postgresql: bool) -> str:
    """Returns the SQL condition that a value may be an address."""
    return f"{'strpos' if postgresql else 'instr'}({value}, ':') > 0"


def create_name_functions(connection: Connection) -> None:
    """Register the functions that `object_sql` calls on a SQLite connection."""
    driver = connection.connection.driver_connection
    assert driver is not None  # it is open
    driver.create_function(_FUNCTIONS[0], 3, lambda *given: _named(*given)[0])
    driver.create_function(_FUNCTIONS[1], 3, lambda *given: _named(*given)[1])


def _named(value: str, bucket: str | None, packed: str) -> tuple[str | None, str]:
    named = _unpacked(packed).read_value(str(value), bucket)
    return (named.bucket, named.key) if isinstance(named, NamedFiles) else (None, "")


def _packed(reading: FileNameReading) -> str:
    reach = reading.reach
    return json.dumps([sorted(reach.buckets), sorted(reach.own), reading.strip, reading.prefix])


@cache
def _unpacked(packed: str) -> FileNameReading:
    buckets, own, strip, prefix = json.loads(packed)
    return FileNameReading(
        FileScope(frozenset(buckets), frozenset((place, inside) for place, inside in own)), strip, prefix
    )


def _odd(value: str) -> str:
    marks = " OR ".join(
        f"strpos({value}, {mark}) > 0" for mark in ("':'", "'?'", "' '", "chr(9)", "chr(10)", "chr(13)")
    )
    ranges = " OR ".join(f"({value} >= '{low}' AND {value} < '{high}')" for low, high in (("[", "]"), ("{", "|")))
    return f"({marks} OR {value} LIKE '%./%' OR {value} LIKE '%.' OR {value} < '0' OR {ranges})"


def _odd_key(reading: FileNameReading, value: str) -> str:
    """Returns SQL for the key that a value names; the SQL yields NULL if the value names no key."""
    host, path = (_url_key(value, quote_literal(_url(key=True, path=path))) for path in (False, True))
    address = _checked(f"substring({value} from '^{_ADDRESS}[^/]+/(.+)$')")
    plain = _checked(value, reading.prefix)
    stripped = ""
    if reading.strip:
        rest = f"substr({value}, {len(reading.strip) + 1})"
        rest = _url_key(rest, f"'^({URL_KEY}){QUERY}$'") if reading.strip.startswith("http") else rest
        stripped = f"WHEN {_begins(value, reading.strip)} THEN {_checked(rest, reading.prefix)} "
    return (
        f"CASE {stripped}WHEN {_is_address(value)} THEN {address}"
        f" WHEN {value} ~ {quote_literal(_url(key=False, path=False))} THEN {_checked(host)}"
        f" WHEN {value} ~ {quote_literal(_url(key=False, path=True))} THEN {_checked(path)}"
        f" ELSE {plain} END"
    )


def _odd_bucket(reading: FileNameReading, value: str, bucket: str) -> str:
    stripped = f"WHEN {_begins(value, reading.strip)} THEN {bucket} " if reading.strip else ""
    return (
        f"CASE {stripped}WHEN {_is_address(value)} THEN substring({value} from '^{_ADDRESS}([^/]+)/')"
        f" ELSE coalesce(substring({value} from {quote_literal(_url(key=False, path=False))}),"
        f" substring({value} from {quote_literal(_url(key=False, path=True))}), {bucket}) END"
    )


def _begins(value: str, strip: str) -> str:
    return f"left({value}, {len(strip)}) = {quote_literal(strip)}"


def _is_address(value: str) -> str:
    return f"({value} ~ '^{_ADDRESS}[^/]+/.' AND {value} !~ {quote_literal(ODD_QUERY)})"


def _url(*, key: bool, path: bool) -> str:
    """Returns a pattern for S3's URLs with the bucket in path or host; the pattern captures the key or the bucket."""
    bucket = "[^/?#+]+" if path else "[a-z0-9][a-z0-9.-]*"
    bucket, wanted = (f"(?:{bucket})", f"({URL_KEY})") if key else (f"({bucket})", f"(?:{URL_KEY})")
    return f"^https?://{f'{HOST}/{bucket}' if path else f'{bucket}[.]{HOST}'}/{wanted}{QUERY}$"


def _checked(key: str, prefix: str = "") -> str:
    """Returns SQL for the prefixed key; the SQL yields NULL if `key` is no valid key."""
    whole = f"{quote_literal(prefix)} || k.key" if prefix else "k.key"
    return (
        f"(SELECT {whole} FROM (SELECT {key} AS key) k"
        f" WHERE k.key <> '' AND k.key !~* {quote_literal(NO_KEY)} AND k.key !~ '{_BLANKS}')"
    )


def _url_key(url: str, pattern: str) -> str:
    """Returns SQL for the key at the end of a URL: the decoded path; NULL if the query names a version."""
    return f"CASE WHEN {url} !~ '[?&]versionId=' THEN {_decoded(f'substring({url} from {pattern})')} END"


def _decoded(path: str) -> str:
    """Returns SQL for the key for a URL's path; NULL if the path is not correctly percent-encoded."""
    octets = "CASE WHEN length(m[1]) = 3 THEN right(m[1], 2) ELSE encode(convert_to(m[1], 'UTF8'), 'hex') END"
    pieces = "regexp_matches(p.path, '%[0-9A-Fa-f]{2}|[^%]', 'g') WITH ORDINALITY AS r (m, n)"
    text = f"convert_from(decode((SELECT string_agg({octets}, '' ORDER BY n) FROM {pieces}), 'hex'), 'UTF8')"
    return (
        f"(SELECT CASE WHEN strpos(p.path, '%') = 0 THEN p.path WHEN p.path ~* '{_UTF8}' THEN {text} END"
        f" FROM (SELECT {path} AS path) p)"
    )
