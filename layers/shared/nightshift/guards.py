"""Defines the exception of a guard that refuses a policy, before a row is counted, written or sent."""

from __future__ import annotations

from typing import Self

from nightshift.errors import InvalidSettings
from nightshift.results.common import GuardRefusal


class GuardRefused(Exception):
    """A guard refused; `refusal` is the refusal as results report it."""

    def __init__(self, guard: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.refusal = GuardRefusal(guard=guard, message=message, hint=hint)

    @classmethod
    def from_refusal(cls, refusal: GuardRefusal) -> Self:
        """Returns the exception for a refusal that another package's guard has written."""
        return cls(refusal.guard, refusal.message, refusal.hint)

    def as_error(self) -> InvalidSettings:
        """Returns the refusal as an error, for callers that cannot go on without the policy."""
        return InvalidSettings(self.refusal.message, hint=self.refusal.hint)
