"""Embeds texts without network or model: hashed character n-grams, by scikit-learn. For the demo, tests and trials.

Texts that share words get similar vectors; the embedder knows nothing else of meaning. N-grams within words are used
rather than words, so that Korean endings and particles do not make a different word of each. They are hashed rather
than learned, so that a text's vector depends on nothing but the text.
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
"""Increment the number with every change of the vectors."""
LETTERS = (2, 4)
"""Lengths of the runs."""
MAX_NUMBERS = 1 << 21
"""Numbers (of 4 bytes) that are made dense at once: vectors are nearly empty until then."""


class HashingEmbedder:
    """Hashed runs of letters, of length 1."""

    model = MODEL

    def __init__(self, dimension: int) -> None:
        """Load the library; raises `InvalidSettings` where it is not installed."""
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
