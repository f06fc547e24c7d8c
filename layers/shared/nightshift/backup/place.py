"""Where backups lie: names and keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from nightshift.backup.manifest import Part

MANIFEST = "manifest.json"
PROVEN = "proven.json"
PINNED = "pinned.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the backup of this name lies, under BACKUP_PREFIX."""

    prefix: str
    name: str

    @property
    def folder(self) -> str:
        """Key prefix of all its objects, with a slash at the end."""
        return f"{root(self.prefix)}{self.name}/"

    @property
    def manifest(self) -> str:
        return self.folder + MANIFEST

    @property
    def proven(self) -> str:
        return self.folder + PROVEN

    @property
    def pinned(self) -> str:
        return self.folder + PINNED

    def of(self, part: Part) -> str:
        """The key of a part."""
        return self.folder + part.key


def root(prefix: str) -> str:
    """Key prefix of all backups."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def name_of(as_of: datetime, timezone: str) -> str:
    """The name of the backup that stands for this moment, by the clocks of this zone."""
    return as_of.astimezone(ZoneInfo(timezone)).strftime("backup_%Y_%m_%d_%H%M")
