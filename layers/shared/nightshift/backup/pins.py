"""Pins: backups that an operator has marked, and that retention leaves alone.

A pin is an object beside the manifest, `pinned.json`, so that S3 Object Lock on the manifest holds. A pin that cannot
be read counts, without an end: it says that somebody wanted to keep this backup.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from nightshift.backup.manifest import to_json
from nightshift.backup.parcels import JSON
from nightshift.backup.place import Place
from nightshift.backup.strict import ManifestDamaged, Strict, read
from nightshift.errors import ColdStorage, ObjectAbsent
from nightshift.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin(Strict):
    """An operator's mark.

    Attributes:
        name: of the backup.
        pinned_at: aware UTC.
        until: aware; the first moment at which it does not count any more. None: it has no end.
        reason: the operator's words.
    """

    version: Literal[1] = 1
    name: str
    pinned_at: datetime | None = None
    until: datetime | None = None
    reason: str = ""

    def is_active(self, now: datetime) -> bool:
        """Whether retention must leave the backup alone at an aware time."""
        return self.until is None or now < self.until


def read_pin(store: Store, place: Place) -> tuple[Pin | None, tuple[str, ...]]:
    """Return a backup's pin, and a remark where it cannot be read; None where there is none.

    Raises:
        StoreError: S3 did not tell.
    """
    try:
        pin = read(Pin, store.get(place.pinned), place.pinned)
    except ObjectAbsent:
        return None, ()
    except (ManifestDamaged, ColdStorage) as exc:
        return Pin(name=place.name), (f"pinned.json cannot be read, and counts without an end: {exc.message}",)
    if pin.until is not None and pin.until.tzinfo is None:
        return replace(pin, until=None), ("pinned.json gives a time without a zone, and counts without an end",)
    return pin, ()


def pin_backup(store: Store, place: Place, pin: Pin) -> None:
    """Write a pin; it takes the place of an earlier one in one step, so that the backup is pinned all the while.

    Raises:
        StoreError: S3 refused.
    """
    store.put(place.pinned, to_json(pin), content_type=JSON, overwrite=True)


def unpin_backup(store: Store, place: Place) -> bool:
    """Delete a pin; returns False where there is none.

    Raises:
        StoreError: S3 refused.
    """
    if (found := store.head(place.pinned)) is None:
        return False
    store.remove(found)
    return True
