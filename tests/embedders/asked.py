"""What the tests ask an embedder, and what they expect of the loopback Bedrock."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Sequence

from local.bedrock import BedrockServer
from local.titan import vector_of
from nightshift.embedders.text_embedder import EmbeddingBatchResult, TextEmbedder

MODEL = "amazon.titan-embed-text-v2:0"
DIMENSION = 256
TEXTS = ("이력서는 한 장이면 충분합니다.", "면접에서 무엇을 물어보나요?", "How long should a cover letter be?")
LONG = 300.0
"""Seconds that no test takes: one that waits for them has failed."""


def embed(embedder: TextEmbedder, texts: Sequence[str] = TEXTS, *, seconds: float = LONG) -> EmbeddingBatchResult:
    """Embed within so many seconds from now."""
    return embedder.embed(texts, deadline=time.monotonic() + seconds)


def vectors(texts: Sequence[str] = TEXTS) -> list[array[float] | None]:
    """What Bedrock answers."""
    return [vector_of(text, DIMENSION) for text in texts]


def calls_in_the_end(bedrock: BedrockServer) -> int:
    """How often was asked, once nobody is left who might."""
    for thread in threading.enumerate():
        if thread.name.startswith("embedder"):
            thread.join()
    return bedrock.calls
