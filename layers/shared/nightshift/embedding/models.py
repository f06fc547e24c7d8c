"""Data classes of the embedding engine."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nightshift.errors import NightshiftError
from nightshift.results.reembed import RejectedDocument

Key = str | int
"""A document's id: as text in PostgreSQL, in its own type in SQLite."""


class VectorStore(StrEnum):
    """Store of a vector."""

    READERS = "readers"
    STAGE = "stage"


class EmbeddingState(StrEnum):
    """State of a document in the ledger."""

    EMBEDDED = "embedded"
    EMPTY = "empty"
    REFUSED = "refused"


class ConcurrentModelChange(NightshiftError):
    """Another run has changed the target's model. Nothing was written."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Model of new vectors; `round` names the series of runs to which the current run belongs."""

    name: str
    dimension: int
    round: str


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Selection of the documents to examine, and of those among them to embed.

    Attributes:
        among: query for the ids, as text, of the documents to examine; None for all documents.
        trusting: treat a document with an unchanged `updated_at` as unchanged.
        force: embed every document that this round has not examined, changed or not.
    """

    among: str | None = None
    trusting: bool = True
    force: bool = False


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents in the order of their ids.

    Attributes:
        stale: keys of the documents to embed.
        touched: id and `updated_at` of documents whose text is unchanged but whose `updated_at` has changed.
        last: key after which the next page begins; None on the last page.
    """

    looked_at: int
    stale: tuple[Key, ...]
    touched: tuple[tuple[str, str | None], ...]
    last: Key | None


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document to be embedded."""

    key: Key
    id: str
    text: str
    hash: str
    version: str | None


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """Result for one document: a vector, or the reason why there is none."""

    document: SourceDocument
    state: EmbeddingState
    vector: array[float] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ModelState:
    """State row of a target; see `tables.embedding_place`."""

    model: str | None = None
    dimension: int | None = None
    next_model: str | None = None
    next_dimension: int | None = None
    next_type: str | None = None


EXAMPLES = 10
"""Largest number of refused documents that the result names."""


@dataclass(slots=True)
class EmbeddingStats:
    """Counts for `results.EmbeddedTable`.

    Attributes:
        empty: number of documents without text.
        busy: number of documents that another session had locked.
        edited: number of documents whose text changed between reading and writing.
        slowest: duration of the slowest batch in seconds.
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
        """Count a refused document, and keep it as an example for the result."""
        self.poisoned += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(RejectedDocument(id=document, reason=reason))

    def result_facts(self) -> dict[str, Any]:
        """Returns the part of the result that does not depend on the run's end."""
        names = ("looked_at", "embedded", "unchanged", "removed", "poisoned", "left", "switched", "tokens")
        return {**{name: getattr(self, name) for name in names}, "examples": tuple(self.examples)}

    def warnings(self) -> tuple[str, ...]:
        """Returns warnings about documents without an embedding, a sentence each."""
        sentences = {
            f"{self.empty} documents have no text, and so no embedding": self.empty,
            f"{self.busy} documents were left: somebody else has them locked": self.busy,
            f"{self.edited} documents were left: they were edited while they were embedded": self.edited,
        }
        return tuple(words for words, count in sentences.items() if count)
