"""Counts the work of one policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nightshift.results.reembed import RejectedDocument

EXAMPLES = 10
"""Documents that are named at the most."""


@dataclass(slots=True)
class EmbeddingStats:
    """Counts, as `results.EmbeddedTable` has them.

    Attributes:
        empty: documents without text.
        busy: documents that somebody else has locked.
        edited: documents whose text changed between reading and writing.
        slowest: seconds of the slowest batch.
    """

    looked_at: int = 0
    embedded: int = 0
    unchanged: int = 0
    removed: int = 0
    poisoned: int = 0
    examples: list[RejectedDocument] = field(default_factory=list)
    left: int = 0
    switched: bool = False
    tokens: int = 0
    empty: int = 0
    busy: int = 0
    edited: int = 0
    slowest: float = 0.0

    @property
    def has_moved(self) -> bool:
        """Returns whether the next run will find less to do."""
        return bool(self.embedded or self.poisoned or self.empty or self.removed or self.switched)

    def count_rejected(self, document: str, reason: str) -> None:
        """Count a document that was set aside."""
        self.poisoned += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(RejectedDocument(id=document, reason=reason))

    def result_facts(self) -> dict[str, Any]:
        """Returns the part of the result that does not depend on the run's end."""
        names = ("looked_at", "embedded", "unchanged", "removed", "poisoned", "left", "switched", "tokens")
        return {**{name: getattr(self, name) for name in names}, "examples": tuple(self.examples)}

    def warnings(self) -> tuple[str, ...]:
        """Returns warnings about documents without an embedding, a sentence each."""
        said = {
            f"{self.empty} documents have no text, and so no embedding": self.empty,
            f"{self.busy} documents were left: somebody else has them locked": self.busy,
            f"{self.edited} documents were left: they were edited while they were embedded": self.edited,
        }
        return tuple(words for words, count in said.items() if count)
