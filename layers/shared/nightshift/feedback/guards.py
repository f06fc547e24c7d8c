"""How a guard says no: before anything is counted, written or sent."""

from __future__ import annotations

from nightshift.errors import InvalidSettings
from nightshift.results import Refusal


class Refused(Exception):
    """The votes cannot be counted as the settings say."""

    def __init__(self, guard: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(guard=guard, message=message, hint=hint)

    def as_error(self) -> InvalidSettings:
        """The same, for whoever cannot go on without."""
        return InvalidSettings(self.refusal.message, hint=self.refusal.hint)
