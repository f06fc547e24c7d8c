"""A column's type with the values that hurt, and the text forms that types are made of: arrays, composites, ranges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

Draw = Callable[[Random], str]

NULLS = 0.1
AWKWARD = 0.3
HEAVY = 500
"""Characters from which an awkward value comes once, and is not drawn again."""

FRESH = 3000
"""Values drawn for a column; further rows combine them anew, which takes a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One type, and values of it as PostgreSQL reads them.

    Attributes:
        declared: the type as a column declares it.
        awkward: values known to hurt; the first rows take them one by one.
        draw: a random value; None: one of `awkward`.
        delimiter: between elements of an array of it (`pg_type.typdelim`).
    """

    declared: str
    awkward: tuple[str, ...]
    draw: Draw | None = None
    delimiter: str = ","

    def pick(self, random: Random) -> str | None:
        """Any value, nulls included."""
        chance = random.random()
        return None if chance < NULLS else self.some(random, chance < NULLS + AWKWARD)

    def some(self, random: Random, awkward: bool = False) -> str:
        """Any value but null."""
        if self.draw is not None and not awkward:
            return self.draw(random)
        value = random.choice(self.awkward)
        return value if len(value) < HEAVY or self.draw is None else self.draw(random)

    def column(self, rows: int, random: Random) -> list[str | None]:
        """A column's values: every awkward one, then any, then those again in another order."""
        fresh = [self.pick(random) for _ in range(min(rows, FRESH))]
        return [*self.awkward, *fresh, *random.choices(fresh, k=max(0, rows - FRESH))][:rows]

    @property
    def light(self) -> tuple[str, ...]:
        """The awkward values that are short enough to stand in others."""
        return tuple(value for value in self.awkward if len(value) < HEAVY)


def quote_in(value: str) -> str:
    """A value as PostgreSQL's arrays, composites and ranges read it: in quotes, which is legal for every value."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def array(values: Sequence[str | None], delimiter: str = ",") -> str:
    """The text form of a one-dimensional array."""
    return "{" + delimiter.join("NULL" if value is None else quote_in(value) for value in values) + "}"


def composite(values: Sequence[str | None]) -> str:
    """The text form of a composite; null is nothing at all, the empty text is `""`."""
    return "(" + ",".join("" if value is None else quote_in(value) for value in values) + ")"


def array_of(kind: Kind) -> Kind:
    """The type's array: one to three dimensions, odd lower bounds, nulls among the elements."""

    def nested(random: Random, lengths: Sequence[int]) -> str:
        if len(lengths) == 1:
            return array([kind.pick(random) for _ in range(lengths[0])], kind.delimiter)
        return "{" + kind.delimiter.join(nested(random, lengths[1:]) for _ in range(lengths[0])) + "}"

    def draw(random: Random) -> str:
        lengths = [random.randint(1, 3) for _ in range(random.choices((1, 2, 3), (12, 3, 1))[0])]
        if random.random() < 0.7:
            return nested(random, lengths)
        bounds = "".join(f"[{low}:{low + n - 1}]" for n in lengths for low in [random.randint(-9, 9)])
        return f"{bounds}={nested(random, lengths)}"

    values = kind.light
    whole, one = array([*values, None], kind.delimiter), array(values[:1], kind.delimiter)
    awkward = ("{}", "{NULL}", whole, f"{{{one}{kind.delimiter}{{NULL}}}}", f"[0:0]={one}", f"[-3:-3][5:5]={{{one}}}")
    return Kind(f"{kind.declared}[]", awkward, draw)


def composite_of(declared: str, *kinds: Kind) -> Kind:
    """A composite type with attributes of these kinds."""
    rounds = range(max(len(kind.light) for kind in kinds))
    awkward = (
        composite([None] * len(kinds)),
        *(composite([kind.light[n % len(kind.light)] for kind in kinds]) for n in rounds),
    )
    return Kind(declared, awkward, lambda random: composite([kind.pick(random) for kind in kinds]))


def range_of(declared: str, draw: Callable[[Random], tuple[str, str]], *awkward: str) -> Kind:
    """A range type.

    Args:
        draw: two bounds in their order.
        awkward: beside what every range type has.
    """

    def any_range(random: Random) -> str:
        low, high = draw(random)
        left = quote_in(low) if random.random() < 0.9 else ""
        right = quote_in(high) if random.random() < 0.9 else ""
        return random.choice("[(") + f"{left},{right}" + random.choice("])")

    return Kind(declared, ("empty", "(,)", *awkward), any_range)


def multirange_of(declared: str, kind: Kind) -> Kind:
    """The multirange over a range type."""

    def draw(random: Random) -> str:
        return "{" + ",".join(kind.some(random) for _ in range(random.randrange(4))) + "}"

    return Kind(declared, ("{}", "{(,)}", *(f"{{{value}}}" for value in kind.awkward)), draw)


def renamed(kind: Kind, declared: str) -> Kind:
    """The same values under another type, e.g. a domain over it."""
    return Kind(declared, kind.awkward, kind.draw, kind.delimiter)
