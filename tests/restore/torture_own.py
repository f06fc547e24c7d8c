"""Types that users make or add: enums, domains, composites, ranges, arrays of them, and the extensions' types."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tests.restore.torture_kind import Kind, array_of, composite_of, multirange_of, quote_in, range_of, renamed
from tests.restore.torture_times import clock
from tests.restore.torture_values import text

OTHER = '"Other schema"'
LABELS = ("so-so", "it's", "", " ", 'a "b", c', "{}", "NULL", "back\\slash", "n" * 63)
KOREAN = ("좋아요", "싫어요", "그저 그래요")


def _listed(labels: Sequence[str]) -> str:
    return ", ".join("'" + label.replace("'", "''") + "'" for label in labels)


MAKE = f'''
CREATE SCHEMA {OTHER};
CREATE TABLE {OTHER}."한글 표" ();
CREATE TYPE mood AS ENUM ({_listed(LABELS)});
CREATE TYPE {OTHER}."기분" AS ENUM ({_listed(KOREAN)});
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE {OTHER}."Odd ""type""" AS (
  "x y" numeric(6,2), gone integer, at timestamptz, flag boolean, p pair, ps pair[], mood mood, "빈" text);
ALTER TYPE {OTHER}."Odd ""type""" DROP ATTRIBUTE gone;
CREATE DOMAIN cents AS numeric(10,2) CHECK (value > -1e9);
CREATE DOMAIN inner_cents AS cents DEFAULT 1;
CREATE DOMAIN word AS text CHECK (length(value) < 20);
CREATE DOMAIN padded AS char(6);
CREATE DOMAIN list AS integer[];
CREATE DOMAIN couple AS pair;
CREATE DOMAIN due AS date;
CREATE DOMAIN {OTHER}."Odd ""domain""" AS timestamptz;
CREATE TYPE moments AS RANGE (subtype = timestamptz);
CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE words AS RANGE (subtype = text, collation = "C");
CREATE TYPE {OTHER}.amounts AS RANGE (subtype = cents)
'''
"""One statement after the other: a domain over a domain, a type with a dropped attribute, names that need quotes."""


def own(version: int, built_in: Mapping[str, Kind]) -> list[Kind]:
    """The types of `MAKE`."""
    mood = Kind("mood", LABELS)
    pair = composite_of("pair", built_in["integer"], Kind("text", built_in["text"].light, lambda r: text(r, 5)))
    odd = composite_of(
        f'{OTHER}."Odd ""type"""',
        built_in["numeric(6,2)"],
        built_in["timestamp with time zone"],
        built_in["boolean"],
        pair,
        array_of(pair),
        mood,
        built_in["text"],
    )
    own_ranges = [
        range_of("moments", _ordered(_instant, str), f"[{quote_in('2025-01-01 00:00:00+00')},infinity]"),
        range_of(
            "floats", _ordered(lambda r: repr(r.uniform(-9, 9)), float), "[NaN,NaN]", "[-0,0]", "(-Infinity,Infinity)"
        ),
        range_of("words", _ordered(text, str.encode), '["",""]', '["\\"","\\\\"]', '["NULL",]'),
        range_of(f"{OTHER}.amounts", _ordered(_amount, float), "[0.00,0.1]", "[1,NaN]"),
    ]
    cents = renamed(built_in["numeric(10,2)"], "cents")
    return [
        mood,
        Kind(f'{OTHER}."기분"', KOREAN),
        pair,
        odd,
        cents,
        renamed(cents, "inner_cents"),
        Kind("word", ("", " ", "한글", "NULL"), text),
        renamed(built_in["character(6)"], "padded"),
        renamed(array_of(built_in["integer"]), "list"),
        renamed(pair, "couple"),
        renamed(built_in["date"], "due"),
        renamed(built_in["timestamp with time zone"], f'{OTHER}."Odd ""domain"""'),
        *_with_multiranges(version, own_ranges),
    ]


def ranges(version: int) -> list[Kind]:
    """The built-in range types, and their multiranges where the server has them."""
    number = _ordered(lambda r: str(r.randint(-(10**9), 10**9)), int)
    kinds = [
        range_of("int4range", number, "[1,5)", "[-2147483648,2147483646]", "[3,3]"),
        range_of("int8range", number, "[1,9223372036854775807)", "[-9223372036854775808,)"),
        range_of("numrange", _ordered(_amount, float), "(1.10,2.20]", "[NaN,NaN]", "[0.000,0.0000]"),
        range_of("daterange", _ordered(_day, str), "[2025-01-01,2025-01-31]", "(,infinity)", "[-infinity,infinity]"),
        range_of("tsrange", _ordered(_moment, str), '["2025-01-01 00:00:00",infinity)', "[-infinity,)"),
        range_of("tstzrange", _ordered(_instant, str), '["2025-01-01 00:00:00+09",infinity]', "(-infinity,infinity)"),
    ]
    return _with_multiranges(version, kinds)


def _with_multiranges(version: int, kinds: Sequence[Kind]) -> list[Kind]:
    """Range types and their multiranges, which came with PostgreSQL 14, under the names that it gives them."""
    names = {
        kind: kind.declared.replace("range", "multirange")
        if "range" in kind.declared
        else f"{kind.declared}_multirange"
        for kind in kinds
    }
    return [*kinds, *(multirange_of(name, kind) for kind, name in names.items() if version >= 14)]


def _ordered(draw: Callable[[Random], str], key: Callable[[str], object]) -> Callable[[Random], tuple[str, str]]:
    def two(random: Random) -> tuple[str, str]:
        low, high = sorted((draw(random), draw(random)), key=key)  # type: ignore[arg-type]
        return low, high

    return two


def _amount(random: Random) -> str:
    return f"{random.randint(-(10**6), 10**6) / 100:.{random.randrange(5)}f}"


def _day(random: Random) -> str:
    return f"{random.randint(1, 9999):04}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _moment(random: Random) -> str:
    return f"{_day(random)} {clock(random)}"


def _instant(random: Random) -> str:
    return f"{_moment(random)}+00"


def extensions(available: set[str]) -> tuple[list[str], list[Kind]]:
    """The extensions to create, and their types, of those that the server has."""
    kinds = {
        "hstore": [Kind("hstore", ("", '"a"=>"1", "b"=>NULL', '""=>""', '"b"=>"NULL"'), _hstore)],
        "citext": [Kind("citext", ("", "MiXed", "  "), text)],
        "ltree": [Kind("ltree", ("", "a.b.c"), lambda r: ".".join(r.choices("abcXYZ_", k=r.randint(1, 5))))],
        "cube": [Kind("cube", ("(1,2),(3,-0)", "(0)"), lambda r: f"({r.uniform(-9, 9)!r},{r.uniform(-9, 9)!r})")],
        "seg": [Kind("seg", ("1.10", "~5.0", "<1", "1.0 .. 2"), lambda r: f"{r.uniform(0, 9):.3f}")],
        "isn": [Kind("isbn", ("978-0-11-000533-1",))],
        "intarray": [Kind("query_int", ("1&(2|!3)",))],
        "vector": [
            Kind(
                "vector(3)",
                ("[1,-2.5,3e-07]", "[-0,0,3.4028235e+38]"),
                lambda r: json.dumps([r.uniform(-1, 1) for _ in range(3)]),
            ),
            Kind("vector", ("[1]", "[0,0,0]"), lambda r: json.dumps([r.gauss() for _ in range(r.randint(1, 5))])),
            Kind(
                "halfvec(3)",
                ("[1,-2.5,65504]", "[-0,6e-08,0]"),
                lambda r: json.dumps([r.uniform(-1, 1) for _ in range(3)]),
            ),
            Kind("sparsevec(5)", ("{}/5", "{1:1.5,5:-2}/5"), lambda r: f"{{{r.randint(1, 5)}:{r.uniform(1, 2)!r}}}/5"),
        ],
    }
    names = [name for name in kinds if name in available]
    return names, [kind for name in names for kind in kinds[name]]


def _hstore(random: Random) -> str:
    values = [random.choice(("NULL", quote_in(text(random, 5)))) for _ in range(random.randrange(4))]
    return ", ".join(f"{quote_in(text(random, 5))}=>{value}" for value in values)
