"""Lists the backups and checks each one, using only the objects in S3.

A backup is *good* if its manifest can be read and has the backup's name, and every object that the manifest lists
exists with its size. A deep check also reads every object and compares its SHA-256. A backup without a manifest is
*unfinished*. Any other backup is *damaged*, and reasons name the damage. A good backup is *proven* if a rehearsal's
verification record names this manifest. If S3 does not answer, no backup gets a state, because an error does not mean
a missing object.

One listing covers all backups, with one request per thousand objects. Each manifest and verification record costs one
more request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal

from nightshift.backup.manifest import (
    MANIFEST,
    PINNED,
    PROVEN,
    BackupManifest,
    BackupPath,
    VerificationRecord,
    read_manifest,
    repository_prefix,
    sha256_of,
    to_json,
)
from nightshift.backup.models import BackupPart, ManifestDamaged, StrictModel, parse_strict
from nightshift.backup.uploader import JSON
from nightshift.errors import ColdStorage, ObjectAbsent
from nightshift.store import ObjectStore

NAME = re.compile(r"backup_\d{4}_\d{2}_\d{2}_\d{4}")
"""Names of backups' folders. Other folders under the prefix do not belong to nightshift."""
_BEGINNING = "backup_"

_FURTHEST_ZONE = timedelta(hours=15)
"""Maximum difference of local time from UTC. TIMEZONE may have changed since the backup."""

READERS, DEEP_READERS = 8, 2
"""Number of backups checked at once. Each check holds one object at a time in memory."""


class BackupState(StrEnum):
    """State of a backup; see the module's docstring."""

    GOOD = "good"
    UNFINISHED = "unfinished"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPin(StrictModel):
    """An operator's mark on a backup that retention must not delete.

    The pin is an object `pinned.json` beside the manifest, because the manifest may be under S3 Object Lock. A pin that
    cannot be read counts as a pin without an end, because somebody wanted to keep the backup.

    Attributes:
        pinned_at: time of the pin, aware UTC.
        until: time at which the pin ends, aware. None: the pin has no end.
    """

    version: Literal[1] = 1
    name: str
    pinned_at: datetime | None = None
    until: datetime | None = None
    reason: str = ""

    def is_active(self, now: datetime) -> bool:
        """Returns whether the pin keeps retention from deleting the backup at an aware time."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundBackup:
    """A backup's folder and the state of the backup.

    Attributes:
        manifest: the manifest, also of a damaged backup; None: the manifest is missing or unreadable.
        proven: a rehearsal's verification record for this manifest.
        pin: an operator's pin, active or ended.
        reasons: one sentence for each reason why the backup is damaged.
        remarks: oddities that do not harm the backup, e.g. a verification record for another manifest.
        objects, bytes: totals of the folder, including objects that the manifest does not list.
    """

    name: str
    state: BackupState
    manifest: BackupManifest | None = None
    proven: VerificationRecord | None = None
    pin: BackupPin | None = None
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0

    @property
    def is_good(self) -> bool:
        return self.state is BackupState.GOOD

    @property
    def is_proven(self) -> bool:
        return self.is_good and self.proven is not None

    def is_pinned(self, now: datetime) -> bool:
        return self.pin is not None and self.pin.is_active(now)

    @property
    def as_of(self) -> datetime | None:
        """Returns the scheduled time of the backup, aware; None without a readable manifest."""
        return None if self.manifest is None else self.manifest.as_of


def find_backups(store: ObjectStore, prefix: str, *, deep: bool = False) -> tuple[FoundBackup, ...]:
    """Returns every backup under BACKUP_PREFIX, newest name first. With `deep` every object is read.

    Raises:
        StoreError: S3 did not answer.
    """
    folders: dict[str, dict[str, int]] = {}
    start = repository_prefix(prefix)
    for info in store.list_objects(start + _BEGINNING):
        name, slash, key = info.key.removeprefix(start).partition("/")
        if slash and NAME.fullmatch(name):
            folders.setdefault(name, {})[key] = info.size
    with ThreadPoolExecutor(DEEP_READERS if deep else READERS, thread_name_prefix="inventory") as pool:
        names = sorted(folders, reverse=True)
        return tuple(pool.map(lambda name: _judged(store, BackupPath(prefix, name), folders[name], deep), names))


def find_backup(store: ObjectStore, prefix: str, name: str, *, deep: bool = False) -> FoundBackup | None:
    """Returns one backup; None: no object has this prefix. Raises like `find_backups`."""
    if not NAME.fullmatch(name):
        return None
    place = BackupPath(prefix, name)
    sizes = {info.key.removeprefix(place.folder): info.size for info in store.list_objects(place.folder)}
    return _judged(store, place, sizes, deep) if sizes else None


def newest_good(backups: tuple[FoundBackup, ...]) -> FoundBackup | None:
    """Returns the good backup with the latest `as_of`."""
    return max((backup for backup in backups if backup.is_good), key=_moment, default=None)


def newest_proven(backups: tuple[FoundBackup, ...]) -> FoundBackup | None:
    """Returns the proven backup with the latest `as_of`."""
    return newest_good(tuple(backup for backup in backups if backup.is_proven))


def _moment(backup: FoundBackup) -> tuple[datetime, str]:
    assert backup.manifest is not None  # a good one has it
    return backup.manifest.as_of, backup.name


def _judged(store: ObjectStore, place: BackupPath, sizes: Mapping[str, int], deep: bool) -> FoundBackup:
    """Returns the state of a backup. `sizes`: key relative to the backup's folder → size of the object."""
    unfinished = FoundBackup(
        name=place.name, state=BackupState.UNFINISHED, objects=len(sizes), bytes=sum(sizes.values())
    )
    if MANIFEST not in sizes:
        return unfinished
    try:
        body = store.get_object(place.manifest_key)
        manifest = read_manifest(body, key=place.manifest_key)
    except ObjectAbsent:
        return unfinished  # deleted since it was listed
    except (ManifestDamaged, ColdStorage) as exc:
        reason = f"{exc.message}: {exc.detail}" if exc.detail else exc.message
        return replace(unfinished, state=BackupState.DAMAGED, reasons=(reason,))
    reasons = (*_about_the_manifest(manifest, place), *_about_the_parts(store, place, manifest, sizes, deep))
    record, remarks = read_verification_record(store, place, sha256_of(body)) if PROVEN in sizes else (None, ())
    pin, pin_remarks = read_pin(store, place) if PINNED in sizes else (None, ())
    return replace(
        unfinished,
        state=BackupState.DAMAGED if reasons else BackupState.GOOD,
        manifest=manifest,
        proven=record,
        pin=pin,
        reasons=reasons,
        remarks=(*remarks, *pin_remarks),
    )


