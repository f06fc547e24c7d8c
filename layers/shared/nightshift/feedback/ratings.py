"""Classifies values of the rating column as likes, dislikes or unknown, by SQL conditions.

The settings give values as text. The conditions compare in the column's type (numbers, booleans, enum labels), so no
row is cast and an index on the column can be used. A value that the column cannot hold is refused, because every report
would then have no votes. A value that no setting names is unknown: the report counts and names it, but never counts it
as a similar value. Null and blank text are no votes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations

from sqlalchemy import Connection, text

from nightshift.database.catalog import TableColumn, quote_identifier, quote_literal
from nightshift.guards import GuardRefused
from nightshift.settings import Settings

_TEXTS = {"text", "varchar", "bpchar", "name"}
_NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}
_SQLITE_NUMBERS = {"integer", "real"}
"""SQLite's affinities of columns of numbers, without `numeric`, which is the affinity of unknown types such as ENUM."""
_INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63, "integer": 2**63}
"""For each integer type, the smallest number that is too large for the type."""
_TRUE, _FALSE = {"true", "t", "yes", "on", "1"}, {"false", "f", "no", "off", "0"}
"""Texts that PostgreSQL reads as booleans."""

_LABELS = """
SELECT e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname || '.' || t.typname = :type
"""


@dataclass(frozen=True, slots=True)
class RatingValues:
    """SQL conditions on the rating column.

    Attributes:
        likes, dislikes, unknown: conditions for the three kinds of ratings; a row meets at most one.
        given: condition that the row has a rating of any value.
        column: the quoted rating column.
        value: SQL for the rating as text.
        words: the values that the settings name.
    """

    likes: str
    dislikes: str
    unknown: str
    given: str
    column: str
    value: str
    words: tuple[str, ...]


def make_ratings(connection: Connection, column: TableColumn, settings: Settings) -> RatingValues:
    """Returns the conditions for the values that FEEDBACK_LIKES, FEEDBACK_DISLIKES and FEEDBACK_NEUTRAL name.

    Raises `GuardRefused` if the column's type cannot hold ratings or a value, or if two settings name the same value.
    """
    literals = _Literals(connection, column)
    neutral = settings.feedback_neutral or ()
    words = {"a like": settings.feedback_likes, "a dislike": settings.feedback_dislikes, "neutral": neutral}
    meant = {meaning: literals.of(values) for meaning, values in words.items()}
    _check_overlap(meant)
    likes, dislikes = literals.among(meant["a like"]), literals.among(meant["a dislike"])
    known = [literals.among(values) for values in meant.values() if values]
    given = literals.given()
    return RatingValues(
        likes=likes,
        dislikes=dislikes,
        unknown=" AND ".join([given, *(f"NOT ({condition})" for condition in known)]),
        given=given,
        column=quote_identifier(column.name),
        value=f"CAST({quote_identifier(column.name)} AS text)",
        words=tuple(word for values in words.values() for word in values),
    )


def _check_overlap(meant: Mapping[str, Sequence[str]]) -> None:
    for meaning, other in combinations(meant, 2):
        if both := sorted(set(meant[meaning]) & set(meant[other])):
            raise GuardRefused(
                "overlap",
                f"{', '.join(both)} is {meaning} and {other}",
                "a value of the rating column has one of FEEDBACK_LIKES, FEEDBACK_DISLIKES and FEEDBACK_NEUTRAL only",
            )


