"""An embedder whose vectors tell what they were made from, and jobs that embed with it; light, for child processes."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from nightshift.embedders.text_embedder import EmbeddingBatchResult, EmbeddingDeadlineExceeded, TextEmbedder
from nightshift.results.reembed import ReembedResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices, RunWiring
from reembed.job import reembed

POISON = "poison"
"""A text with this word in it is not taken by the model."""


def hash_of(text: str) -> str:
    """As the ledger has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def vector_of(text: str, model: str, dimension: int) -> array[float]:
    """The one vector of a text: the first number is the model's, the others are the text's."""
    digest = hashlib.sha256(text.encode()).digest()
    numbers = [digest[index % len(digest)] / 256 - 0.5 for index in range(dimension - 1)]
    return array("f", [mark_of(model), *numbers])


def mark_of(model: str) -> float:
    """By what a model's vectors are known."""
    return float(sum(model.encode()))


@dataclass
class TellingEmbedder:
    """An embedder whose vectors are `vector_of` their texts.

    Attributes:
        texts: all that it has looked at.
        before: called with each batch before it is embedded.
        patience: texts that it embeds before the time is over.
    """

    model: str = "model-a"
    dimension: int = 4
    texts: list[str] = field(default_factory=list)
    before: Callable[[Sequence[str]], None] = lambda texts: None
    patience: float = float("inf")

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        self.before(texts)
        vectors: list[array[float] | None] = []
        refused: dict[int, str] = {}
        for index, text in enumerate(texts):
            if self.patience < 1 or time.monotonic() > deadline:
                left = [None] * (len(texts) - index)
                raise EmbeddingDeadlineExceeded(
                    "throttled until the deadline", EmbeddingBatchResult([*vectors, *left], refused)
                )
            self.patience -= 1
            self.texts.append(text)
            if POISON in text:
                refused[index] = "ValidationException: poisoned"
            vectors.append(None if POISON in text else vector_of(text, self.model, self.dimension))
        return EmbeddingBatchResult(vectors, refused, tokens=len(texts))


class TellingWiring(RunWiring):
    """A wiring with an embedder of the test's own."""

    @cached_property
    def embedder(self) -> TextEmbedder:
        model, dimension = self.environ["TEST_MODEL"], int(self.environ["TEST_DIMENSION"])
        embedder = TellingEmbedder(model, dimension)
        book = self.environ.get("TEST_BOOK")
        return Bookkeeper(embedder, Path(book)) if book else embedder


def telling_work(run: JobRun, services: RunServices) -> ReembedResult:
    """The job, with the embedder that the environment describes: for runs in processes of their own."""
    wiring = TellingWiring(services.wiring.environ, services.wiring.listener)
    return reembed(run, replace(services, wiring=wiring))


@dataclass
class Bookkeeper:
    """An embedder that writes every text that it is asked for into a file, by its hash, and asks another one."""

    inner: TextEmbedder
    book: Path

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def dimension(self) -> int:
        return self.inner.dimension

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        with self.book.open("a") as book:
            book.write("".join(hash_of(text) + "\n" for text in texts))
        return self.inner.embed(texts, deadline=deadline)


class BookkeepingWiring(RunWiring):
    """A wiring with the real embedder of the settings, watched."""

    @cached_property
    def embedder(self) -> TextEmbedder:
        return Bookkeeper(super().embedder, Path(self.environ["TEST_BOOK"]))


def local_work(run: JobRun, services: RunServices) -> ReembedResult:
    """The job with the embedder of its settings, all that it is asked for on record."""
    wiring = BookkeepingWiring(services.wiring.environ, services.wiring.listener)
    return reembed(run, replace(services, wiring=wiring))
