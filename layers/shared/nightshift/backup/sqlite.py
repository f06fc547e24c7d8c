"""Saves a SQLite database: the whole file, as it was at one moment, in pieces. Restores it from them, verified.

SQLite's own backup interface makes the copy, page by page under its read lock: writers wait, or write to their
WAL. `VACUUM INTO` was rejected: it assigns new rowids to rows whose table does not name them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from nightshift.backup.models import BackupPart, TableEntry
from nightshift.backup.opened_backup import BackupDamaged, OpenedBackup
from nightshift.backup.requests import RestoreOptions
from nightshift.backup.uploader import BackupUploader
from nightshift.database.catalog import quote_identifier
from nightshift.database.connect import open_sqlite
from nightshift.errors import NightshiftError
from nightshift.results.backup import RestoredBackup
from nightshift.results.common import GuardRefusal

PIECE_BYTES = 32 << 20
FILE = "main"
"""Name of the one entry in the manifest."""

_OF_A_FILE = ("-wal", "-journal")
"""Suffixes of files that SQLite puts beside a database and reads when it opens the database."""


@dataclass(frozen=True, slots=True)
class SavedDatabase:
    """A copy in S3; `moment` is that of the copy, `missing` are sentences for the manifest."""

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
        tables = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        rows = 0
        for name in tables:
            with suppress(sqlite3.OperationalError):  # a virtual table whose module is not at hand has no rows here
                rows += int(connection.execute(f"SELECT count(*) FROM {quote_identifier(name)}").fetchone()[0])
    return rows, len(tables), () if verdict == "ok" else ("whatever SQLite cannot read of it: the file is damaged",)


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


def restore_sqlite_file(backup: OpenedBackup, path: Path, terms: RestoreOptions, *, deadline: float) -> RestoredBackup:
    """Write a backup's database to a file that must not exist.

    The file is written to a temporary directory beside `path`, and gets its name at the end.

    After the deadline no object is read. The result then has `left_tables`, and no file was created.

    Raises:
        BackupDamaged: an object is missing or altered, or the whole file differs. No file was created.
        NightshiftError: the file cannot be written.
    """
    started = time.monotonic()
    backup.check_objects()
    blank = backup.blank_result(path.name, dry_run=terms.dry_run)
    refusal = _judge(backup, path)
    if refusal is not None:
        return replace(blank, refusal=refusal, dry_run=False)
    (entry,) = backup.manifest.tables
    figures = replace(blank, tables=1, rows=entry.rows, bytes=entry.bytes, by_table={entry.label: entry.rows})
    if terms.dry_run:
        return figures
    try:
        differences = _write(backup, entry, path, terms, deadline)
    except OSError as exc:
        raise NightshiftError(
            "the file cannot be written",
            detail=f"{path}: {exc.strerror or exc}",
            hint="its directory has to exist, with leave to write and with room for the file",
        ) from exc
    if differences is None:
        return replace(blank, left_tables=1, seconds=time.monotonic() - started)
    return replace(figures, differences=differences, seconds=time.monotonic() - started)


def _write(
    backup: OpenedBackup, entry: TableEntry, path: Path, terms: RestoreOptions, deadline: float
) -> tuple[str, ...] | None:
    """Write a file beside, prove it and give it its name; returns the errors that SQLite finds in it.

    None: the time was over, and no file was made.
    """
    with tempfile.TemporaryDirectory(prefix=".nightshift-", dir=path.parent) as directory:
        beside = Path(directory) / "restored"
        whole = hashlib.sha256()
        with beside.open("wb") as file:
            for part in entry.parts:
                if time.monotonic() > deadline:
                    return None
                body = backup.read_part(part)
                whole.update(body)
                file.write(body)
                terms.listener(entry.label, part.rows)
            file.flush()
            os.fsync(file.fileno())
        if whole.hexdigest() != entry.digest:
            detail = f"{entry.label}: the pieces are right, the whole is not"
            raise BackupDamaged(f"{backup.manifest.name} is damaged", detail=detail)
        differences = _unsound(beside)
        os.link(beside, path)  # unlike a rename, it refuses to replace a file that has appeared meanwhile
    return differences


def _judge(backup: OpenedBackup, path: Path) -> GuardRefusal | None:
    """Returns the refusal if the file cannot be written there; else None.

    SQLite reads a WAL or a journal beside a file as the file's own, even if it belonged to another database. SQLite
    would write pages of the deleted database into the restored database (sqlite.org/howtocorrupt.html, "mispairing").
    """
    if backup.manifest.kind != "sqlite":
        hint = "restore it into a database: postgresql://…"
        return GuardRefusal(guard="other_kind", message=f"{backup.manifest.name} is a backup of PostgreSQL", hint=hint)
    if os.path.lexists(path):
        return GuardRefusal(guard="not_empty", message=f"{path.name} exists", hint="name a file that does not")
    beside = [path.name + suffix for suffix in _OF_A_FILE if os.path.lexists(f"{path}{suffix}")]
    if beside:
        message = f"{' and '.join(beside)} of another database would be taken for a part of it"
        return GuardRefusal(guard="not_empty", message=message, hint="move them away, or name another file")
    return None


def _unsound(path: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        try:
            verdicts = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
        except sqlite3.DatabaseError as exc:
            verdicts = [str(exc)]
    return () if verdicts == ["ok"] else tuple(f"the file is not sound: {verdict}" for verdict in verdicts)
