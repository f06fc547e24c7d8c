"""Empties the outbox: look, delete from S3, settle; beside the deletion of rows, or after it.

The files of a claim go to S3 a thousand a request, several requests at once. S3 that does not answer at all ends the
draining of this run: what was tried keeps its reason, the rest was never touched.
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

from nightshift.archive.events import ChunkEvent, Listener, Step, ignore
from nightshift.database.connect import Database
from nightshift.database.tables import file_deletion
from nightshift.expiry.outbox import Bucket, Claim, Entries, Outbox, waiting
from nightshift.results import FileFailures, FilesResult

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from nightshift.store.removal import Removal

CLAIM = 100_000
"""Files of one claim, at most. Each looks for rows that name its files, which may mean to read their tables whole."""

REQUESTS = 2
"""Requests to S3 at once, each claim."""

LEAST_SECONDS = 2.0
"""With less time left nothing is claimed."""

_ADDRESSES = ("s3://", "https://", "http://")
"""Beginnings of what is no key: S3 would say that there is no such file, and it would stay for ever."""


@dataclass(slots=True)
class Answers:
    """What S3 said of the files of one claim.

    Attributes:
        gone: how many files.
        settled: ids of their entries.
        failed: the others' ids, by tries before this one and by the reason; nothing is said of those not tried.
    """

    gone: int = 0
    settled: list[int] = field(default_factory=list)
    failed: dict[tuple[int, str], list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Files:
    """The files of one bucket in a claim.

    Attributes:
        ids: key → an entry that names it.
        more: key → the other entries that name it, where there are any.
    """

    bucket: Bucket
    ids: dict[str, int] = field(default_factory=dict)
    more: dict[str, list[int]] = field(default_factory=dict)
    _entries: list[Entries] = field(default_factory=list)

    def add(self, entries: Entries) -> None:
        """Take entries in; a file that several rows named is one file."""
        self._entries.append(entries)
        keys = len(self.ids) + len(entries.keys)
        self.ids = dict(zip(entries.keys, entries.ids, strict=True)) | self.ids
        if len(self.ids) < keys:
            for key, number in zip(entries.keys, entries.ids, strict=True):
                if self.ids[key] != number:
                    self.more.setdefault(key, []).append(number)

    def entries_of(self, keys: Sequence[str]) -> list[int]:
        """The ids of every entry that names one of these."""
        found = [self.ids[key] for key in keys]
        return [*found, *(number for key in keys for number in self.more.get(key, ()))] if self.more else found

    def attempts(self) -> dict[int, int]:
        """Tries in vain, by id."""
        return {number: entries.attempts for entries in self._entries for number in entries.ids}


class Drain:
    """One run's way through the outbox."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        connect: Callable[[], S3Client],
        *,
        versions: bool,
        listener: Listener = ignore,
    ) -> None:
        """Args:
        connect: gives boto3's client, which is thread-safe; asked when the first file is due.
        versions: delete all versions of each file.
        listener: hears of each claim.
        """
        self._database = database
        self._outbox = outbox
        self._connect = connect
        self._versions = versions
        self._listener = listener
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._after = 0
        self._slowest = LEAST_SECONDS
        self._deleted = self._kept = self._failed = 0
        self._reasons: Counter[tuple[Bucket, str]] = Counter()
        self._examples: dict[tuple[Bucket, str], str] = {}
        self._silent = threading.Event()

    def stop(self) -> None:
        """Claim nothing more."""
        self._silent.set()

    def again(self) -> None:
        """Begin at the beginning: what was put in out of turn, or not tried."""
        self._after = 0

    def work(self) -> None:
        """Take what is due now, until nothing is left, time is short or S3 is silent. For several threads at once."""
        with self._database.connect() as connection, _requests() as pool:
            while not self._silent.is_set() and self._has_time():
                started = time.monotonic()
                with self._looking:
                    claim = self._outbox.look(connection, self._after, CLAIM)
                    self._after = claim.last if claim else self._after
                if claim is None:
                    return
                self._tell(Step.CLAIMED, claim)
                answers = self._told_to_s3(pool, claim)
                self._tell(Step.ANSWERED, claim)
                self._settle(connection, claim, answers)
                self._tell(Step.SETTLED, claim)
                with self._lock:
                    self._slowest = max(self._slowest, time.monotonic() - started)

    def wake(self) -> None:
        """Nothing to do: without a thread of its own the drain works when it is told to."""

    def result(self, queued: int, warnings: tuple[str, ...] = ()) -> FilesResult:
        """What became of the files; asks the outbox what is left in it."""
        with self._database.connect() as connection:
            left = waiting(connection)
        failures = tuple(
            FileFailures(bucket=bucket, code=code, count=count, example=self._examples[bucket, code])
            for (bucket, code), count in self._reasons.most_common()
        )
        return FilesResult(
            queued=queued,
            deleted=self._deleted,
            kept=self._kept,
            failed=self._failed,
            waiting=left,
            failures=failures,
            warnings=warnings,
        )

    def _tell(self, step: Step, claim: Claim) -> None:
        files = sum(len(entries.ids) for entries in claim.files)
        self._listener(ChunkEvent(step=step, table=file_deletion.name, rows=files))

    def _has_time(self) -> bool:
        return self._database.deadline - time.monotonic() > 2 * self._slowest

    def _told_to_s3(self, pool: ThreadPoolExecutor, claim: Claim) -> Answers:
        """Delete the files of a claim, each once."""
        from nightshift.store.client import DELETE_BATCH

        buckets: dict[Bucket, Files] = {}
        for entries in claim.files:
            buckets.setdefault(entries.bucket, Files(entries.bucket)).add(entries)
        requests: list[tuple[Files, Sequence[str]]] = []
        for files in buckets.values():
            keys = list(files.ids)
            requests += [(files, keys[n : n + DELETE_BATCH]) for n in range(0, len(keys), DELETE_BATCH)]
        answers = Answers()
        removals = pool.map(self._send, requests, timeout=max(0.0, self._database.deadline - time.monotonic()))
        for files, sent in requests:
            removal = _next(removals, sent)
            if removal.silent:
                self._silent.set()
            answers.gone += len(removal.gone)
            answers.settled += files.entries_of(removal.gone)
            attempts = files.attempts() if removal.failed else {}
            for key, reason in removal.failed.items():
                for number in files.entries_of([key]):
                    answers.failed.setdefault((attempts[number], reason), []).append(number)
            self._count_failures(files.bucket, removal)
        return answers

    def _send(self, request: tuple[Files, Sequence[str]]) -> Removal:
        """One request, unless there is a reason not to send it."""
        from nightshift.store.removal import Removal, remove

        files, keys = request
        if self._silent.is_set() or time.monotonic() > self._database.deadline:
            return Removal(untried=list(keys))
        if not files.bucket:
            return Removal(failed=dict.fromkeys(keys, "NoBucket"))
        addresses = [key for key in keys if key.startswith(_ADDRESSES)]
        keys = [key for key in keys if not key.startswith(_ADDRESSES)]
        deadline = self._database.deadline
        removal = remove(self._connect(), files.bucket, keys, versions=self._versions, deadline=deadline)
        removal.failed |= dict.fromkeys(addresses, "NotAKey")
        return removal

    def _settle(self, connection: Connection, claim: Claim, answers: Answers) -> None:
        """Write down what S3 has said."""
        self._outbox.gone(connection, [*answers.settled, *claim.kept])
        for (attempts, reason), ids in answers.failed.items():
            self._outbox.failed(connection, ids, attempts, reason)
        connection.commit()
        with self._lock:
            self._kept += len(claim.kept)
            self._deleted += answers.gone

    def _count_failures(self, bucket: Bucket, removal: Removal) -> None:
        with self._lock:
            self._failed += len(removal.failed)
            for key, code in removal.failed.items():
                self._reasons[bucket, code] += 1
                self._examples.setdefault((bucket, code), key)


@contextmanager
def _requests() -> Iterator[ThreadPoolExecutor]:
    """Threads that nobody waits for at the end: S3 may never answer, and what is not on its way by then never will."""
    pool = ThreadPoolExecutor(REQUESTS, "delete-files")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _next(removals: Iterator[Removal], keys: Sequence[str]) -> Removal:
    """What became of a request; of one that has no answer when time is over, and of all after it, that it has none."""
    from nightshift.store.removal import Removal

    try:
        return next(removals, Removal(untried=list(keys)))
    except TimeoutError:
        return Removal(failed=dict.fromkeys(keys, "NoAnswer"), silent=True)
