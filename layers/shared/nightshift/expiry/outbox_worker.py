"""Empties the outbox: reads entries, deletes their files from S3, settles them; during or after the deletion of rows.

The files of a claim go to S3 a thousand a request, several requests at once. If S3 does not answer at all, the worker
stops for this run: the tried files keep their reason, the rest stays untouched.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from nightshift.archive.events import Listener, ProgressEvent, ProgressStep, ignore_events
from nightshift.database.connect import Database
from nightshift.database.tables import file_deletion
from nightshift.expiry.file_names import FileScope
from nightshift.expiry.outbox import Bucket, FileOutbox, Key, OutboxBatch, RemainingFiles, count_pending
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
        gone: how many files.
        failed: the others, by bucket and key: why; None: not tried.
    """

    gone: int = 0
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


class OutboxWorker:
    """Worker that empties the outbox in one run."""

    def __init__(
        self,
        database: Database,
        outbox: FileOutbox,
        connect: Callable[[], S3Client],
        reach: FileScope,
        *,
        versions: bool,
        listener: Listener = ignore_events,
    ) -> None:
        """Args:
        connect: gives boto3's client, which is thread-safe; asked when the first file is due.
        reach: where files may be deleted; whatever the outbox says.
        versions: delete all versions of each file.
        listener: hears of each claim.
        """
        self._database = database
        self._outbox = outbox
        self._connect = connect
        self._reach = reach
        self._versions = versions
        self._listener = listener
        self._after = 0
        self._slowest = LEAST_SECONDS
        self._deleted = self._kept = self._failed = 0
        self._reasons: Counter[tuple[Bucket, str]] = Counter()
        self._examples: dict[tuple[Bucket, str], str] = {}
        self._silent = threading.Event()

    def stop_worker(self) -> None:
        """Claim nothing more."""
        self._silent.set()

    def rewind(self) -> None:
        """Begin at the beginning: entries that were put in out of turn, or not tried."""
        self._after = 0

    def work_off_batches(self) -> None:
        """Take due entries, until none is left, time is short or S3 does not answer."""
        with self._database.connect() as connection, _requests() as pool:
            while not self._silent.is_set() and self._has_time():
                started = time.monotonic()
                claim = self._outbox.fetch_due(connection, self._after, CLAIM_SIZE)
                if not claim:
                    return
                self._after = claim[-1].id
                self._tell(ProgressStep.CLAIMED, claim)
                answers = self._told_to_s3(pool, claim)
                self._tell(ProgressStep.ANSWERED, claim)
                self._settle(connection, claim, answers)
                self._tell(ProgressStep.SETTLED, claim)
                self._slowest = max(self._slowest, time.monotonic() - started)

    def wake_worker(self) -> None:
        """Nothing to do: without a thread of its own the drain works when it is told to."""

    def result(self, warnings: tuple[str, ...] = ()) -> FilesResult:
        """Returns the result for the files; counts the files left in the outbox."""
        with self._database.connect() as connection:
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
        self._listener(ProgressEvent(step=step, table=file_deletion.name, rows=files))

    def _has_time(self) -> bool:
        return self._database.deadline - time.monotonic() > 2 * self._slowest

    def _told_to_s3(self, pool: ThreadPoolExecutor, claim: Sequence[OutboxBatch]) -> DeletionResults:
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
        removals = pool.map(self._send, requests, timeout=max(0.0, self._database.deadline - time.monotonic()))
        for bucket, sent in requests:
            removal = _next(removals, sent)
            if removal.silent:
                self._silent.set()
            answers.gone += len(removal.gone)
            if removal.failed or removal.untried:
                answers.failed.setdefault(bucket, {}).update(dict.fromkeys(removal.untried) | removal.failed)
            self._count_failures(bucket, removal)
        return answers

    def _send(self, request: tuple[Bucket, list[Key]]) -> RemovalResult:
        """One request, unless there is a reason not to send it."""
        from nightshift.store.removal import RemovalResult, remove_objects

        bucket, keys = request
        if self._silent.is_set() or time.monotonic() > self._database.deadline:
            return RemovalResult(untried=keys)
        # Once more, and last: rows of the outbox are not ours alone to write.
        refused = self._reach.outside_scope(bucket, keys)
        keys = [key for key in keys if key not in refused] if refused else keys
        if not keys:
            return RemovalResult(failed=refused)
        deadline = self._database.deadline
        removal = remove_objects(self._connect(), bucket, keys, versions=self._versions, deadline=deadline)
        removal.failed |= refused
        return removal

    def _settle(self, connection: Connection, claim: Sequence[OutboxBatch], answers: DeletionResults) -> None:
        """Record S3's answers."""
        left = [(entry, answers.keys_left(entry)) for entry in claim]
        self._outbox.mark_deleted(connection, [entry for entry, rest in left if not rest])
        for entry, rest in left:
            if rest and not _is_whole(entry, rest):
                self._outbox.reschedule(connection, entry, rest)
        connection.commit()
        self._kept += sum(len(entry.kept) for entry in claim)
        self._deleted += answers.gone

    def _count_failures(self, bucket: Bucket, removal: RemovalResult) -> None:
        self._failed += len(removal.failed)
        for key, code in removal.failed.items():
            self._reasons[bucket, code] += 1
            self._examples.setdefault((bucket, code), key)


@contextmanager
def _requests() -> Iterator[ThreadPoolExecutor]:
    """Threads that are not joined at the end: S3 may never answer, and requests that are not sent by then never are."""
    pool = ThreadPoolExecutor(REQUESTS, "delete-files")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _is_whole(entry: OutboxBatch, left: Sequence[RemainingFiles]) -> bool:
    """Returns whether nobody has tried any of it, so that it stays as it is."""
    return not entry.kept and [(part.keys, part.reason) for part in left] == [(entry.keys, None)]


def _next(removals: Iterator[RemovalResult], keys: Sequence[str]) -> RemovalResult:
    """Returns the result of a request; without an answer in time a failure, and untried keys for all after it."""
    from nightshift.store.removal import RemovalResult

    try:
        return next(removals, RemovalResult(untried=list(keys)))
    except TimeoutError:
        return RemovalResult(failed=dict.fromkeys(keys, "NoAnswer"), silent=True)
