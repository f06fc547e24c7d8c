"""Embeds one batch: reads it, embeds it outside any transaction, and writes vectors and ledger in one transaction.

A process that dies at any point leaves each document with its old embedding or its new one, and a consistent ledger. A
document that is edited in between keeps its old embedding; its new text is still to be embedded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import Listener, ProgressEvent, ProgressStep
from nightshift.database.connect import is_busy, refused_statement, sqlstate
from nightshift.embedders.text_embedder import EmbeddingBatchResult, EmbeddingDeadlineExceeded, TextEmbedder
from nightshift.embedding.document_store import DocumentStore
from nightshift.embedding.model_migration import LOCK_SECONDS
from nightshift.embedding.models import DocumentResult, EmbeddingState, Key, SourceDocument, VectorStore
from nightshift.embedding.progress import EmbeddingStats
from nightshift.errors import NightshiftError

_ABOUT_A_ROW = ("22", "23", "44", "P0")
"""Classes of SQLSTATE (PostgreSQL manual, appendix A) by which the database refuses a row: a value, a constraint, a
view's condition, a trigger's exception."""

MOST_BUSY = 50
"""Locked documents after which the run stops trying: somebody holds more than single ones."""


class BatchEmbedder:
    """Embeds batches of documents, and writes them to one vector store."""

    def __init__(
        self,
        session: DocumentStore,
        embedder: TextEmbedder,
        progress: EmbeddingStats,
        *,
        deadline: float,
        now: Callable[[], datetime],
        listener: Listener,
    ) -> None:
        """Args:
        deadline: `time.monotonic()` value after which the model is not waited for.
        now: the clock, for the ledger.
        """
        self._session = session
        self._embedder = embedder
        self._progress = progress
        self._deadline = deadline
        self._now = now
        self._listener = listener

    def embed_documents(self, shelf: VectorStore, keys: Sequence[Key]) -> list[Key]:
        """Embed documents.

        Returns:
            those whose text has changed meanwhile.

        Raises:
            EmbeddingDeadlineExceeded: the deadline came before the model was done; what it had done is written, and
                `left` is counted.
            EmbedderError, ConcurrentModelChange, NightshiftError: nothing was written.
        """
        began = time.monotonic()
        documents = self._session.read_texts(keys)
        self._tell(ProgressStep.TAKEN, len(documents))
        late: EmbeddingDeadlineExceeded | None = None
        try:
            outcomes = self._outcomes(documents)
        except EmbeddingDeadlineExceeded as exc:
            late, outcomes = exc, _outcomes(self._worded(documents), exc.embedded)
            self._progress.tokens += exc.embedded.tokens
            outcomes += _empty(documents)
            self._progress.left += len(documents) - len(outcomes)
        self._tell(ProgressStep.ANSWERED, len(outcomes))
        edited = self._written(shelf, outcomes) if outcomes else []
        self._progress.slowest = max(self._progress.slowest, time.monotonic() - began)
        if late is not None:
            self._progress.left += len(edited)
            raise late
        return edited

    def _outcomes(self, documents: Sequence[SourceDocument]) -> list[DocumentResult]:
        worded = self._worded(documents)
        if not worded:
            return _empty(documents)
        embedded = self._embedder.embed([document.text for document in worded], deadline=self._deadline)
        self._progress.tokens += embedded.tokens
        return _outcomes(worded, embedded) + _empty(documents)

    def _worded(self, documents: Sequence[SourceDocument]) -> list[SourceDocument]:
        return [document for document in documents if document.text.strip()]

    def _written(self, shelf: VectorStore, outcomes: Sequence[DocumentResult]) -> list[Key]:
        """Writes a batch; if one row fails, writes each by itself, so that only that one is left."""
        try:
            return self._write(shelf, outcomes)
        except DBAPIError as exc:
            self._session.connection.rollback()
            if not (is_busy(exc) or _is_row_error(exc)):
                raise
            if is_busy(exc) and not self._session.splits:
                self._leave_locked(len(outcomes))
                return []
        edited: list[Key] = []
        for number, outcome in enumerate(outcomes):
            if self._progress.busy >= MOST_BUSY or time.monotonic() > self._deadline:
                self._leave_locked(len(outcomes) - number)
                break
            try:
                edited += self._write(shelf, [outcome])
            except DBAPIError as exc:
                self._session.connection.rollback()
                self._leave(shelf, outcome, exc)
        return edited

    def _write(self, shelf: VectorStore, outcomes: Sequence[DocumentResult]) -> list[Key]:
        session = self._session
        session.begin_migration(LOCK_SECONDS)
        written = session.write_vectors(shelf, outcomes, self._now())
        self._tell(ProgressStep.COMMITTING, len(written))
        session.connection.commit()
        for outcome in outcomes:
            if outcome.document.id in written:
                self._count(outcome)
        self._tell(ProgressStep.COMMITTED, len(written))
        return [outcome.document.key for outcome in outcomes if outcome.document.id not in written]

    def _leave(self, shelf: VectorStore, outcome: DocumentResult, exc: DBAPIError) -> None:
        """A row that cannot be written: left for the next run, or set aside where the database will never take it."""
        if is_busy(exc):
            self._leave_locked(1)
            return
        if not _is_row_error(exc):
            raise refused_statement(exc) from exc
        code = sqlstate(exc) or type(exc).__name__
        refused = DocumentResult(
            outcome.document, EmbeddingState.REFUSED, error=f"the database does not take its embedding ({code})"
        )
        if shelf is VectorStore.STAGE:
            self._write(shelf, [refused])
            return
        self._session.begin_migration(LOCK_SECONDS)
        self._session.mark_rejected(refused, self._now())
        self._session.connection.commit()
        self._count(refused)

    def _leave_locked(self, count: int) -> None:
        self._progress.busy += count
        self._progress.left += count

    def _count(self, outcome: DocumentResult) -> None:
        if outcome.state is EmbeddingState.EMBEDDED:
            self._progress.embedded += 1
        elif outcome.state is EmbeddingState.EMPTY:
            self._progress.empty += 1
        else:
            self._progress.count_rejected(outcome.document.id, outcome.error or "refused")

    def _tell(self, step: ProgressStep, rows: int) -> None:
        self._listener(ProgressEvent(step=step, table=self._session.source.table.label, rows=rows))


def _outcomes(documents: Sequence[SourceDocument], embedded: EmbeddingBatchResult) -> list[DocumentResult]:
    """Returns the model's result for each document that it has processed.

    Raises:
        NightshiftError: it does not say it of as many documents as it was asked.
    """
    if len(embedded.vectors) != len(documents):
        raise NightshiftError(
            "the embedder's answer is not for the batch that it was asked for",
            detail=f"{len(documents)} documents, {len(embedded.vectors)} answers",
        )
    found = []
    for index, (document, vector) in enumerate(zip(documents, embedded.vectors, strict=True)):
        if vector is not None:
            found.append(DocumentResult(document, EmbeddingState.EMBEDDED, vector))
        elif index in embedded.refused:
            found.append(DocumentResult(document, EmbeddingState.REFUSED, error=embedded.refused[index][:500]))
    return found


def _empty(documents: Sequence[SourceDocument]) -> list[DocumentResult]:
    return [DocumentResult(document, EmbeddingState.EMPTY) for document in documents if not document.text.strip()]


def _is_row_error(exc: DBAPIError) -> bool:
    """Returns whether the database does not take a row as it is."""
    state = sqlstate(exc)
    return state.startswith(_ABOUT_A_ROW) if state else type(exc).__name__ == "IntegrityError"
