"""Saves a SQLite database: the whole file, as it was at one moment, in pieces.

SQLite's own backup interface makes the copy, page by page under its read lock: writers wait, or write to their
WAL. `VACUUM INTO` was rejected: it assigns new rowids to rows whose table does not name them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nightshift.backup.manifest import BackupPart, TableEntry
from nightshift.backup.uploader import BackupUploader
from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import open_sqlite
from nightshift.errors import NightshiftError

PIECE_BYTES = 32 << 20
FILE = "main"
"""Name of the one entry in the manifest."""


@dataclass(frozen=True, slots=True)
class SavedDatabase:
    """A copy in S3.

    Attributes:
        entry: the file; its digest is its SHA-256.
        tables: how many are in it.
        moment: of the copy.
        missing: sentences for the manifest.
    """

    entry: TableEntry
    tables: int
    moment: datetime
    missing: tuple[str, ...]


def save_file(path: str, uploader: BackupUploader, now: Callable[[], datetime], deadline: float) -> SavedDatabase:
    """Copy a database and save the copy.

    Raises:
        DatabaseUnavailable: there is no such file.
        NightshiftError: it cannot be read, or time was over.
        StoreError, ArchiveMismatch: S3 did not take it.
    """
    with tempfile.TemporaryDirectory(prefix="nightshift-") as directory:
        copy = Path(directory) / "copy.db"
        try:
            moment = _copy(path, copy, now)
            rows, tables, missing = _look(copy)
        except sqlite3.Error as exc:
            raise NightshiftError("the SQLite database cannot be copied", detail=f"{path}: {exc}") from exc
        entry = _send(copy, uploader, rows, deadline)
    return SavedDatabase(entry, tables, moment, missing)


def _copy(path: str, copy: Path, now: Callable[[], datetime]) -> datetime:
    with closing(open_sqlite(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on we see one moment
        moment = now()
        source.backup(target)
        source.rollback()
        return moment


def _look(copy: Path) -> tuple[int, int, tuple[str, ...]]:
    """Returns the rows, the tables, and the errors of the file that SQLite finds."""
    with closing(sqlite3.connect(copy)) as connection:
        found = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        rows = 0
        for name in found:
            with suppress(sqlite3.OperationalError):  # a virtual table whose module is not at hand has no rows here
                rows += int(connection.execute(f"SELECT count(*) FROM {quote_identifier(name)}").fetchone()[0])
    return rows, len(found), () if said == "ok" else ("whatever SQLite cannot read of it: the file is damaged",)


def _send(copy: Path, uploader: BackupUploader, rows: int, deadline: float) -> TableEntry:
    parts: list[BackupPart] = []
    whole = hashlib.sha256()
    with copy.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            if time.monotonic() > deadline:
                raise NightshiftError(
                    "the file is too large for one run",
                    detail=f"{copy.stat().st_size} bytes, {len(parts) * PIECE_BYTES} saved in time",
                    hint="more memory gives a function more network; or back it up from the host itself",
                )
            whole.update(piece)
            parts.append(
                uploader.upload(FILE, uploader.object_key("data", FILE, f"part-{len(parts) + 1:05}.sqlite"), piece)
            )
    return TableEntry(
        schema="",
        name=FILE,
        rows=rows,
        digest=whole.hexdigest(),
        bytes=sum(part.bytes for part in parts),
        columns=(),
        parts=tuple(parts),
    )
