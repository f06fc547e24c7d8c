"""Writes new objects, several at once. An object counts as stored only after it was verified in S3."""

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
        """Start the pool of upload threads.

        Args:
            threads: maximum number of uploads at once, and therefore of bodies in memory. Further uploads wait.
        """
        self.store = store
        # The check of a Parquet file's footer (`proof="head"`) is useless for other objects.
        self._whole = replace(store, proof="full")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="upload")
        self._room = threading.BoundedSemaphore(threads)

    def close(self) -> None:
        """Wait for the running uploads, and cancel the pending uploads."""
        self._pool.shutdown(cancel_futures=True)

    def write(
        self, key: str, body: bytes, *, kind: str = PARQUET, uploaded: Callable[[StoredObject], None] | None = None
    ) -> StoredObject:
        """Write one object and verify it.

        Args:
            kind: the content type.
            uploaded: called when S3 has accepted the object, before the object is verified.

        Raises:
            KeyTaken: an object of another program has the key. That object was not changed.
            StoreError, ArchiveMismatch: S3 did not accept the object, or holds other bytes.
        """
        stored = self.store.put_object(key, body, content_type=kind)
        if uploaded is not None:
            uploaded(stored)
        return (self.store if kind == PARQUET else self._whole).verify_object(stored, body)

    def submit(self, write: Callable[[], T]) -> Future[T]:
        """Call `write` in a thread of the pool. If all threads are busy, the method waits for a free thread first."""
        self._room.acquire()
        try:
            future = self._pool.submit(write)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future
