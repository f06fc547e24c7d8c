"""Empties the outbox: reads entries, deletes their files from S3, settles them; during or after the deletion of rows.

The files of a claim go to S3 a thousand a request, several requests at once. If S3 does not answer at all, the worker
stops for this run: the tried files keep their reason, the rest stays untouched.
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
"""Entries of one claim, at most: 100,000 files. Each looks for rows that name its files, which may mean to read their
tables whole."""

REQUESTS = 4
"""Requests to S3 at once."""

LEAST_SECONDS = 2.0
"""With less time left nothing is claimed."""


@dataclass(slots=True)
class DeletionResults:
    """S3's answers for the files of one claim.

    Attributes:
        deleted: how many files.
        failed: the others, by bucket and key: why; None: not tried.
    """

    deleted: int = 0
    failed: dict[Bucket, dict[Key, str | None]] = field(default_factory=dict)

    def keys_left(self, entry: OutboxBatch) -> list[RemainingFiles]:
        """Returns the remaining files of an entry, by reason."""
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
        connect: gives boto3's client, which is thread-safe; asked when the first file is due.
        reach: where files may be deleted; whatever the outbox says.
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
        """Claim nothing more."""
        self._silent.set()

    def rewind(self) -> None:
        """Begin at the beginning: entries that were put in out of turn, or not tried."""
        self._after = 0

    def work_off_batches(self) -> None:
        """Take due entries, until none is left, time is short or S3 does not answer."""
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
        """Nothing to do: without a thread of its own the drain works when it is told to."""

    def result(self, warnings: tuple[str, ...] = ()) -> FilesResult:
        """Returns the result for the files; counts the files left in the outbox."""
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
        """Delete the files of a claim, each once, whatever number of entries name it."""
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
        """One request, unless there is a reason not to send it."""
        from nightshift.store.removal import RemovalResult, remove_objects

        bucket, keys = request
        if self._silent.is_set() or time.monotonic() > self.database.deadline:
            return RemovalResult(untried=keys)
        # Once more, and last: rows of the outbox are not ours alone to write.
        refused = self.reach.outside_scope(bucket, keys)
        keys = [key for key in keys if key not in refused] if refused else keys
        if not keys:
            return RemovalResult(failed=refused)
        deadline = self.database.deadline
        removal = remove_objects(self.connect(), bucket, keys, versions=self.versions, deadline=deadline)
        removal.failed |= refused
        return removal

    def _settle(self, connection: Connection, claim: Sequence[OutboxBatch], answers: DeletionResults) -> None:
        """Record S3's answers."""
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
    """Threads that are not joined at the end: S3 may never answer, and requests that are not sent by then never are."""
    pool = ThreadPoolExecutor(REQUESTS, "delete-files")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _next(removals: Iterator[RemovalResult], keys: Sequence[str]) -> RemovalResult:
    """Returns the result of a request; without an answer in time a failure, and untried keys for all after it."""
    from nightshift.store.removal import RemovalResult

    try:
        return next(removals, RemovalResult(untried=list(keys)))
    except TimeoutError:
        return RemovalResult(failed=dict.fromkeys(keys, "NoAnswer"), silent=True)


SWITCH_S = 0.0005
"""Time that a thread may compute while others wait. Python's own 5 ms are as long as most answers of the database take:
the thread that deletes rows would wait for the ones that write XML after every statement, for half of the run."""


class BackgroundOutboxWorker:
    """A drain in a thread of its own, for as long as the context lasts; its exception is raised on leaving."""

    def __init__(self, drain: OutboxWorker) -> None:
        self._drain = drain
        self._changed = threading.Condition()
        self._news = 0
        self._interval = sys.getswitchinterval()
        self._over = False
        self._pool = ThreadPoolExecutor(1, "drain")

    def __enter__(self) -> BackgroundOutboxWorker:
        sys.setswitchinterval(SWITCH_S)
        self._future = self._pool.submit(self._follow)
        self.wake_worker()  # earlier runs may have left files
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._drain.stop_worker()
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._pool.shutdown()
        sys.setswitchinterval(self._interval)
        if kind is None:
            self._future.result()

    def wake_worker(self) -> None:
        """Something was put into the outbox."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def _follow(self) -> None:
        seen = 0
        while news := self._next(seen):
            seen = news
            self._drain.work_off_batches()

    def _next(self, seen: int) -> int:
        """Wait for news after those `seen`; 0 where there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._news > seen)
            return 0 if self._over else self._news
