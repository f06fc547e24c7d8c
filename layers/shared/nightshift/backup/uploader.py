"""Uploads backup objects concurrently under new keys and verifies each one."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial

from nightshift.backup.manifest import BackupPath
from nightshift.backup.models import BackupPart
from nightshift.errors import ArchiveMismatch, KeyTaken, join_names
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep
from nightshift.store import PARQUET, ObjectStore, ObjectWriter

UPLOADS = 3
"""Concurrent uploads, and so objects in memory; further ones wait."""

OBJECT_LOCK_THREADS = 10
"""Objects that are put under Object Lock at once: a request each without a body, and the manifest waits for all."""

JSON, SQL, BINARY = "application/json", "application/sql", "application/octet-stream"
ZIP = "application/zip"


class BackupUploader:
    """Uploads the objects of one backup. Thread-safe."""

    def __init__(self, store: ObjectStore, place: BackupPath, run_id: str, listener: Listener) -> None:
        self._store = store
        self._place = place
        self._run_id = run_id
        self._listener = listener
        self.writer = ObjectWriter(store, UPLOADS)

    def close(self) -> None:
        """Wait for running uploads; drop pending ones."""
        self.writer.close()

    def object_key(self, *names: str) -> str:
        """A key of this run's, relative to the backup's folder."""
        return "/".join([self._run_id, *names])

    def upload(self, label: str, key: str, body: bytes, *, rows: int = 0, kind: str = BINARY) -> BackupPart:
        """Write one object and prove it.

        Args:
            label: what it is part of, for who listens.
            key: from `object_key`.

        Raises:
            StoreError, ArchiveMismatch: S3 did not take it, or holds something else.
        """
        self._tell(ProgressStep.INTENT, label, key, rows)
        stored = self.writer.write(
            self._place.folder + key,
            body,
            kind=kind,
            uploaded=lambda _: self._tell(ProgressStep.UPLOADED, label, key, rows, len(body)),
        )
        self._tell(ProgressStep.PROVEN, label, key, rows, len(body))
        return BackupPart(key=key, rows=rows, bytes=len(body), sha256=stored.sha256)

    def upload_async(self, label: str, key: str, body: bytes, *, rows: int, kind: str = PARQUET) -> Future[BackupPart]:
        """As `upload`, in the background; waits for room first."""
        return self.writer.submit(partial(self.upload, label, key, body, rows=rows, kind=kind))

    def lock_objects(self, parts: Iterable[BackupPart], until: datetime) -> None:
        """Put objects under S3 Object Lock; only once all of them are there, so that no leftover is ever locked.

        Raises:
            StoreError: S3 refused, e.g. because the bucket has no Object Lock.
        """
        with ThreadPoolExecutor(OBJECT_LOCK_THREADS, thread_name_prefix="lock") as pool:
            for done in [pool.submit(self._store.lock_object, self._place.object_key(part), until) for part in parts]:
                done.result()

    def check_objects_present(self, parts: Iterable[BackupPart]) -> None:
        """Make sure, by a listing, that all parts are there still: a run may take hours, and is not alone in a bucket.

        Raises:
            ArchiveMismatch: some are not, or are of another size.
            StoreError: S3 could not be asked.
        """
        there = {found.key: found.size for found in self._store.list_objects(self._place.folder)}
        gone = [part.key for part in parts if there.get(self._place.object_key(part)) != part.bytes]
        if gone:
            raise ArchiveMismatch(
                "objects that this backup consists of are not there any more",
                detail=join_names(gone, 10),
                hint="look at who deletes under BACKUP_PREFIX: a lifecycle rule, or a copy of the database that runs "
                "nightshift, too; there is no backup, and the next run begins anew",
            )

    def upload_manifest(self, body: bytes) -> None:
        """Write the manifest: from here on the backup exists.

        Raises:
            ArchiveMismatch: somebody else's is there.
            StoreError: S3 did not take it.
        """
        key = self._place.manifest_key
        self._tell(ProgressStep.COMMITTING, self._place.name, key)
        try:
            self.writer.write(key, body, kind=JSON)
        except KeyTaken as exc:
            raise ArchiveMismatch(
                "a backup of this name exists already, and is not this run's",
                detail=exc.detail,
                hint="it was left alone; give each database a BACKUP_PREFIX of its own",
            ) from exc
        self._tell(ProgressStep.COMMITTED, self._place.name, key, 0, len(body))

    def _tell(self, step: ProgressStep, label: str, key: str, rows: int = 0, size: int = 0) -> None:
        self._listener(ProgressEvent(step=step, table=label, rows=rows, bytes=size, keys=(key,)))
