"""Verifies that archived objects in S3 have exactly the bytes that the ledger records.

Only a few objects are in memory at once. Results have the order of the given objects. A HEAD request checks the size of
each object first, so that an object that has grown to gigabytes is never read.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from nightshift.archive.inventory import ArchivedObject
from nightshift.errors import ArchiveMismatch, ColdStorage, StoreError
from nightshift.rows.reader import ArchiveFile
from nightshift.store import ObjectStore


class ObjectDamage(StrEnum):
    """Kinds of damage to an archived object."""

    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    ALTERED = "altered"
    UNREADABLE = "unreadable"
    WRONG_ROWS = "wrong row count"
    FROZEN = "in cold storage"


THAW = "thaw it first: aws s3api restore-object"


class ObjectDamaged(ArchiveMismatch):
    """An object differs from its ledger entry.

    Attributes:
        damage: kind of the damage.
        key, fingerprint: key and fingerprint of the object.
        what: the observed difference.
    """

    def __init__(self, damage: ObjectDamage, archived: ArchivedObject, what: str) -> None:
        super().__init__(
            f"an object of the archive is damaged: {damage}",
            detail=f"{archived.uri}: {what}",
            hint=THAW
            if damage is ObjectDamage.FROZEN
            else "look for an older version of it in the bucket, or a copy in another region",
        )
        self.damage = damage
        self.key = archived.key
        self.fingerprint = archived.fingerprint
        self.what = what


def verify_object(store: ObjectStore, archived: ArchivedObject, *, tries: int = 1) -> ArchiveFile:
    """Read an object and compare its size, SHA-256, footer and row count with its ledger row.

    Args:
        tries: maximum number of requests to S3.

    Returns:
        the file, in memory.

    Raises:
        ObjectDamaged: the object is missing, or differs from its ledger row.
        StoreError: S3 did not answer, or refused. The object may be undamaged.
    """
    try:
        body = store.get_or_none(archived.key, archived.version_id)
    except ColdStorage as exc:
        raise ObjectDamaged(ObjectDamage.FROZEN, archived, THAW) from exc
    except StoreError:
        if tries <= 1:
            raise
        return verify_object(store, archived, tries=tries - 1)
    if body is None:
        raise ObjectDamaged(ObjectDamage.MISSING, archived, "S3 has no such object")
    if len(body) != archived.bytes:
        raise ObjectDamaged(ObjectDamage.WRONG_SIZE, archived, f"{len(body)} bytes, the ledger says {archived.bytes}")
    if (digest := hashlib.sha256(body).hexdigest()) != archived.sha256:
        raise ObjectDamaged(
            ObjectDamage.ALTERED, archived, f"SHA-256 {digest[:16]}…, the ledger says {(archived.sha256 or '')[:16]}…"
        )
    try:
        file = ArchiveFile(body)
    except ArchiveMismatch as exc:
        raise ObjectDamaged(ObjectDamage.UNREADABLE, archived, exc.message) from exc
    if file.rows != archived.rows:
        raise ObjectDamaged(ObjectDamage.WRONG_ROWS, archived, f"{file.rows} rows, the ledger says {archived.rows}")
    return file


Depth = Literal["quick", "full", "values"]

BODY_BYTES = 96 << 20
"""Maximum bytes of objects in memory at once: three of the largest objects of the default `CLEANUP_CHUNK_MB`."""
_AHEAD = 4
"""Maximum number of objects per thread whose verification has begun before their results are returned."""


@dataclass(frozen=True, slots=True)
class ObjectVerification:
    """Verification result of one object.

    If `damage`, `unproven` and `hidden` are all None, the object is verified and visible to readers.
    """

    archived: ArchivedObject
    damage: ObjectDamaged | None = None
    unproven: StoreError | None = None
    hidden: str | None = None


def verify_objects(
    store: ObjectStore, objects: Sequence[ArchivedObject], depth: Depth, threads: int
) -> Generator[ObjectVerification]:
    """Verify objects in several threads, and yield the results in order. Closing the generator ends the threads."""
    room = _Room(BODY_BYTES)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="verify")
    under_way: deque[Future[ObjectVerification]] = deque()
    try:
        for archived in objects:
            under_way.append(pool.submit(_prove_one, store, archived, depth, room))
            if len(under_way) > threads * _AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _prove_one(store: ObjectStore, archived: ArchivedObject, depth: Depth, room: _Room) -> ObjectVerification:
    try:
        hidden = _look_up(store, archived)
        if depth != "quick":
            with room.taken(archived.bytes or 0):
                _read(store, archived, depth)
    except ObjectDamaged as exc:
        return ObjectVerification(archived, damage=exc)
    except StoreError as exc:
        return ObjectVerification(archived, unproven=exc)
    return ObjectVerification(archived, hidden=hidden)


def _look_up(store: ObjectStore, archived: ArchivedObject) -> str | None:
    """Check that the recorded version exists and has its size. Returns why readers do not see the version, or None."""
    seen = recorded = store.head_object(archived.key)
    hidden = None
    if archived.version_id is not None and (seen is None or seen.version_id != archived.version_id):
        recorded = store.head_object(archived.key, archived.version_id)
        hidden = "a delete marker lies above it" if seen is None else "a newer version lies above it"
    if recorded is None:
        version = "" if archived.version_id is None else f" in version {archived.version_id}"
        raise ObjectDamaged(ObjectDamage.MISSING, archived, f"S3 has no such object{version}")
    if recorded.size != archived.bytes:
        raise ObjectDamaged(
            ObjectDamage.WRONG_SIZE, archived, f"{recorded.size} bytes, the ledger says {archived.bytes}"
        )
    return hidden


def _read(store: ObjectStore, archived: ArchivedObject, depth: Depth) -> None:
    file = verify_object(store, archived)
    if depth != "values":
        return
    try:
        rows = file.check_values()
    except ArchiveMismatch as exc:
        raise ObjectDamaged(ObjectDamage.UNREADABLE, archived, f"{exc.message}: {exc.detail}") from exc
    if rows != archived.rows:
        raise ObjectDamaged(ObjectDamage.WRONG_ROWS, archived, f"{rows} rows decoded, the ledger says {archived.rows}")


class _Room:
    """Limits the memory for objects. A thread waits until its object fits. A larger object is admitted alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self._size)
            self._used += size
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()
