"""Embeds a batch with a model that takes one text per call: concurrent calls, retries after transient errors, deadline.

The service's error code determines the reaction (`InputRejected`, `TransientError`), but does not tell whether the text
or the model is at fault. Bedrock answers `ValidationException` for a text that is too long and for a model that does
not exist. It answers 500 for a text that the model cannot process, and for every text during an outage. Therefore a
text is refused only after the model has accepted another text: a text of the same batch, else `PROBE`. Otherwise one
wrong setting would make the model refuse every document.

botocore's retries are switched off, because they sleep without regard to the deadline.
"""

from __future__ import annotations

import random
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from nightshift.embedders.text_embedder import EmbeddingBatchResult, EmbeddingDeadlineExceeded
from nightshift.errors import EmbedderError

FIRST_WAIT_S, MAX_WAIT_S = 0.2, 20.0
"""Longest wait before the second try, and its limit as each try doubles it. Each wait is a random part of the longest
wait, so that calls which were throttled together are not repeated together."""
MAX_TRIES = 6
"""Number of failures, without throttling, after which a text is refused if the model accepts other texts."""
PROBE = "nightshift"
"""A text that every embedding model accepts."""
BLANK = "there is no text"


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """A text's vector, and the number of tokens that the model counted."""

    vector: array[float]
    tokens: int


@dataclass(eq=False)
class InputRejected(Exception):
    """The model does not accept the text.

    Attributes:
        reason: reason for reports; it does not quote the text.
        words: the model's message, which may quote the text.
    """

    reason: str
    words: str = ""


@dataclass(eq=False)
class TransientError(Exception):
    """A call failed, but another try may succeed.

    Attributes:
        throttled: the service limits the rate of calls; the text is not at fault.
        nonsense: the answer does not have the model's format.
        retry_after: seconds that the service asks all callers to wait.
        hint: what the operator can do if the error persists.
    """

    reason: str
    throttled: bool = False
    nonsense: bool = False
    retry_after: float | None = None
    hint: str | None = None


Ask = Callable[[str], EmbeddingResponse]
"""Function that calls the model once; raises `InputRejected`, `TransientError` or `EmbedderError`."""


def embed_batch(ask: Ask, texts: Sequence[str], *, workers: int, deadline: float) -> EmbeddingBatchResult:
    """Embed a batch, see `TextEmbedder.embed`.

    At the deadline, running requests are not waited for, because a request cannot be cancelled; their answers are
    discarded.
    """
    batch = _Batch(ask, deadline)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="embedder")
    asked = {index: pool.submit(batch.embed, text) for index, text in enumerate(texts) if text.strip()}
    try:
        remaining = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
        wait(asked.values(), timeout=remaining, return_when=FIRST_EXCEPTION)
    finally:
        batch.stop()
        pool.shutdown(wait=False, cancel_futures=True)
    return _gathered(batch, len(texts), asked)


def _gathered(
    batch: _Batch, count: int, asked: dict[int, Future[EmbeddingResponse | str | None]]
) -> EmbeddingBatchResult:
    vectors: list[array[float] | None] = [None] * count
    refused, left, tokens = {}, 0, 0
    for index in range(count):
        outcome: EmbeddingResponse | str | None = BLANK
        if future := asked.get(index):
            # None: the call was not started, or is still running.
            outcome = future.result() if future.done() and not future.cancelled() else None
        if isinstance(outcome, EmbeddingResponse):
            vectors[index] = outcome.vector
            tokens += outcome.tokens
        elif outcome is not None:
            refused[index] = outcome
        else:
            left += 1
    embedded = EmbeddingBatchResult(vectors, refused, tokens)
    if left:
        trouble = batch.trouble
        raise EmbeddingDeadlineExceeded(
            "the embedding model did not answer in time",
            embedded,
            detail=f"{left} of {count} texts are left" + (f"; at last: {trouble.reason}" if trouble else ""),
            hint=(trouble and trouble.hint) or "the next invocation goes on with them",
        )
    return embedded


class _Batch:
    def __init__(self, ask: Ask, deadline: float) -> None:
        self._ask = ask
        self._deadline = deadline
        self._stopped = threading.Event()
        self._accepted = threading.Event()
        self._probing = threading.Lock()
        self._resume_at = 0.0
        self.trouble: TransientError | None = None

    def stop(self) -> None:
        """Make all workers end their waits and send no further requests."""
        self._stopped.set()

    def embed(self, text: str) -> EmbeddingResponse | str | None:
        """Returns the vector, the reason for a refusal, or None if the time was over; an exception ends the batch."""
        try:
            return self._embed(text)
        except BaseException:
            self.stop()  # at once: otherwise this thread would begin the next text first
            raise

    def _embed(self, text: str) -> EmbeddingResponse | str | None:
        tries, failed = 0, 0
        while self._pause(tries):
            tries += 1
            try:
                answer = self._ask(text)
            except InputRejected as exc:
                if self._takes_others():
                    return exc.reason
            except TransientError as exc:
                self._note(exc)
                failed += not exc.throttled
                # An earlier success does not show that the model works now.
                if failed >= MAX_TRIES and self._takes_others(now=True):
                    return f"{exc.reason}, {failed} times, while the model takes other texts"
            else:
                self._accepted.set()
                return answer
        return None

    def _pause(self, tries: int) -> bool:
        """Wait for the next try and return True; return False at once if the try would come after the deadline."""
        longest = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** min(tries - 1, 30)) if tries else 0.0
        now = time.monotonic()
        pause = max(0.0, self._resume_at - now) + random.uniform(0.0, longest)  # noqa: S311 - no secret
        return now + pause < self._deadline and not self._stopped.wait(pause)

    def _takes_others(self, *, now: bool = False) -> bool:
        """Returns whether the model has accepted a text of the batch (with `now`, accepts a text now), or False if
        unknown."""
        with self._probing:
            if self._accepted.is_set() and not now:
                return True
            if not self._pause(0):
                return False
            try:
                self._ask(PROBE)
            except InputRejected as exc:
                raise EmbedderError(
                    f"the embedding model takes no text at all: {exc.reason}",
                    detail=exc.words or None,
                    hint="check EMBEDDING_MODEL, the region, and that the account may use the model",
                ) from None
            except TransientError as exc:
                self._note(exc)
                if now and exc.nonsense:
                    raise EmbedderError(
                        f"the embedding model does not answer as one: {exc.reason}",
                        detail=f"{MAX_TRIES} tries of one text, and one of the word {PROBE!r}",
                        hint="check AWS_ENDPOINT_URL_BEDROCK_RUNTIME and any proxy: another server answers",
                    ) from None
                return False
            self._accepted.set()
            return True

    def _note(self, trouble: TransientError) -> None:
        self.trouble = trouble
        if trouble.retry_after is not None:
            self._resume_at = max(self._resume_at, time.monotonic() + trouble.retry_after)
