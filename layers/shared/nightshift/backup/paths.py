"""Where backups lie: names and keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from nightshift.backup.entries import BackupPart

MANIFEST = "manifest.json"
PROVEN = "proven.json"
PINNED = "pinned.json"


@dataclass(frozen=True, slots=True)
class BackupPath:
    """Where the backup of this name lies, under BACKUP_PREFIX."""

    prefix: str
    name: str

    @property
    def folder(self) -> str:
        """Key prefix of all its objects, with a slash at the end."""
        return f"{repository_prefix(self.prefix)}{self.name}/"

    @property
    def manifest_key(self) -> str:
        return self.folder + MANIFEST

    @property
    def verification_key(self) -> str:
        return self.folder + PROVEN

    @property
    def pin_key(self) -> str:
        return self.folder + PINNED

    def object_key(self, part: BackupPart) -> str:
        """The key of a part."""
        return self.folder + part.key


def repository_prefix(prefix: str) -> str:
    """Key prefix of all backups."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def backup_name(as_of: datetime, timezone: str) -> str:
    """The name of the backup that stands for this moment, by the clocks of this zone."""
    return as_of.astimezone(ZoneInfo(timezone)).strftime("backup_%Y_%m_%d_%H%M")
