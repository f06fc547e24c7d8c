"""Embeds texts for demos and tests, without network or model, by scikit-learn's hashed character n-grams.

Texts that share words get similar vectors; the meaning of words has no effect. The embedder uses n-grams within words
instead of words, so that a Korean word with different endings and particles keeps similar vectors. The n-grams are
hashed, not learned, so that a text's vector depends only on the text.
"""

from __future__ import annotations

import time
import unicodedata
from array import array
from collections.abc import Sequence
from typing import Any

from nightshift.embedders.batch_calls import BLANK
from nightshift.embedders.text_embedder import EmbeddingBatchResult, EmbeddingDeadlineExceeded
from nightshift.errors import InvalidSettings

MODEL = "local-hashing-v1"
"""Name of the model; every change of the vectors must increment the number."""
LETTERS = (2, 4)
"""Smallest and largest length of the n-grams."""
MAX_NUMBERS = 1 << 21
"""Largest number of 4-byte numbers that are converted from sparse to dense vectors at once."""


class HashingEmbedder:
    """Embedder whose vectors count hashed n-grams, normalized to length 1."""

    model = MODEL

    def __init__(self, dimension: int) -> None:
        """Load scikit-learn; raises `InvalidSettings` if it is not installed."""
        self.dimension = dimension
        self._vectorizer = _vectorizer(dimension)

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        vectors: list[array[float] | None] = []
        step = max(1, MAX_NUMBERS // self.dimension)
        for start in range(0, len(texts), step):
            if time.monotonic() >= deadline:
                left = [None] * (len(texts) - start)
                embedded = EmbeddingBatchResult([*vectors, *left], _refused(texts[:start], vectors))
                raise EmbeddingDeadlineExceeded(
                    "there was no time left to embed", embedded, detail=f"{len(left)} texts are left"
                )
            vectors.extend(self._embed(texts[start : start + step]))
        return EmbeddingBatchResult(vectors, _refused(texts, vectors))

    def _embed(self, texts: Sequence[str]) -> list[array[float] | None]:
        rows = self._vectorizer.transform([unicodedata.normalize("NFKC", text) for text in texts]).toarray()
        vectors = [array("f", row.tobytes()) for row in rows]
        return [vector if any(vector) else None for vector in vectors]


def _refused(texts: Sequence[str], vectors: Sequence[array[float] | None]) -> dict[int, str]:
    return {
        index: "its letters cancel each other out" if text.strip() else BLANK
        for index, (text, vector) in enumerate(zip(texts, vectors, strict=True))
        if vector is None
    }


def _vectorizer(dimension: int) -> Any:
    try:
        import numpy as np
        from sklearn.feature_extraction.text import HashingVectorizer  # type: ignore[import-untyped]
    except ImportError:
        raise InvalidSettings(
            "settings are not usable",
            detail="EMBEDDER: local needs scikit-learn, which is not installed",
            hint="pip install scikit-learn where you try things out; what is deployed has EMBEDDER=bedrock",
        ) from None
    return HashingVectorizer(
        analyzer="char_wb",
        ngram_range=LETTERS,
        n_features=dimension,
        norm="l2",
        alternate_sign=True,
        dtype=np.float32,
    )
