"""Scans all documents once, in the order of their ids, and embeds stale documents batch by batch.

The scan keeps only ids of a page's documents in memory, so the memory does not grow with the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from nightshift.database.connect import is_timeout
from nightshift.embedders.text_embedder import EmbeddingDeadlineExceeded
from nightshift.embedding.batch import MOST_BUSY, BatchEmbedder
from nightshift.embedding.document_store import DocumentStore
from nightshift.embedding.models import DocumentFilter, EmbeddingStats, Key, VectorStore

PAGE = 1000
"""Number of documents that one statement examines."""
AGAIN = 3
"""Number of times that one scan embeds a document again that was edited while it was embedded."""


@dataclass(slots=True)
class DocumentScan:
    """A scan of all documents, for one vector store.

    Attributes:
        batch: number of documents per transaction.
        deadline: `time.monotonic()` value by which the scan must end.
        renew: function that sets the connection's timeouts to the run's remaining time.
        stale: number of stale documents that the scan found.
    """

    session: DocumentStore
    batcher: BatchEmbedder
    progress: EmbeddingStats
    batch: int
    deadline: float
    renew: Callable[[], None]
    stale: int = 0
    _edited: list[Key] = field(init=False, default_factory=list)

    def scan_documents(self, store: VectorStore, choice: DocumentFilter, *, counted: bool) -> bool:
        """Embed the stale documents; returns False if the time did not suffice, and then counts the rest in `left`.

        Raises the errors of `BatchEmbedder.embed_documents`, except `EmbeddingDeadlineExceeded`.

        Args:
            counted: count the examined documents in the result; False for a second scan of the same documents.
        """
        self.stale = 0
        after: Key | None = None
        waiting: list[Key] = []
        while True:
            if not self._time_left():
                return self._out_of_time(store, choice, after, waiting)
            page = self.session.read_page(store, choice, after, PAGE)
            self.stale += len(page.stale)
            if counted:
                self.progress.looked_at += page.looked_at
                self.progress.unchanged += page.looked_at - len(page.stale)
            if page.touched and store is VectorStore.READERS:
                self.session.touch_documents(page.touched)
            waiting += page.stale
            least = 1 if page.last is None else self.batch
            while len(waiting) >= least:
                keys, waiting = waiting[: self.batch], waiting[self.batch :]
                if not self._embed(store, keys):
                    return self._out_of_time(
                        store, choice, after=page.last, waiting=waiting, more=page.last is not None
                    )
            if page.last is None:
                return self._embed_again(store)
            after = page.last

    def _embed(self, store: VectorStore, keys: list[Key]) -> bool:
        """Embed a batch; returns whether the scan may embed another batch."""
        if not self._time_left() or self.progress.busy >= MOST_BUSY:
            self.progress.left += len(keys)
            return False
        try:
            self._edited += self.batcher.embed_documents(store, keys)
        except EmbeddingDeadlineExceeded:
            return False
        return True

    def _embed_again(self, store: VectorStore) -> bool:
        """Embed edited documents again, and skip deleted documents; returns whether all are embedded."""
        in_time = True
        for _ in range(AGAIN):
            keys, self._edited = self._edited, []
            while keys and in_time:
                in_time = self._embed(store, keys[: self.batch])
                keys = keys[self.batch :]
            self.progress.left += len(keys)
        self.progress.edited += len(self._edited)
        self.progress.left += len(self._edited)
        return in_time and not self._edited

    def _out_of_time(
        self, store: VectorStore, choice: DocumentFilter, after: Key | None, waiting: list[Key], *, more: bool = True
    ) -> bool:
        self.progress.left += len(waiting) + len(self._edited) + (self._beyond(store, choice, after) if more else 0)
        self._edited = []
        return False

    def _beyond(self, store: VectorStore, choice: DocumentFilter, after: Key | None) -> int:
        """Returns the number of documents not yet examined; 1 if counting them would take longer than the time left."""
        self.renew()
        try:
            return self.session.count_remaining(store, choice, after)
        except DBAPIError as exc:
            self.session.connection.rollback()
            if not is_timeout(exc):
                raise
            return 1

    def _time_left(self) -> bool:
        return self.deadline - time.monotonic() > 2 * self.progress.slowest
