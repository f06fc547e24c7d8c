"""Port of `reembed` to an embedding model.

A document that the model does not accept is no error: it is named in `refused`, and its neighbours are embedded. An
error affects all documents: no access, no such model, no time.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nightshift.errors import EmbedderError
from nightshift.settings import Settings


@dataclass(frozen=True, slots=True)
class EmbeddingBatchResult:
    """Result of embedding one batch.

    Attributes:
        vectors: one for each text, in their order, of the model's dimension, `float32`, finite, not all zero;
            None: refused, or (in `EmbeddingDeadlineExceeded` alone) not come to.
        refused: index of a text → why the model does not take it. It never quotes the text.
        tokens: what the model counted, and bills; 0 where it does not count.
    """

    vectors: list[array[float] | None]
    refused: dict[int, str] = field(default_factory=dict)
    tokens: int = 0


class TextEmbedder(Protocol):
    """Turns texts into vectors; vectors of equal `model` and `dimension` may be compared with each other."""

    @property
    def model(self) -> str:
        """Names the model, to be kept beside each vector: another name means that the text is embedded again."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        """Embed a batch of any number of texts, of any length.

        Args:
            deadline: a `time.monotonic()` value; nothing is sent after it, and nothing waited for.

        Raises:
            EmbeddingDeadlineExceeded: the deadline came first; it carries what was embedded before.
            EmbedderError: the model cannot be used; no use in trying another batch.
        """


class EmbeddingDeadlineExceeded(EmbedderError):
    """The model was throttled or slow until the deadline.

    Attributes:
        embedded: what was embedded (and is paid for) before; the texts without a vector that are not refused are left.
    """

    def __init__(
        self, message: str, embedded: EmbeddingBatchResult, *, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.embedded = embedded


def make_embedder(settings: Settings) -> TextEmbedder:
    """The embedder of EMBEDDER; nothing is connected or loaded but what it needs to say that it cannot be.

    Raises:
        InvalidSettings: EMBEDDING_MODEL or EMBEDDING_DIMENSION is none that it has, or its library is missing.
    """
    if settings.embedder == "local":
        from nightshift.embedders.hashing import HashingEmbedder

        return HashingEmbedder(settings.embedding_dimension)
    from nightshift.embedders.bedrock import BedrockEmbedder

    return BedrockEmbedder(settings.embedding_model, settings.embedding_dimension, workers=settings.embedding_workers)
