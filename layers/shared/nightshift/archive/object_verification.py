"""Verifies that an archived object in S3 is byte for byte the one that the ledger records."""

from __future__ import annotations

import hashlib
from enum import StrEnum

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
        damage: in one word.
        key, fingerprint: of the object.
        what: the observed difference.
    """

    def __init__(self, damage: ObjectDamage, one: ArchivedObject, what: str) -> None:
        super().__init__(
            f"an object of the archive is damaged: {damage}",
            detail=f"{one.uri}: {what}",
            hint=THAW
            if damage is ObjectDamage.FROZEN
            else "look for an older version of it in the bucket, or a copy in another region",
        )
        self.damage = damage
        self.key = one.key
        self.fingerprint = one.fingerprint
        self.what = what


def verify_object(store: ObjectStore, one: ArchivedObject, *, tries: int = 1) -> ArchiveFile:
    """Read an object and compare it with its ledger row: size, SHA-256, footer, row count.

    Args:
        tries: how often to ask S3 before its failure is raised.

    Returns:
        the file, in memory.

    Raises:
        ObjectDamaged: it is missing, or differs.
        StoreError: S3 could not be asked, which says nothing about the object.
    """
    try:
        body = store.get_or_none(one.key, one.version_id)
    except ColdStorage as exc:
        raise ObjectDamaged(ObjectDamage.FROZEN, one, THAW) from exc
    except StoreError:
        if tries <= 1:
            raise
        return verify_object(store, one, tries=tries - 1)
    if body is None:
        raise ObjectDamaged(ObjectDamage.MISSING, one, "S3 has no such object")
    if len(body) != one.bytes:
        raise ObjectDamaged(ObjectDamage.WRONG_SIZE, one, f"{len(body)} bytes, the ledger says {one.bytes}")
    if (digest := hashlib.sha256(body).hexdigest()) != one.sha256:
        raise ObjectDamaged(
            ObjectDamage.ALTERED, one, f"SHA-256 {digest[:16]}…, the ledger says {(one.sha256 or '')[:16]}…"
        )
    try:
        file = ArchiveFile(body)
    except ArchiveMismatch as exc:
        raise ObjectDamaged(ObjectDamage.UNREADABLE, one, exc.message) from exc
    if file.rows != one.rows:
        raise ObjectDamaged(ObjectDamage.WRONG_ROWS, one, f"{file.rows} rows, the ledger says {one.rows}")
    return file
