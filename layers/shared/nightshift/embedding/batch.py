"""Embeds one batch: reads texts, embeds them outside a transaction, and writes vectors and ledger in one transaction.

If the process ends at any point, each document has its old or its new embedding, and the ledger is consistent. A
document that is edited meanwhile keeps its old embedding, and its new text is embedded later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from nightshift.database.connect import is_busy, refused_statement, sqlstate
from nightshift.embedders.text_embedder import EmbeddingBatchResult, EmbeddingDeadlineExceeded, TextEmbedder
from nightshift.embedding.document_store import DocumentStore
from nightshift.embedding.model_migration import LOCK_SECONDS
from nightshift.embedding.models import DocumentResult, EmbeddingState, EmbeddingStats, Key, SourceDocument, VectorStore
from nightshift.errors import NightshiftError
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep

_ABOUT_A_ROW = ("22", "23", "44", "P0")
"""Classes of SQLSTATE (PostgreSQL manual, appendix A) by which the database refuses a row: a value, a constraint, a
view's condition, a trigger's exception."""

MOST_BUSY = 50
"""Number of locked documents after which the run stops, because another session holds many locks."""


@dataclass(frozen=True, slots=True)
class BatchEmbedder:
    """Embeds batches of documents and writes their vectors.

    Attributes:
        deadline: `time.monotonic()` value after which the run does not wait for the model.
        now: clock for the ledger's times.
    """

    session: DocumentStore
    embedder: TextEmbedder
    progress: EmbeddingStats
    deadline: float
    now: Callable[[], datetime]
    listener: Listener

    def embed_documents(self, store: VectorStore, keys: Sequence[Key]) -> list[Key]:
        """Embed documents; returns the keys of documents whose text changed during the embedding.

        Raises:
            EmbeddingDeadlineExceeded: the model did not finish by the deadline; the finished vectors are written, and
                `left` counts the other documents.
            EmbedderError, ConcurrentModelChange, NightshiftError: nothing was written.
        """
        began = time.monotonic()
        documents = self.session.read_texts(keys)
        self._tell(ProgressStep.TAKEN, len(documents))
        worded = [document for document in documents if document.text.strip()]
        embedded, late = EmbeddingBatchResult([]), None
        try:
            if worded:
                embedded = self.embedder.embed([document.text for document in worded], deadline=self.deadline)
        except EmbeddingDeadlineExceeded as exc:
            embedded, late = exc.embedded, exc
        self.progress.tokens += embedded.tokens
        outcomes = _outcomes(worded, embedded)
        outcomes += [
            DocumentResult(document, EmbeddingState.EMPTY) for document in documents if not document.text.strip()
        ]
        if late is not None:
            self.progress.left += len(documents) - len(outcomes)
        self._tell(ProgressStep.ANSWERED, len(outcomes))
        edited = self._written(store, outcomes) if outcomes else []
        self.progress.slowest = max(self.progress.slowest, time.monotonic() - began)
        if late is not None:
            self.progress.left += len(edited)
            raise late
        return edited

    def _written(self, store: VectorStore, outcomes: Sequence[DocumentResult]) -> list[Key]:
        """Write a batch; if a row fails, write each document in a separate transaction, so only that row is left."""
        try:
            return self._write(store, outcomes)
        except DBAPIError as exc:
            self.session.connection.rollback()
            if not (is_busy(exc) or _is_row_error(exc)):
                raise
            if is_busy(exc) and not self.session.splits:
                self._leave_locked(len(outcomes))
                return []
        edited: list[Key] = []
        for number, outcome in enumerate(outcomes):
            if self.progress.busy >= MOST_BUSY or time.monotonic() > self.deadline:
                self._leave_locked(len(outcomes) - number)
                break
            try:
                edited += self._write(store, [outcome])
            except DBAPIError as exc:
                self.session.connection.rollback()
                self._leave(store, outcome, exc)
        return edited

    def _write(self, store: VectorStore, outcomes: Sequence[DocumentResult]) -> list[Key]:
        session = self.session
        session.begin_migration(LOCK_SECONDS)
        written = session.write_vectors(store, outcomes, self.now())
        self._tell(ProgressStep.COMMITTING, len(written))
        session.connection.commit()
        for outcome in outcomes:
            if outcome.document.id in written:
                self._count(outcome)
        self._tell(ProgressStep.COMMITTED, len(written))
        return [outcome.document.key for outcome in outcomes if outcome.document.id not in written]

    def _leave(self, store: VectorStore, outcome: DocumentResult, exc: DBAPIError) -> None:
        """Leave a locked row for the next run, or mark a document as refused if the database refuses its row."""
        if is_busy(exc):
            self._leave_locked(1)
            return
        if not _is_row_error(exc):
            raise refused_statement(exc) from exc
        code = sqlstate(exc) or type(exc).__name__
        refused = DocumentResult(
            outcome.document, EmbeddingState.REFUSED, error=f"the database does not take its embedding ({code})"
        )
        if store is VectorStore.STAGE:
            self._write(store, [refused])
            return
        self.session.begin_migration(LOCK_SECONDS)
        self.session.mark_rejected(refused, self.now())
        self.session.connection.commit()
        self._count(refused)

    def _leave_locked(self, count: int) -> None:
        self.progress.busy += count
        self.progress.left += count

    def _count(self, outcome: DocumentResult) -> None:
        if outcome.state is EmbeddingState.EMBEDDED:
            self.progress.embedded += 1
        elif outcome.state is EmbeddingState.EMPTY:
            self.progress.empty += 1
        else:
            self.progress.count_rejected(outcome.document.id, outcome.error or "refused")

    def _tell(self, step: ProgressStep, rows: int) -> None:
        self.listener(ProgressEvent(step=step, table=self.session.source.table.label, rows=rows))


def _outcomes(documents: Sequence[SourceDocument], embedded: EmbeddingBatchResult) -> list[DocumentResult]:
    """Returns the results of the documents that the model has processed; raises if the number of answers is wrong."""
    if len(embedded.vectors) != len(documents):
        raise NightshiftError(
            "the embedder's answer is not for the batch that it was asked for",
            detail=f"{len(documents)} documents, {len(embedded.vectors)} answers",
        )
    outcomes = []
    for index, (document, vector) in enumerate(zip(documents, embedded.vectors, strict=True)):
        if vector is not None:
            outcomes.append(DocumentResult(document, EmbeddingState.EMBEDDED, vector))
        elif index in embedded.refused:
            outcomes.append(DocumentResult(document, EmbeddingState.REFUSED, error=embedded.refused[index][:500]))
    return outcomes


def _is_row_error(exc: DBAPIError) -> bool:
    """Returns whether the database refused a row because of its values, e.g. by a constraint or a trigger."""
    state = sqlstate(exc)
    return state.startswith(_ABOUT_A_ROW) if state else type(exc).__name__ == "IntegrityError"
