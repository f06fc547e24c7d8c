"""Reads and writes pins: an operator's marks on backups that retention must not delete.

A pin is an object beside the manifest, `pinned.json`, so that S3 Object Lock on the manifest holds. A pin that cannot
be read counts, without an end: it says that somebody wanted to keep this backup.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from nightshift.backup.manifest import BackupPath, to_json
from nightshift.backup.models import ManifestDamaged, StrictModel, parse_strict
from nightshift.backup.uploader import JSON
from nightshift.errors import ColdStorage, ObjectAbsent
from nightshift.store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPin(StrictModel):
    """An operator's mark.

    Attributes:
        pinned_at: aware UTC.
        until: aware; the first moment at which it does not count any more. None: it has no end.
    """

    version: Literal[1] = 1
    name: str
    pinned_at: datetime | None = None
    until: datetime | None = None
    reason: str = ""

    def is_active(self, now: datetime) -> bool:
        """Returns whether the pin keeps retention from deleting the backup at an aware time."""
        return self.until is None or now < self.until


def read_pin(store: ObjectStore, place: BackupPath) -> tuple[BackupPin | None, tuple[str, ...]]:
    """Return a backup's pin, and a remark where it cannot be read; None where there is none."""
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
    """Write a pin; it takes the place of an earlier one in one step, so that the backup is pinned all the while."""
    store.put_object(place.pin_key, to_json(pin), content_type=JSON, overwrite=True)


def unpin_backup(store: ObjectStore, place: BackupPath) -> bool:
    """Delete a pin; returns False where there is none."""
    if (found := store.head_object(place.pin_key)) is None:
        return False
    store.delete_if_unchanged(found)
    return True
