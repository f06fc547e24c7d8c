"""Embeds a batch through a one-text-per-call model: concurrent calls, retries for transient errors, and a deadline.

The error code of the service decides how to react (`InputRejected`, `TransientError`), but not whose fault the error
is. Bedrock answers `ValidationException` both for a text that is too long and for a model that does not exist. It
answers 500 for a text that its model cannot process, and for every text while it is down. So no text is given up before
the model has accepted another: one of the same batch, else `PROBE`. Otherwise one wrong setting would set every
document aside.

botocore's retries stay switched off: they sleep without knowing the deadline.
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
"""Longest wait before the second try, doubled each time, and where that ends; the wait is a random part of it, so that
calls that were throttled together are not repeated together."""
MAX_TRIES = 6
"""So often a text may fail, where the model is well, before it is given up. Throttling does not count."""
PROBE = "nightshift"
"""A text that every embedding model takes."""
BLANK = "there is no text"


@dataclass(frozen=True, slots=True)
class EmbeddingResponse:
    """One text's vector, and the tokens that it cost."""

    vector: array[float]
    tokens: int


@dataclass(eq=False)
class InputRejected(Exception):
    """The model does not accept the text.

    Attributes:
        reason: fit to be shown: it quotes nothing.
        words: the model's own, which may quote the text.
    """

    reason: str
    words: str = ""


@dataclass(eq=False)
class TransientError(Exception):
    """Another try may succeed.

    Attributes:
        reason: fit to be shown.
        throttled: the text is not to blame.
        nonsense: an answer came, and is none of the model's.
        retry_after: seconds that the service asks everybody to wait.
        hint: what the operator can do if it does not pass.
    """

    reason: str
    throttled: bool = False
    nonsense: bool = False
    retry_after: float | None = None
    hint: str | None = None


Ask = Callable[[str], EmbeddingResponse]
"""Asks once; raises `InputRejected`, `TransientError` or `EmbedderError`."""


def embed_batch(ask: Ask, texts: Sequence[str], *, workers: int, deadline: float) -> EmbeddingBatchResult:
    """Embed a batch, as `TextEmbedder.embed` has it.

    A request that the deadline overtakes is left to itself, as its connection cannot be told to hurry; its answer is
    thrown away.
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
    """State shared by the workers of one batch."""

    def __init__(self, ask: Ask, deadline: float) -> None:
        self._ask = ask
        self._deadline = deadline
        self._stopped = threading.Event()
        self._accepted = threading.Event()
        self._probing = threading.Lock()
        self._resume_at = 0.0
        self.trouble: TransientError | None = None

    def stop(self) -> None:
        """No worker asks again, nor waits."""
        self._stopped.set()

    def embed(self, text: str) -> EmbeddingResponse | str | None:
        """Returns the vector, the reason of a refusal, or None if time was over; any exception ends the batch."""
        try:
            return self._embed(text)
        except BaseException:
            self.stop()  # now: before those who wait hear of it, this thread would have taken the next text
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
                # What it took a while ago does not tell that it is well now.
                if failed >= MAX_TRIES and self._takes_others(now=True):
                    return f"{exc.reason}, {failed} times, while the model takes other texts"
            else:
                self._accepted.set()
                return answer
        return None

    def _pause(self, tries: int) -> bool:
        """Wait for the next try; False, at once, where it would come too late."""
        longest = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** min(tries - 1, 30)) if tries else 0.0
        now = time.monotonic()
        pause = max(0.0, self._resume_at - now) + random.uniform(0.0, longest)  # noqa: S311 - no secret
        return now + pause < self._deadline and not self._stopped.wait(pause)

    def _takes_others(self, *, now: bool = False) -> bool:
        """Returns whether the model accepted a text of this batch (`now`: accepts one right now); False: unknown."""
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
