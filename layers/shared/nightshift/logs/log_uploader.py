"""Uploads saved logs as objects of a backup, and verifies each one as soon as it is written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from nightshift.rows.parquet import ParquetFile
from nightshift.store import ObjectWriter

PART_BYTES = 32 * 1024 * 1024
"""Bytes of text in one object, before compression: they are in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPart:
    """One object, as the manifest lists it; `key` is relative to the backup's folder."""

    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LogUploader:
    """A place below a backup's folder.

    Attributes:
        folder: the backup's, with a slash at the end.
        below: of the logs, relative to it, e.g. `<run_id>/logs`.
        part_bytes: see `PART_BYTES`.
    """

    writer: ObjectWriter
    folder: str
    below: str
    part_bytes: int = PART_BYTES

    def upload_part(self, name: str, number: int, file: ParquetFile) -> SavedPart:
        """Write an object and prove it.

        Args:
            name: what it is part of; shown in the key as far as S3 likes its characters.
            number: from 1.

        Raises:
            StoreError, ArchiveMismatch: S3 did not take it, or holds something else.
        """
        # The last piece keeps a part that nobody recorded, because its run died, out of the way of the next one.
        key = f"{self.below}/{folder_name(name)}/part-{number:05}-{uuid.uuid4().hex[:8]}.parquet"
        stored = self.writer.write(self.folder + key, file.body)
        return SavedPart(key=key, rows=file.rows, bytes=stored.size, sha256=stored.sha256)


def folder_name(name: str) -> str:
    """A name as far as S3 likes its characters."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name.strip("/"))
