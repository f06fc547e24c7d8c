"""The local embedder: the same text has the same vector everywhere, and texts that share words are neighbours."""

from __future__ import annotations

import math
import subprocess
import sys
import time
import unicodedata
from array import array

import pytest

from nightshift.embedders import hashing
from nightshift.embedders.hashing import HashingEmbedder
from nightshift.embedders.text_embedder import EmbeddingDeadlineExceeded
from nightshift.errors import InvalidSettings
from tests.embedders.asked import TEXTS, embed

SCRIPT = """
from nightshift.embedders.hashing import HashingEmbedder
[vector] = HashingEmbedder(16).embed(["이력서를 씁니다"], deadline=float("inf")).vectors
print([round(number, 3) for number in vector])
"""
KNOWN = "[0.0, 0.2, 0.0, 0.6, 0.2, -0.2, -0.2, 0.0, 0.4, 0.0, -0.4, 0.2, 0.0, 0.2, 0.2, -0.2]"


def one(embedder: HashingEmbedder, text: str) -> array[float]:
    [vector] = embed(embedder, [text]).vectors
    assert vector is not None
    return vector


def likeness(some: array[float], other: array[float]) -> float:
    return math.fsum(a * b for a, b in zip(some, other, strict=True))


def test_a_vector_depends_on_nothing_but_the_text() -> None:
    """Nor on the process, whose hashes are its own. If this fails for a reason, `MODEL` needs another name."""
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert hashing.MODEL == "local-hashing-v1"
    assert found.stdout.strip() == KNOWN


@pytest.mark.parametrize("dimension", [1, 7, 256, 1024, 16_000])
def test_vectors_have_the_dimension_and_length_one(dimension: int) -> None:
    embedder = HashingEmbedder(dimension)
    embedded = embed(embedder)
    for index, vector in enumerate(embedded.vectors):
        if vector is None:  # few numbers: hashes that cancel each other out
            assert dimension < 10 and embedded.refused[index]
            continue
        assert (vector.typecode, len(vector)) == ("f", dimension)
        assert likeness(vector, vector) == pytest.approx(1, abs=1e-5)


def test_documents_that_share_words_are_neighbours() -> None:
    """Whatever Korean hangs on them."""
    embedder = HashingEmbedder(512)
    question = one(embedder, "이력서에는 무엇을 써야 하나요?")
    near, far = one(embedder, "이력서를 쓰는 법"), one(embedder, "환불은 어떻게 받습니까?")
    assert likeness(question, near) > 2 * likeness(question, far)


def test_letters_that_look_the_same_are_the_same() -> None:
    embedder = HashingEmbedder(256)
    assert one(embedder, unicodedata.normalize("NFD", TEXTS[0])) == one(embedder, TEXTS[0])


def test_a_batch_of_any_size_gives_what_each_text_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = HashingEmbedder(64)
    texts = [text for number in range(1, 6) for text in (*(f"{text} {number}" for text in TEXTS), " " * number)]
    alone = [embed(embedder, [text]).vectors[0] for text in texts]
    monkeypatch.setattr(hashing, "MAX_NUMBERS", 3 * 64)
    embedded = embed(embedder, texts)
    assert embedded.vectors == alone
    assert embedded.refused == dict.fromkeys(range(3, len(texts), 4), "there is no text")
    assert embed(embedder, []).vectors == []


def test_after_the_deadline_nothing_is_embedded() -> None:
    with pytest.raises(EmbeddingDeadlineExceeded, match="3 texts are left") as caught:
        HashingEmbedder(8).embed(TEXTS, deadline=time.monotonic() - 1)
    assert caught.value.embedded.vectors == [None] * 3
    assert caught.value.embedded.refused == {}


def test_without_its_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InvalidSettings) as caught:
        HashingEmbedder(256)
    assert "EMBEDDER: local needs scikit-learn" in str(caught.value)
    assert "what is deployed has EMBEDDER=bedrock" in str(caught.value.hint)
