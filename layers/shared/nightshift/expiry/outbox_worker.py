"""Empties the outbox: reads entries, deletes their files from S3 and updates the entries.

The worker runs during or after the deletion of rows. A claim is a number of entries that are read together. The worker
deletes a thousand files per request, with several requests at once. If S3 does not answer, the worker stops for this
run: files whose deletion was attempted get the reason, and the other files stay unchanged.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from nightshift.database.connect import Database
from nightshift.database.tables import file_deletion
from nightshift.expiry.file_names import FileScope
from nightshift.expiry.outbox import Bucket, FileOutbox, Key, OutboxBatch, RemainingFiles, count_pending
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep, ignore_events
from nightshift.results.expiry import FileFailures, FilesResult

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from nightshift.store.removal import RemovalResult

CLAIM_SIZE = 100
"""Largest number of entries of one claim (100,000 files). Each claim searches for rows that name its files, and may
read whole tables."""

REQUESTS = 4
"""Number of concurrent requests to S3."""

LEAST_SECONDS = 2.0
"""Smallest assumed duration of a claim, in seconds; the worker starts a claim if twice the longest duration is left."""


@dataclass(slots=True)
class DeletionResults:
    """S3's answers for the files of one claim.

    Attributes:
        deleted: number of deleted files.
        failed: reason for each file that was not deleted, by bucket and key; None if it was not attempted.
    """

    deleted: int = 0
    failed: dict[Bucket, dict[Key, str | None]] = field(default_factory=dict)

    def keys_left(self, entry: OutboxBatch) -> list[RemainingFiles]:
        """Returns the remaining files of an entry, grouped by reason."""
        failed = self.failed.get(entry.bucket)
        if failed is None:
            return []
        by_reason: dict[str | None, list[Key]] = {}
        for key in entry.keys:
            if key in failed:
                by_reason.setdefault(failed[key], []).append(key)
        return [RemainingFiles(keys, reason) for reason, keys in by_reason.items()]


@dataclass(slots=True)
class OutboxWorker:
    """Worker that empties the outbox in one run.

    Attributes:
        connect: function that returns boto3's client, which is thread-safe; called when the first file is due.
        reach: buckets and keys that may be deleted; the worker checks every entry of the outbox against it.
        versions: delete all versions of each file.
    """

    database: Database
    outbox: FileOutbox
    connect: Callable[[], S3Client]
    reach: FileScope
    versions: bool
    listener: Listener = ignore_events
    _after: int = field(init=False, default=0)
    _slowest: float = field(init=False, default=LEAST_SECONDS)
    _deleted: int = field(init=False, default=0)
    _kept: int = field(init=False, default=0)
    _failed: int = field(init=False, default=0)
    _reasons: Counter[tuple[Bucket, str]] = field(init=False, default_factory=Counter)
    _examples: dict[tuple[Bucket, str], str] = field(init=False, default_factory=dict)
    _silent: threading.Event = field(init=False, default_factory=threading.Event)

    def stop_worker(self) -> None:
        """Keep the worker from claiming further entries."""
        self._silent.set()

    def rewind(self) -> None:
        """Start again at the first entry, to find entries that were added with lower ids or not attempted."""
        self._after = 0

    def work_off_batches(self) -> None:
        """Process due entries until none is left, the time is short or S3 does not answer."""
        with self.database.connect() as connection, _requests() as pool:
            while not self._silent.is_set() and self.database.deadline - time.monotonic() > 2 * self._slowest:
                started = time.monotonic()
                claim = self.outbox.fetch_due(connection, self._after, CLAIM_SIZE)
                if not claim:
                    return
                self._after = claim[-1].id
                self._tell(ProgressStep.CLAIMED, claim)
                answers = self._delete_files(pool, claim)
                self._tell(ProgressStep.ANSWERED, claim)
                self._settle(connection, claim, answers)
                self._tell(ProgressStep.SETTLED, claim)
                self._slowest = max(self._slowest, time.monotonic() - started)

    def wake_worker(self) -> None:
        """Do nothing; only a `BackgroundOutboxWorker` has a thread to wake."""

    def result(self, warnings: tuple[str, ...] = ()) -> FilesResult:
        """Returns the result for the files, with the number of files left in the outbox."""
        with self.database.connect() as connection:
            left = count_pending(connection)
        failures = tuple(
            FileFailures(bucket=bucket, code=code, count=count, example=self._examples[bucket, code])
            for (bucket, code), count in self._reasons.most_common()
        )
        return FilesResult(
            deleted=self._deleted,
            kept=self._kept,
            failed=self._failed,
            waiting=left,
            failures=failures,
            warnings=warnings,
        )

    def _tell(self, step: ProgressStep, claim: Sequence[OutboxBatch]) -> None:
        files = sum(len(entry.keys) for entry in claim)
        self.listener(ProgressEvent(step=step, table=file_deletion.name, rows=files))

    def _delete_files(self, pool: ThreadPoolExecutor, claim: Sequence[OutboxBatch]) -> DeletionResults:
        """Delete the files of a claim; a file in several entries is deleted once."""
        from nightshift.store.client import DELETE_BATCH

        buckets: dict[Bucket, dict[Key, None]] = {}
        for entry in claim:
            buckets.setdefault(entry.bucket, {}).update(dict.fromkeys(entry.keys))
        requests: list[tuple[Bucket, list[Key]]] = []
        for bucket, files in buckets.items():
            keys = list(files)
            requests += [(bucket, keys[n : n + DELETE_BATCH]) for n in range(0, len(keys), DELETE_BATCH)]
        answers = DeletionResults()
        removals = pool.map(self._send, requests, timeout=max(0.0, self.database.deadline - time.monotonic()))
        for bucket, sent in requests:
            removal = _next(removals, sent)
            if removal.silent:
                self._silent.set()
            answers.deleted += len(removal.gone)
            if removal.failed or removal.untried:
                answers.failed.setdefault(bucket, {}).update(dict.fromkeys(removal.untried) | removal.failed)
            self._failed += len(removal.failed)
            for key, code in removal.failed.items():
                self._reasons[bucket, code] += 1
                self._examples.setdefault((bucket, code), key)
        return answers

    def _send(self, request: tuple[Bucket, list[Key]]) -> RemovalResult:
        """Send one request, unless S3 did not answer before, the time is over or no file may be deleted."""
        from nightshift.store.removal import RemovalResult, remove_objects

        bucket, keys = request
        if self._silent.is_set() or time.monotonic() > self.database.deadline:
            return RemovalResult(untried=keys)
        # A last check, because other programs could have written rows of the outbox.
        refused = self.reach.outside_scope(bucket, keys)
        keys = [key for key in keys if key not in refused] if refused else keys
        if not keys:
            return RemovalResult(failed=refused)
        deadline = self.database.deadline
        removal = remove_objects(self.connect(), bucket, keys, versions=self.versions, deadline=deadline)
        removal.failed |= refused
        return removal

    def _settle(self, connection: Connection, claim: Sequence[OutboxBatch], answers: DeletionResults) -> None:
        """Update the outbox's entries by S3's answers."""
        left = [(entry, answers.keys_left(entry)) for entry in claim]
        self.outbox.mark_deleted(connection, [entry for entry, rest in left if not rest])
        for entry, rest in left:
            untried = not entry.kept and rest == [RemainingFiles(entry.keys, None)]
            if rest and not untried:
                self.outbox.reschedule(connection, entry, rest)
        connection.commit()
        self._kept += sum(len(entry.kept) for entry in claim)
        self._deleted += answers.deleted


@contextmanager
def _requests() -> Iterator[ThreadPoolExecutor]:
    """Yields a thread pool whose end waits for no thread, because S3 may never answer, and cancels unsent requests."""
    pool = ThreadPoolExecutor(REQUESTS, "delete-files")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _next(removals: Iterator[RemovalResult], keys: Sequence[str]) -> RemovalResult:
    """Returns the result of a request: a failure without an answer in time, and untried keys for later requests."""
    from nightshift.store.removal import RemovalResult

    try:
        return next(removals, RemovalResult(untried=list(keys)))
    except TimeoutError:
        return RemovalResult(failed=dict.fromkeys(keys, "NoAnswer"), silent=True)


SWITCH_S = 0.0005
"""Python's thread switch interval during the background work. With Python's default of 5 ms, the thread that deletes
rows would spend half of the run waiting for the threads that write XML for S3."""


class BackgroundOutboxWorker:
    """Context manager that runs an `OutboxWorker` in a separate thread; leaving raises the worker's exception."""

    def __init__(self, worker: OutboxWorker) -> None:
        self._worker = worker
        self._changed = threading.Condition()
        self._news = 0
        self._interval = sys.getswitchinterval()
        self._over = False
        self._pool = ThreadPoolExecutor(1, "outbox")

    def __enter__(self) -> BackgroundOutboxWorker:
        sys.setswitchinterval(SWITCH_S)
        self._future = self._pool.submit(self._follow)
        self.wake_worker()  # earlier runs may have left files
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._worker.stop_worker()
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._pool.shutdown()
        sys.setswitchinterval(self._interval)
        if kind is None:
            self._future.result()

    def wake_worker(self) -> None:
        """Tell the worker that files were put into the outbox."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def _follow(self) -> None:
        seen = 0
        while news := self._next(seen):
            seen = news
            self._worker.work_off_batches()

    def _next(self, seen: int) -> int:
        """Wait until the number of wake-ups exceeds `seen` and return the number, or 0 when the context ends."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._news > seen)
            return 0 if self._over else self._news
