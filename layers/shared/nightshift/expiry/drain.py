"""Empties the outbox: claim, delete from S3, commit; beside the deletion of rows, or after it.

The files of a claim go to S3 a thousand a request, several requests at once. S3 that does not answer at all ends the
draining of this run: what was tried is put back with its reason, the rest was never touched.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from nightshift.archive.events import ChunkEvent, Listener, Step, ignore
from nightshift.database.connect import Database
from nightshift.database.tables import file_deletion
from nightshift.expiry.outbox import Bucket, Claim, File, Outbox, waiting
from nightshift.results import FileFailures, FilesResult

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from nightshift.store.removal import Removal

CLAIM = 10_000
"""Files that one transaction of the outbox is about: ten requests."""

WORKERS = 2
"""Claims at once: while S3 answers one, the database makes the next."""

REQUESTS = 2
"""Requests to S3 at once, each claim."""

LEAST_SECONDS = 2.0
"""With less time left nothing is claimed."""


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
        self._slowest = LEAST_SECONDS
        self._deleted = self._kept = self._failed = 0
        self._reasons: Counter[tuple[Bucket, str]] = Counter()
        self._examples: dict[tuple[Bucket, str], str] = {}
        self.silent = False

    def work(self) -> None:
        """Take what is due now, until nothing is left, time is short or S3 is silent. For several threads at once."""
        after = 0
        with self._database.connect() as connection, ThreadPoolExecutor(REQUESTS, "delete-files") as pool:
            while not self.silent and self._has_time():
                started = time.monotonic()
                claim = self._outbox.claim(connection, after, CLAIM)
                if claim is None:
                    connection.rollback()
                    return
                self._tell(Step.CLAIMED, claim)
                failed = self._told_to_s3(pool, claim)
                self._tell(Step.ANSWERED, claim)
                self._outbox.put_back(connection, failed)
                connection.commit()
                self._tell(Step.SETTLED, claim)
                after = claim.last
                with self._lock:
                    self._count(claim, failed)
                    self._slowest = max(self._slowest, time.monotonic() - started)

    def wake(self) -> None:
        """Nothing to do: without a thread of its own the drain works when it is told to."""

    def result(self, queued: int) -> FilesResult:
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
        )

    def _tell(self, step: Step, claim: Claim) -> None:
        self._listener(ChunkEvent(step=step, table=file_deletion.name, rows=len(claim.files)))

    def _has_time(self) -> bool:
        return self._database.deadline - time.monotonic() > 2 * self._slowest

    def _told_to_s3(self, pool: ThreadPoolExecutor, claim: Claim) -> list[tuple[File, str]]:
        """Delete the files of a claim; returns those that are not gone, with the reason."""
        from nightshift.store.client import DELETE_BATCH
        from nightshift.store.removal import remove

        by_bucket: dict[Bucket, dict[str, File]] = {}
        for file in claim.files:
            by_bucket.setdefault(file.bucket, {})[file.key] = file
        requests: list[tuple[Bucket, Sequence[str]]] = []
        for bucket, files in by_bucket.items():
            keys = list(files)
            requests += [(bucket, keys[n : n + DELETE_BATCH]) for n in range(0, len(keys), DELETE_BATCH)]

        def send(request: tuple[Bucket, Sequence[str]]) -> Removal:
            bucket, keys = request
            return remove(self._connect(), bucket, keys, versions=self._versions, deadline=self._database.deadline)

        failed = []
        for (bucket, _), removal in zip(requests, pool.map(send, requests), strict=True):
            self.silent = self.silent or removal.silent
            failed += [(by_bucket[bucket][key], reason) for key, reason in removal.failed.items()]
        return failed

    def _count(self, claim: Claim, failed: Sequence[tuple[File, str]]) -> None:
        self._kept += claim.kept
        self._failed += len(failed)
        self._deleted += len(claim.files) - len(failed)
        for file, code in failed:
            self._reasons[file.bucket, code] += 1
            self._examples.setdefault((file.bucket, code), file.key)


class Background:
    """A drain in threads of its own, for as long as the context lasts.

    Raises:
        what the drain raised, on leaving, unless something else is raised already.
    """

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._more = threading.Event()
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(WORKERS, "drain")

    def __enter__(self) -> Background:
        self._futures = [self._pool.submit(self._follow) for _ in range(WORKERS)]
        self.wake()  # earlier runs may have left files
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._more.set()
        self._pool.shutdown()
        if kind is None:
            for future in self._futures:
                future.result()

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._more.set()

    def _follow(self) -> None:
        while not self._over.is_set():
            self._more.wait()
            self._more.clear()
            self._drain.work()
