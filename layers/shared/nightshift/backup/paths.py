"""Builds the names and the S3 keys of backups."""

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
    """Key prefix of one backup, below BACKUP_PREFIX."""

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
    """Returns the name of the backup of this time, by the clocks of this zone."""
    return as_of.astimezone(ZoneInfo(timezone)).strftime("backup_%Y_%m_%d_%H%M")
