"""Uploads saved logs as objects of a backup, and verifies each one as soon as it is written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from nightshift.rows.parquet import ParquetFile
from nightshift.store import ObjectWriter

PART_BYTES = 32 * 1024 * 1024
"""Bytes of text in one object before compression. All of them are in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPart:
    """One uploaded object, as the manifest lists it. `key` is relative to the backup's folder."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LogUploader:
    """Uploads objects with logs into a subfolder of a backup's folder.

    Attributes:
        folder: the backup's folder, with a slash at the end.
        below: the subfolder for logs, relative to `folder`, e.g. `<run_id>/logs`.
        part_bytes: see `PART_BYTES`.
    """

    writer: ObjectWriter
    folder: str
    below: str
    part_bytes: int = PART_BYTES

    def upload_part(self, name: str, number: int, file: ParquetFile) -> SavedPart:
        """Write an object and verify it.

        Args:
            name: log group or other source of the part. The key contains the name; see `folder_name`.
            number: number of the part, from 1.

        Raises:
            StoreError, ArchiveMismatch: S3 did not accept the object, or holds other bytes.
        """
        # The random suffix keeps a killed run's unrecorded part from having the same key as a part of the next run.
        key = f"{self.below}/{folder_name(name)}/part-{number:05}-{uuid.uuid4().hex[:8]}.parquet"
        stored = self.writer.write(self.folder + key, file.body)
        return SavedPart(key=key, rows=file.rows, bytes=stored.size, sha256=stored.sha256)


def folder_name(name: str) -> str:
    """Returns a name with `_` in place of every character that is unusual in S3 keys."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name.strip("/"))
