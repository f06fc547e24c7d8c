"""Writes small Parquet files of many tables into one object, a pack: a ZIP archive without compression.

A service has a hundred small tables. With an object for each, a backup sends two requests a table, a restore one, and
Object Lock one more. The manifest has a part's position in its pack (`models.SharedObject`); `unzip` opens packs, too.
"""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from nightshift.backup.manifest import sha256_of
from nightshift.backup.models import BackupPart, SharedObject
from nightshift.backup.uploader import ZIP, BackupUploader

SMALL = 256 << 10
"""Bytes below which a Parquet file is put into a pack."""

PACK_BYTES = 4 << 20
"""Bytes from which on a pack is sent; it is held in memory until then."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""ZIP's first moment: equal rows make equal bytes."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A file for a pack; `part` is done once the pack is proven in S3."""

    name: str
    body: bytes
    rows: int
    part: Future[BackupPart]


class PackWriter:
    """Puts small files into packs and sends each pack when it is full. Thread-safe."""

    def __init__(self, uploader: BackupUploader) -> None:
        self._uploader = uploader
        self._lock = threading.Lock()
        self._open: list[_Member] = []
        self._bytes = 0
        self._sent = 0

    def add_file(self, name: str, body: bytes, *, rows: int) -> Future[BackupPart]:
        """Put a file into the open pack.

        Args:
            name: of the file in the pack; each only once.

        Returns:
            the part, which is done once its pack is proven in S3; for the last pack after `send_open_pack`.
        """
        member = _Member(name, body, rows, Future())
        with self._lock:
            self._open.append(member)
            self._bytes += len(body)
            taken = self._take() if self._bytes >= PACK_BYTES else None
        if taken is not None:
            self._send(*taken)
        return member.part

    def send_open_pack(self) -> None:
        """Send the pack that is open, if anything is in it."""
        with self._lock:
            taken = self._take() if self._open else None
        if taken is not None:
            self._send(*taken)

    def _take(self) -> tuple[str, list[_Member]]:
        taken, self._open, self._bytes = self._open, [], 0
        self._sent += 1
        return self._uploader.object_key("data", f"pack-{self._sent:05}.zip"), taken

    def _send(self, key: str, members: list[_Member]) -> None:
        """Send a pack in the background; its members' parts are done with it."""
        body, offsets = _zipped(members)

        def settle(sent: Future[BackupPart]) -> None:
            for member, offset in zip(members, offsets, strict=True):
                if sent.cancelled():
                    member.part.cancel()
                elif (failure := sent.exception()) is not None:
                    member.part.set_exception(failure)
                else:
                    member.part.set_result(_part(sent.result(), member, offset))

        rows = sum(member.rows for member in members)
        self._uploader.upload_async("small tables", key, body, rows=rows, kind=ZIP).add_done_callback(settle)


def _zipped(members: Sequence[_Member]) -> tuple[bytes, list[int]]:
    """Returns the ZIP archive, and the offset of each member's bytes in it."""
    buffer, offsets = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for member in members:
            archive.writestr(zipfile.ZipInfo(member.name, _EPOCH), member.body)
            offsets.append(buffer.tell() - len(member.body))
    return buffer.getvalue(), offsets


def _part(sent: BackupPart, member: _Member, offset: int) -> BackupPart:
    pack = SharedObject(offset=offset, bytes=sent.bytes, sha256=sent.sha256)
    return BackupPart(key=sent.key, rows=member.rows, bytes=len(member.body), sha256=sha256_of(member.body), pack=pack)
