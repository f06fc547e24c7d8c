"""EventBridge's cron, strictly: six fields, one `?`, every value in range.

Source: Amazon EventBridge user guide, "Cron expressions reference". cfn-lint, SAM and moto accept any text between
the brackets; AWS refuses a bad one only when the schedule is created.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True)
class _Field:
    """One of the six.

    Attributes:
        special: what the field understands beyond values, ranges, lists, steps and `*`.
        steps: whether `/` is understood.
    """

    name: str
    low: int
    high: int
    names: Mapping[str, int] = field(default_factory=dict)
    special: str = r"(?!)"
    steps: bool = True

    def check(self, text: str) -> None:
        """Raise ValueError for a text that the field does not understand."""
        if re.fullmatch(self.special, text):
            return
        for item in text.split(","):
            span, slash, step = item.partition("/")
            if slash and not (self.steps and step.isdecimal() and int(step) > 0):
                raise ValueError(f"{self.name}: {item!r} is no step")
            if span == "*":
                continue
            first, dash, last = span.partition("-")
            if self._value(first) > self._value(last if dash else first):
                raise ValueError(f"{self.name}: {span!r} runs backwards")

    def _value(self, text: str) -> int:
        value = self.names.get(text, int(text) if text.isdecimal() else -1)
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name}: {text!r} is not within {self.low} to {self.high}")
        return value


_DAY = r"(0?[1-9]|[12][0-9]|3[01])"
_WEEKDAY = rf"([1-7]|{'|'.join(_WEEKDAYS)})"
_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("day of month", 1, 31, special=rf"\?|L|LW|L-{_DAY}|{_DAY}W"),
    _Field("month", 1, 12, names={name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field(
        "day of week",
        1,
        7,
        names={name: number for number, name in enumerate(_WEEKDAYS, 1)},
        special=rf"\?|L|{_WEEKDAY}L|{_WEEKDAY}#[1-5]",
        steps=False,
    ),
    _Field("year", 1970, 2199),
)


def check(expression: str) -> None:
    """Raise ValueError, naming the field, for a schedule expression that EventBridge Scheduler would refuse."""
    rate = re.fullmatch(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)", expression)
    if rate:
        if (rate[1] == "1") == bool(rate[3]):
            raise ValueError("rate: 1 takes the singular, more the plural")
        return
    found = re.fullmatch(r"cron\(([^()]*)\)", expression)
    if not found:
        raise ValueError(f"neither cron(…) nor rate(…): {expression!r}")
    texts = found[1].split()
    if len(texts) != len(_FIELDS):
        raise ValueError(f"cron has six fields, not {len(texts)}")
    if (texts[2] == "?") == (texts[4] == "?"):
        raise ValueError("exactly one of day of month and day of week is '?'")
    for one, text in zip(_FIELDS, texts, strict=True):
        one.check(text)
