"""Numbers, texts, documents and bytes: the awkward values, and random ones over each type's whole extent."""

from __future__ import annotations

import json
import struct
from functools import partial
from random import Random
from uuid import UUID

from tests.restore.torture_kind import Draw, Kind

LETTERS = [
    *(chr(code) for code in [*range(1, 127), *range(127, 160)]),
    *"'\"\\,;{}()[]<>%:$&|!*@ " * 4,
    *"가나다한글éßøαжע\u05d0\u0627\u0644ﷺ\u202e\u202d\u200f",
    *"e\u0301\u0327\u200d\ufe0f\u200b\ufeff\u00a0\u2028\u0085\U0001d11e\U0001f642\U0001f469\U0001f1f0\U0010ffff\uffff",
]

TEXTS = (
    "",
    " ",
    "trailing  ",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "\\",
    "{}",
    '"',
    "'",
    "''",
    "a,b",
    "1e5",
    "".join(map(chr, range(1, 160))),
    "안녕하세요 '인용' \"따옴표\"\n\ttab\r\n",
    "e\u0301 is not \u00e9",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1f0\U0001f1f7 \U0010ffff",
    "\ufeffmark",
    "x" * 100_000,
    "한" * 40_000,
)


def text(random: Random, longest: int = 16) -> str:
    """Text of any letters but NUL, which PostgreSQL has not."""
    return "".join(random.choices(LETTERS, k=random.randrange(longest + 1)))


def whole(low: int, high: int) -> Draw:
    return lambda random: str(random.randint(low, high))


def integers(declared: str, bits: int) -> Kind:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return Kind(declared, (str(low), str(high), "0", "-1", "1"), whole(low, high))


def float8(random: Random) -> str:
    """Any bits of a double."""
    return repr(struct.unpack("<d", random.randbytes(8))[0])


def float4(random: Random) -> str:
    """Any bits of a single."""
    return repr(struct.unpack("<f", random.randbytes(4))[0])


def numeric(random: Random) -> str:
    """Up to a hundred digits, before and behind the point."""
    before = "".join(random.choices("0123456789", k=random.randint(1, 50)))
    behind = "".join(random.choices("0123456789", k=random.randrange(50)))
    return f"{random.choice(('', '-'))}{before}.{behind}e{random.choice((0, 0, 0, 7, -30, 200))}"


def fixed(precision: int, scale: int, *more: str) -> Kind:
    """A `numeric(p, s)`: also with a negative scale, or one above the precision."""
    biggest = f"{'9' * precision}e{-scale}"
    ends = ("0", "NaN", f"1e{-scale}", f"-1e{-scale}", biggest, f"-{biggest}")

    def draw(random: Random) -> str:
        digits = random.randrange(10 ** random.randint(1, precision))
        return f"{random.choice(('', '-'))}{digits}e{-scale}"

    return Kind(f"numeric({precision},{scale})", (*ends, *more), draw)


def money(random: Random) -> str:
    cents = random.getrandbits(random.randint(1, 63))
    return f"{random.choice(('', '-'))}{cents // 100}.{cents % 100:02}"


FLOATS = ("NaN", "Infinity", "-Infinity", "-0", "0", "0.1", "0.30000000000000004", "1e15", "16777217")


def numbers(version: int) -> list[Kind]:
    """Booleans, integers, floating point, decimals, money."""
    infinite = ("Infinity", "-Infinity") if version >= 14 else ()
    odd = [fixed(5, -3), fixed(38, -2), fixed(3, 5), fixed(1, 38)] if version >= 15 else []
    many = "1" + "0123456789" * 100
    unlimited = (
        *("NaN", "0", "0.000", "-0.10", "1e-1000", "1e1000", "123456789012345678901234567890123456789.5"),
        *("0.1234567890123456789012345678901234567890", many, f"-{many}.{many}", "1e131071", "1e-16383", *infinite),
    )
    return [
        Kind("boolean", ("t", "f")),
        *(integers(name, bits) for name, bits in [("smallint", 16), ("integer", 32), ("bigint", 64)]),
        Kind("real", (*FLOATS, "3.4028235e+38", "-3.4028235e+38", "1e-45", "1.17549435e-38"), float4),
        Kind(
            "double precision",
            (
                *FLOATS,
                "1.7976931348623157e308",
                "-1.7976931348623157e308",
                "5e-324",
                "-5e-324",
                "2.2250738585072014e-308",
            ),
            float8,
        ),
        Kind("numeric", unlimited, numeric),
        *(fixed(p, s) for p, s in [(1, 0), (5, 0), (10, 2), (18, 18), (19, 3), (38, 0), (38, 10), (38, 38)]),
        *(fixed(p, s) for p, s in [(39, 0), (50, 20), (1000, 500)]),
        *odd,
        Kind("money", ("-92233720368547758.08", "92233720368547758.07", "0", "-0.01", "1234.56"), money),
    ]


