"""Uploads backup objects concurrently under new keys and verifies each one.

Small Parquet files of many tables go into one object, a pack: a ZIP archive without compression. A service has a
hundred small tables. With an object for each, a backup sends two requests a table, a restore one, and Object Lock one
more. The manifest has a part's position in its pack (`models.SharedObject`); `unzip` opens packs, too.
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from nightshift.backup.manifest import BackupPath, sha256_of
from nightshift.backup.models import BackupPart, SharedObject
from nightshift.errors import ArchiveMismatch, KeyTaken, join_names
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep
from nightshift.store import PARQUET, ObjectStore, ObjectWriter

UPLOADS = 3
"""Concurrent uploads, and so objects in memory; further ones wait."""

OBJECT_LOCK_THREADS = 10
"""Objects that are put under Object Lock at once: a request each without a body, and the manifest waits for all."""

JSON, SQL, BINARY = "application/json", "application/sql", "application/octet-stream"
ZIP = "application/zip"

SMALL = 256 << 10
"""Bytes below which a Parquet file is put into a pack."""

PACK_BYTES = 4 << 20
"""Bytes from which on a pack is sent; it is held in memory until then."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""ZIP's earliest time, used for every file, so that equal rows make equal bytes."""


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
        """Write one object under a key of `object_key`, and verify it. The listener gets the label.

        Raises:
            StoreError, ArchiveMismatch: S3 did not accept the object, or holds other bytes.
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
        """Upload an object like `upload`, in the background. The method waits for a free thread first."""
        return self.writer.submit(partial(self.upload, label, key, body, rows=rows, kind=kind))

    def lock_objects(self, parts: Iterable[BackupPart], until: datetime) -> None:
        """Put objects under S3 Object Lock. Call it after all objects were written, so that no orphan is ever locked.

        Raises:
            StoreError: S3 refused, e.g. because the bucket has no Object Lock.
        """
        with ThreadPoolExecutor(OBJECT_LOCK_THREADS, thread_name_prefix="lock") as pool:
            for lock in [pool.submit(self._store.lock_object, self._place.object_key(part), until) for part in parts]:
                lock.result()

    def check_objects_present(self, parts: Iterable[BackupPart]) -> None:
        """Check by a listing that all parts still exist: during a long run another program may have deleted parts.

        Raises:
            ArchiveMismatch: parts are missing or have another size.
            StoreError: S3 did not answer, or refused.
        """
        sizes = {info.key: info.size for info in self._store.list_objects(self._place.folder)}
        missing = [part.key for part in parts if sizes.get(self._place.object_key(part)) != part.bytes]
        if missing:
            raise ArchiveMismatch(
                "objects that this backup consists of are not there any more",
                detail=join_names(missing, 10),
                hint="look at who deletes under BACKUP_PREFIX: a lifecycle rule, or a copy of the database that runs "
                "nightshift, too; there is no backup, and the next run begins anew",
            )

    def upload_manifest(self, body: bytes) -> None:
        """Write the manifest: from here on the backup exists.

        Raises:
            ArchiveMismatch: another run's manifest has the key.
            StoreError: S3 did not accept the manifest.
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


@dataclass(frozen=True, slots=True)
class _Member:
    """A file for a pack; `part` is done once the pack is proven in S3."""

    name: str
    body: bytes
    rows: int
    part: Future[BackupPart]


class PackWriter:
    """Puts small files into packs and sends each pack when it is full. Thread-safe."""

    def __init__(self, uploader: BackupUploader) -> None:
        self._uploader = uploader
        self._lock = threading.Lock()
        self._open: list[_Member] = []
        self._sent = 0

    def add_file(self, name: str, body: bytes, *, rows: int) -> Future[BackupPart]:
        """Put a file, whose name must be new, into the open pack.

        Returns the part, which is done once its pack is proven in S3; for the last pack after `send_open_pack`.
        """
        member = _Member(name, body, rows, Future())
        with self._lock:
            self._open.append(member)
        self.send_open_pack(PACK_BYTES)
        return member.part

    def send_open_pack(self, least_bytes: int = 1) -> None:
        """Send the pack that is open in the background, if it is so large; its members' parts are done with it."""
        with self._lock:
            members = self._open
            if sum(len(member.body) for member in members) < least_bytes:
                return
            self._open = []
            self._sent += 1
            key = self._uploader.object_key("data", f"pack-{self._sent:05}.zip")
        body, offsets = _zipped(members)

        def settle(sent: Future[BackupPart]) -> None:
            for member, offset in zip(members, offsets, strict=True):
                if sent.cancelled():
                    member.part.cancel()
                elif (failure := sent.exception()) is not None:
                    member.part.set_exception(failure)
                else:
                    member.part.set_result(_part(sent.result(), member, offset))

        rows = sum(member.rows for member in members)
        self._uploader.upload_async("small tables", key, body, rows=rows, kind=ZIP).add_done_callback(settle)


def _zipped(members: Sequence[_Member]) -> tuple[bytes, list[int]]:
    """Returns the ZIP archive, and the offset of each member's bytes in it."""
    buffer, offsets = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            archive.writestr(zipfile.ZipInfo(member.name, _EPOCH), member.body)
            offsets.append(buffer.tell() - len(member.body))
    return buffer.getvalue(), offsets


def _part(sent: BackupPart, member: _Member, offset: int) -> BackupPart:
    pack = SharedObject(offset=offset, bytes=sent.bytes, sha256=sent.sha256)
    return BackupPart(key=sent.key, rows=member.rows, bytes=len(member.body), sha256=sha256_of(member.body), pack=pack)
