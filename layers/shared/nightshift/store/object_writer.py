"""Writes new objects, several at once, and proves each: nothing counts as stored before S3 was asked what it holds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from nightshift.store.bucket import PARQUET, ObjectStore, StoredObject

T = TypeVar("T")


class ObjectWriter:
    """Writes objects into one bucket. Thread-safe."""

    def __init__(self, store: ObjectStore, threads: int = 1) -> None:
        """Args:
        threads: uploads at once, and so bodies in memory; further ones wait.
        """
        self.store = store
        # Proof by a Parquet file's footer says nothing about other objects.
        self._whole = replace(store, proof="full")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="upload")
        self._room = threading.BoundedSemaphore(threads)

    def close(self) -> None:
        """Wait for running uploads; drop pending ones."""
        self._pool.shutdown(cancel_futures=True)

    def write(
        self, key: str, body: bytes, *, kind: str = PARQUET, uploaded: Callable[[StoredObject], None] | None = None
    ) -> StoredObject:
        """Write one object and prove it.

        Args:
            kind: the content type.
            uploaded: called when S3 has taken the object, before the proof.

        Raises:
            KeyTaken: somebody else's object is there; it was left alone.
            StoreError, ArchiveMismatch: S3 did not take it, or holds something else.
        """
        stored = self.store.put_object(key, body, content_type=kind)
        if uploaded is not None:
            uploaded(stored)
        return (self.store if kind == PARQUET else self._whole).verify_object(stored, body)

    def submit(self, write: Callable[[], T]) -> Future[T]:
        """Call `write` in the background; waits for room first."""
        self._room.acquire()
        try:
            future = self._pool.submit(write)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future
