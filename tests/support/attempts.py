"""For properties of the form "it works, or it refuses": what came of a call, whichever it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=Exception)


def attempt(refusal: type[E], call: Callable[[], T]) -> T | E:
    """The call's value, or the refusal that it raised; any other exception passes."""
    try:
        return call()
    except refusal as refused:
        return refused