def _about_the_manifest(manifest: BackupManifest, place: BackupPath) -> Iterator[str]:
    if manifest.name != place.name:
        yield f"the manifest is of another backup: {manifest.name}"
    if manifest.as_of.tzinfo is None:
        yield "the manifest's as_of has no time zone"
    elif not _fits(place.name, manifest.as_of):
        yield f"the manifest's as_of is not that of its name: {manifest.as_of.isoformat()}"


def _fits(name: str, as_of: datetime) -> bool:
    """Returns whether the name's time matches `as_of` in some time zone; retention uses `as_of`."""
    try:
        shown = datetime.strptime(name, "backup_%Y_%m_%d_%H%M").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(shown - as_of) < _FURTHEST_ZONE


def _about_the_parts(
    store: ObjectStore, place: BackupPath, manifest: BackupManifest, sizes: Mapping[str, int], deep: bool
) -> Iterator[str]:
    """Yields a sentence for each object that is missing, altered or of the wrong size, with its key."""
    for part in manifest.list_objects():
        if part.key not in sizes:
            yield f"missing: {part.key}"
        elif sizes[part.key] != part.bytes:
            yield f"wrong size: {part.key}: {sizes[part.key]} bytes, the manifest says {part.bytes}"
        elif deep and (wrong := _about_the_bytes(store, place, part)):
            yield wrong


def _about_the_bytes(store: ObjectStore, place: BackupPath, part: BackupPart) -> str | None:
    try:
        body = store.get_object(place.object_key(part))
    except ObjectAbsent:
        return f"missing: {part.key}"
    except ColdStorage:
        return f"in cold storage: {part.key}"
    digest = sha256_of(body)
    return None if digest == part.sha256 else f"altered: {part.key}: SHA-256 {digest}, the manifest says {part.sha256}"


def read_verification_record(
    store: ObjectStore, place: BackupPath, manifest_sha256: str
) -> tuple[VerificationRecord | None, tuple[str, ...]]:
    """Returns the verification record if it names this manifest. Otherwise returns None and a remark."""
    try:
        record = parse_strict(VerificationRecord, store.get_object(place.verification_key), place.verification_key)
    except ObjectAbsent:
        return None, ()
    except (ManifestDamaged, ColdStorage) as exc:
        return None, (f"{PROVEN} does not count: {exc.message}",)
    if record.manifest_sha256 != manifest_sha256 or record.name != place.name:
        return None, (f"{PROVEN} does not count: it is for another manifest",)
    if record.proven_at.tzinfo is None:
        return None, (f"{PROVEN} does not count: its time has no zone",)
    return record, ()


def read_pin(store: ObjectStore, place: BackupPath) -> tuple[BackupPin | None, tuple[str, ...]]:
    """Returns a backup's pin, and a remark if the pin cannot be read. None: the backup has no pin."""
    try:
        pin = parse_strict(BackupPin, store.get_object(place.pin_key), place.pin_key)
    except ObjectAbsent:
        return None, ()
    except (ManifestDamaged, ColdStorage) as exc:
        return BackupPin(name=place.name), (f"pinned.json cannot be read, and counts without an end: {exc.message}",)
    if pin.until is not None and pin.until.tzinfo is None:
        return replace(pin, until=None), ("pinned.json gives a time without a zone, and counts without an end",)
    return pin, ()


def pin_backup(store: ObjectStore, place: BackupPath, pin: BackupPin) -> None:
    """Write a pin. One request replaces an earlier pin, so that the backup is pinned without interruption."""
    store.put_object(place.pin_key, to_json(pin), content_type=JSON, overwrite=True)


def unpin_backup(store: ObjectStore, place: BackupPath) -> bool:
    """Delete a pin. Returns False if the backup has no pin."""
    if (info := store.head_object(place.pin_key)) is None:
        return False
    store.delete_if_unchanged(info)
    return True
