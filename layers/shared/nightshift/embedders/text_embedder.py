"""Interface of `reembed` to an embedding model.

If the model does not accept a document, `refused` names the document and the other documents are embedded. An exception
concerns all documents: no access, no such model, no time.
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
        vectors: one vector per text, in the texts' order, of the model's dimension, `float32`, finite, not all zero;
            None if the text was refused or (only in `EmbeddingDeadlineExceeded`) not embedded in time.
        refused: reason why the model does not accept a text, by the text's index. The reason never quotes the text.
        tokens: number of tokens that the model counted and bills; 0 if the model counts none.
    """

    vectors: list[array[float] | None]
    refused: dict[int, str] = field(default_factory=dict)
    tokens: int = 0


class TextEmbedder(Protocol):
    """Protocol of embedding models; vectors of equal `model` and `dimension` may be compared with each other."""

    @property
    def model(self) -> str:
        """Returns the model's name, which is stored with each vector; if it changes, texts are embedded again."""

    @property
    def dimension(self) -> int:
        """Returns the number of numbers in a vector."""

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        """Embed a batch of any number of texts, of any length.

        Args:
            deadline: a `time.monotonic()` value after which no request is sent or waited for.

        Raises:
            EmbeddingDeadlineExceeded: not all texts were embedded by the deadline; it holds the finished vectors.
            EmbedderError: the model cannot be used, and another batch would fail as well.
        """


class EmbeddingDeadlineExceeded(EmbedderError):
    """The model was throttled or slow until the deadline.

    Attributes:
        embedded: result for the texts that were embedded and billed; the other texts have no vector and no refusal.
    """

    def __init__(
        self, message: str, embedded: EmbeddingBatchResult, *, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.embedded = embedded


def make_embedder(settings: Settings) -> TextEmbedder:
    """Returns the embedder that EMBEDDER names, without connecting.

    Raises:
        InvalidSettings: the embedder does not support EMBEDDING_MODEL or EMBEDDING_DIMENSION, or lacks its library.
    """
    if settings.embedder == "local":
        from nightshift.embedders.hashing import HashingEmbedder

        return HashingEmbedder(settings.embedding_dimension)
    from nightshift.embedders.bedrock import BedrockEmbedder

    return BedrockEmbedder(settings.embedding_model, settings.embedding_dimension, workers=settings.embedding_workers)
