"""Restores a SQLite database file from its pieces, and verifies each piece and the whole file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nightshift.backup.manifest import TableEntry
from nightshift.backup.opened_backup import BackupDamaged, OpenedBackup
from nightshift.backup.restore import RestoreOptions
from nightshift.errors import NightshiftError
from nightshift.results.backup import RestoredBackup
from nightshift.results.common import GuardRefusal

_OF_A_FILE = ("-wal", "-journal")
"""Suffixes of files that SQLite puts beside a database and reads when it opens the database."""


def restore_sqlite_file(backup: OpenedBackup, path: Path, terms: RestoreOptions, *, deadline: float) -> RestoredBackup:
    """Write a backup's database to a file that must not exist.

    It appears there whole or not at all: it is written beside, and given its name at the end.

    Args:
        deadline: `time.monotonic()` value after which no object is read.

    Returns:
        what was restored; with `left_tables` where the time was over, and no file was made.

    Raises:
        BackupDamaged: an object is missing or altered, or the whole is not what was saved; no file was made.
        NightshiftError: the file cannot be written.
    """
    started = time.monotonic()
    manifest = backup.manifest
    backup.check_objects()
    blank = RestoredBackup(
        name=manifest.name,
        target=path.name,
        but_for=backup.unsaved_warnings(),
        warnings=backup.exclusion_warnings(),
        dry_run=terms.dry_run,
    )
    refusal = _judge(backup, path)
    if refusal is not None:
        return replace(blank, refusal=refusal, dry_run=False)
    (entry,) = manifest.tables
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
    """Write a file beside, prove it and give it its name.

    Returns:
        errors that SQLite finds in it; None if the time was over, and no file was made.
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
                terms.told(entry.label, part.rows)
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

    SQLite takes a log or a journal that lies beside a file for that file's own, whatever it was of: pages of the
    database that is gone would be put into the one that came back (sqlite.org/howtocorrupt.html, "mispairing").
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
    """Returns the errors that SQLite itself finds in a file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        try:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
        except sqlite3.DatabaseError as exc:
            found = [str(exc)]
    return () if found == ["ok"] else tuple(f"the file is not sound: {one}" for one in found)