class _Literals:
    def __init__(self, connection: Connection, column: TableColumn) -> None:
        self._connection = connection
        self._column = column
        sqlite = connection.dialect.name == "sqlite"
        self._labels: frozenset[str] | None = None
        self._number = column.base_type in (_SQLITE_NUMBERS if sqlite else _NUMBERS)
        self._boolean = column.base_type == "bool" or (sqlite and "BOOL" in column.type_name.upper())
        self._true, self._false = ("1", "0") if sqlite else ("true", "false")
        self.sql = quote_identifier(column.name)
        if self._boolean or self._number or column.base_type in _TEXTS or column.base_type.endswith(".citext"):
            return
        if sqlite:
            # The column may hold values of any type.
            self.sql = f"CAST({self.sql} AS TEXT)"
            return
        self._labels = frozenset(connection.execute(text(_LABELS), {"type": column.base_type}).scalars())
        if not self._labels:
            raise GuardRefused(
                "wrong_type",
                f"the rating column {column.name} is {column.type_name}",
                "FEEDBACK_RATING needs text, a boolean, a number or an enum",
            )

    def of(self, words: Sequence[str]) -> list[str]:
        """Returns each word once, as an SQL literal."""
        return list(dict.fromkeys(map(self._one, words)))

    def given(self) -> str:
        """Returns the SQL condition that a row has a rating: neither null nor blank text."""
        column = quote_identifier(self._column.name)
        plain = self._number or self._boolean or self._labels is not None
        if plain and self._connection.dialect.name == "postgresql":
            return f"{column} IS NOT NULL"
        return f"{column} IS NOT NULL AND trim(CAST({column} AS text)) <> ''"

    def among(self, values: Sequence[str]) -> str:
        """Returns the SQL condition that the column has one of the values."""
        schema, _, kind = self._column.base_type.rpartition(".")
        if kind != "citext" or not schema:
            return f"{self.sql} IN ({', '.join(values)})"
        # With citext's own operator, which an unqualified name would not find: see `database.search_path`.
        schema = quote_identifier(schema)
        return f"{self.sql} OPERATOR({schema}.=) ANY (CAST(ARRAY[{', '.join(values)}] AS {schema}.citext[]))"

    def _one(self, word: str) -> str:
        if self._boolean:
            if word.lower() in _TRUE | _FALSE:
                return self._true if word.lower() in _TRUE else self._false
        elif self._number:
            if (number := _number(word)) is not None and self._holds(number):
                return f"{number:f}"
        elif self._labels is None or word in self._labels:
            return quote_literal(word)
        raise GuardRefused(
            "impossible_value",
            f"the rating column {self._column.name} is {self._column.type_name}: it cannot hold the value {word}",
            "correct FEEDBACK_LIKES, FEEDBACK_DISLIKES and FEEDBACK_NEUTRAL, or FEEDBACK_RATING",
        )

    def _holds(self, number: Decimal) -> bool:
        limit = _INTEGERS.get(self._column.base_type)
        return limit is None or (number == number.to_integral_value() and -limit <= number < limit)


def _number(word: str) -> Decimal | None:
    """Returns the number that a word denotes, normalized; None if it is no finite number of a reasonable size."""
    try:
        number = Decimal(word)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return None
    number = number.normalize()
    return abs(number) if number == 0 else number


_SKIN_TONES = range(0x1F3FB, 0x1F400)
"""Emoji modifiers Fitzpatrick type 1-2 to 6 (Unicode Technical Standard 51, "Emoji Modifiers")."""
_NO_LETTERS = ("Mn", "Cf", "Cc", "Z", "P")
"""Unicode categories of characters that `find_resembling` ignores: variation selectors and other marks, joiners and
other characters without width, spaces, and punctuation such as the underscore."""


def find_resembling(value: str, words: Iterable[str]) -> str | None:
    """Returns the first word that equals a value except for case, spaces, punctuation and emoji variants, else None.

    The result is only shown in the report; it does not affect the counts.
    """
    folded = _fold(value)
    return next((word for word in words if folded and _fold(word) == folded), None)


def _fold(value: str) -> str:
    text = unicodedata.normalize("NFKC", value).casefold()
    kept = "".join(
        char for char in text if ord(char) not in _SKIN_TONES and not unicodedata.category(char).startswith(_NO_LETTERS)
    )
    # Text with a minus sign, or of symbols only, is kept: "-1" is not "1".
    return kept if kept and not text.strip().startswith(("-", "\u2212")) else text.strip()
