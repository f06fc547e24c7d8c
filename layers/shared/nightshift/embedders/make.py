"""Creates the embedding model that the settings name."""

from __future__ import annotations

from nightshift.embedders.text_embedder import TextEmbedder
from nightshift.settings import Settings


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
