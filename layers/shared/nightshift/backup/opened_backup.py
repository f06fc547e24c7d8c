"""Opens a backup: reads its manifest, checks that its objects exist, and verifies each object before it is used."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from nightshift.backup.inventory import FoundBackup, find_backups, newest_good, read_verification_record
from nightshift.backup.manifest import BackupManifest, BackupPath, VerificationRecord, read_manifest, sha256_of
from nightshift.backup.models import BackupPart
from nightshift.backup.requests import NEWEST
from nightshift.errors import NightshiftError, StoreError
from nightshift.results.backup import RestoredBackup
from nightshift.store import ObjectStore

RECENT_PACKS = 3
"""Number of packs of 4 MB that a restore holds in memory. Workers load tables in the order of their packs."""

_HINT = "nothing was made of it; nightshift backups says which others there are"


class BackupNotFound(NightshiftError):
    """No finished backup has the name."""


class BackupDamaged(NightshiftError):
    """Objects of a backup are missing, or differ from the manifest. `detail` names the objects."""


@dataclass(frozen=True, slots=True)
class OpenedBackup:
    """A backup with its manifest. `_packs`: key → bytes, for the packs that were read last."""

    store: ObjectStore
    place: BackupPath
    manifest: BackupManifest
    manifest_sha256: str
    _packs: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    @classmethod
    def open_named(cls, store: ObjectStore, prefix: str, name: str) -> OpenedBackup:
        """Read the manifest of the backup `name` below BACKUP_PREFIX, and return the backup.

        Raises:
            BackupNotFound: the manifest does not exist.
            BackupDamaged: the manifest is another backup's.
            ManifestDamaged: the manifest was altered, or cannot be read.
            StoreError: S3 did not answer, or refused.
        """
        place = BackupPath(prefix, name)
        body = store.get_or_none(place.manifest_key)
        if body is None:
            raise BackupNotFound(
                f"there is no backup {name}",
                detail=f"s3://{store.bucket}/{place.manifest_key} does not exist",
                hint="one without a manifest was never finished; nightshift backups lists those that were",
            )
        manifest = read_manifest(body, key=place.manifest_key)
        if manifest.name != name:
            detail = f"{place.manifest_key} is the manifest of {manifest.name}"
            raise BackupDamaged("the manifest is another backup's", detail=detail, hint=_HINT)
        return cls(store, place, manifest, sha256_of(body))

    def blank_result(self, target: str | None, *, dry_run: bool) -> RestoredBackup:
        """Returns the result of a restore that has not begun. It names the content that the backup does not hold."""
        return RestoredBackup(
            name=self.manifest.name,
            target=target,
            but_for=tuple(f"the backup does not hold {content}" for content in self.manifest.unsaved),
            warnings=self.exclusion_warnings(),
            dry_run=dry_run,
        )

    def exclusion_warnings(self) -> tuple[str, ...]:
        """Returns a warning for each kind of content that a backup does not include by design."""
        manifest = self.manifest
        return tuple(f"the backup does not hold {part}" for part in manifest.missing if part not in manifest.unsaved)

    def verification_record(self) -> VerificationRecord | None:
        """Returns the verification record for this manifest; None: it does not exist, or S3 does not return it."""
        try:
            record, _ = read_verification_record(self.store, self.place, self.manifest_sha256)
        except StoreError:
            return None
        return record

    def check_objects(self) -> None:
        """Check by a listing that every object exists and has its size. No object is read.

        Raises:
            BackupDamaged: objects are missing or have another size. The error names up to 20 of the objects.
            StoreError: S3 did not answer, or refused.
        """
        sizes = {info.key: info.size for info in self.store.list_objects(self.place.folder)}
        wrong = []
        for part in self.manifest.list_objects():
            size = sizes.get(self.place.object_key(part))
            if size is None:
                wrong.append(f"{part.key}: is missing")
            elif size != part.bytes:
                wrong.append(f"{part.key}: has {size} bytes, not {part.bytes}")
        if wrong:
            raise self._damaged("\n".join(wrong[:20]))

    def read_part(self, part: BackupPart) -> bytes:
        """Returns the bytes of a part, after checking its SHA-256. The packs that were read last stay in memory.

        Raises:
            BackupDamaged: the part is missing, or has other bytes.
            StoreError: S3 did not answer, or refused.
        """
        if part.pack is None:
            return self._read(part)
        with self._lock:  # one thread reads a pack, and others wait for it
            pack = self._packs.pop(part.key, None) or self._read(part.object)
            self._packs[part.key] = pack
            if len(self._packs) > RECENT_PACKS:
                del self._packs[next(iter(self._packs))]
        return self._proven(part, pack[part.pack.offset : part.pack.offset + part.bytes])

    def _read(self, part: BackupPart) -> bytes:
        body = self.store.get_or_none(self.place.object_key(part))
        if body is None:
            raise self._damaged(f"{part.key}: is missing")
        return self._proven(part, body)

    def _proven(self, part: BackupPart, body: bytes) -> bytes:
        if len(body) != part.bytes or sha256_of(body) != part.sha256:
            raise self._damaged(f"{part.key}: its SHA-256 is not the manifest's")
        return body

    def _damaged(self, detail: str) -> BackupDamaged:
        return BackupDamaged(f"{self.manifest.name} is damaged", detail=detail, hint=_HINT)


@dataclass(frozen=True, slots=True)
class BackupRepository:
    """The backups in one bucket below `prefix`, which is BACKUP_PREFIX."""

    store: ObjectStore
    prefix: str

    def find_newest(self) -> FoundBackup | None:
        """Returns the newest good backup; None: there is no good backup."""
        return newest_good(find_backups(self.store, self.prefix))

    def open_backup(self, name: str) -> OpenedBackup:
        """Returns the backup `name`, or for `newest` the newest good backup. Raises like `OpenedBackup.open_named`."""
        if name == NEWEST:
            newest = self.find_newest()
            if newest is None:
                raise BackupNotFound("there is no good backup", detail=f"s3://{self.store.bucket}/{self.prefix}")
            name = newest.name
        return OpenedBackup.open_named(self.store, self.prefix, name)