def blob(random: Random) -> str:
    return "\\x" + random.randbytes(random.randrange(20)).hex()


def document(random: Random, depth: int = 2) -> str:
    """JSON as a person might write it: odd spacing, keys twice, numbers of many digits."""
    space = random.choice(("", "", " ", "  ", "\n", "\t"))
    kind = random.randrange(7 if depth else 5)
    if kind >= 5:
        inner = [document(random, depth - 1) for _ in range(random.randrange(3))]
        if kind == 5:
            return f"[{space}{f' ,{space}'.join(inner)}{space}]"
        return "{" + space + f",{space}".join(f'{space}"{random.choice("aab")}"{space}: {v}' for v in inner) + "}"
    if kind == 4:
        return json.dumps(text(random, 8), ensure_ascii=random.random() < 0.5)
    return random.choice(("null", "true", "false", "-0", "1.10", "1E400", str(random.getrandbits(80)), '""'))


DOCUMENTS = (
    '{"b": 1,  "a": 2, "a": 3}',
    "[1, null]",
    "null",
    '""',
    "1.10",
    "{}",
    "[]",
    ' {"a":[ ] }',
    '"\\u00e9"',
    "1e100",
)


def lexeme(random: Random) -> str:
    word = (text(random, 6) or "x").replace("\\", "\\\\").replace("'", "''")
    return f"'{word}'"


def vector_of_words(random: Random) -> str:
    words = [lexeme(random) for _ in range(random.randrange(4))]
    return " ".join(
        f"{word}:{random.randint(1, 16383)}{random.choice('ABCD')},{random.randint(1, 99)}"
        if random.random() < 0.7
        else word
        for word in words
    )


def query_of_words(random: Random) -> str:
    """A query as PostgreSQL itself writes it: `a | ( b | c )` loses its parentheses, and is another query with them."""
    sign = random.choice(("&", "|", "<->", "<3>", "& !"))
    return f"( {lexeme(random)} | {lexeme(random)} ) {sign} {lexeme(random)}:{random.choice(('*', 'A', '*BC'))}"


def texts() -> list[Kind]:
    """Characters, documents, words."""
    short = tuple(value for value in TEXTS if len(value) <= 5)
    return [
        Kind("text", TEXTS, text),
        Kind("character varying", TEXTS, text),
        Kind("character varying(5)", (*short, "한글 가나"), lambda random: text(random, 5)),
        Kind("character(6)", (*short, "ab    ", "한글", "sixsix"), lambda random: text(random, 6)),
        Kind("character(1)", ("", " ", "한"), lambda random: text(random, 1)),
        Kind("bpchar", (*TEXTS[:20], "x  "), text),
        Kind('"char"', ("a", "", " ", "\\", "'", '"', "\\200", "\\377"), lambda random: chr(random.randint(1, 127))),
        Kind("name", (*short, "a name", "n" * 63), text),
        Kind("json", (*DOCUMENTS, '"\\ud83d"', '"\\u0000"', '{"a" : 1,\n"a": {} }'), document),
        Kind("jsonb", DOCUMENTS, document),
        Kind("jsonpath", ('$."a"[*]', "lax $.x ? (@ > 1)", "strict $", '$."따옴표\\"".**{2 to 3}'), _path),
        Kind("tsvector", ("", "'a':1A,2 'b c':3B", "'''':16383 '\\\\':1", "'한글'"), vector_of_words),
        Kind("tsquery", ("", "'a' & !( 'b' | 'c':*A )", "'''' <-> '\\\\'", "'한글':*"), query_of_words),
        Kind("bytea", ("\\x", "\\x00", "\\x" + bytes(range(256)).hex(), "\\x" + "ab" * 100_000, "\\x5c"), blob),
        Kind("uuid", (str(UUID(int=0)), str(UUID(int=(1 << 128) - 1))), _uuid),
        *(Kind(f"bit({n})", ("0" * n, "1" * n), partial(bits, least=n, most=n)) for n in (1, 5, 65)),
        Kind("bit varying", ("", "101", "1" * 65, "0" * 3000), partial(bits, most=40)),
        Kind("bit varying(7)", ("", "1", "0000000"), partial(bits, most=7)),
    ]


def bits(random: Random, most: int, least: int = 0) -> str:
    return "".join(random.choices("01", k=random.randint(least, most)))


def _path(random: Random) -> str:
    return f"$.{json.dumps(text(random, 5))}[{random.randrange(9)}]"


def _uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128)))
