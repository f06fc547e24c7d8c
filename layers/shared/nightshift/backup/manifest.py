"""Data classes of a backup: its manifest, the verification record of a rehearsal, and the layout of its objects.

    <BACKUP_PREFIX>/<name>/manifest.json      written last; without it there is no backup
                           proven.json        a rehearsal restored it and found all of it (an object of its own, so that
                                              S3 Object Lock on the manifest holds)
                           pinned.json        an operator wants to keep it, see `pins`
                           <run_id>/…         objects that the manifest lists

A manifest is parsed strictly: an unknown key, a missing one, inconsistent counts or a wrong checksum make it invalid.
Its keys are relative to `<BACKUP_PREFIX>/<name>/`, so that a complete copy elsewhere is a valid backup, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from nightshift.backup.entries import (
    BackupPart,
    ComputedColumn,
    DatabaseProperties,
    SavedColumn,
    SharedObject,
    TableEntry,
    ViewEntry,
)
from nightshift.backup.manifest_checksum import SEAL, has_valid_checksum, with_checksum
from nightshift.backup.paths import MANIFEST, PROVEN, BackupPath, backup_name, repository_prefix
from nightshift.backup.strict_model import HINT, ManifestDamaged, StrictModel, parse_strict

__all__ = [
    "MANIFEST",
    "PROVEN",
    "BackupManifest",
    "BackupPart",
    "BackupPath",
    "ComputedColumn",
    "DatabaseProperties",
    "DatabaseSetting",
    "LogCheckpoint",
    "ManifestDamaged",
    "SavedColumn",
    "SchemaFiles",
    "SequenceState",
    "SharedObject",
    "SnapshotGroup",
    "TableEntry",
    "VerificationRecord",
    "ViewEntry",
    "backup_name",
    "read_entry",
    "read_manifest",
    "read_proven",
    "repository_prefix",
    "sha256_of",
    "to_json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotGroup(StrictModel):
    """Tables of one moment; `tables` are their labels."""

    snapshot_time: datetime
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState(StrictModel):
    """State of a sequence at the snapshot or later, never before (PostgreSQL keeps no older state of it)."""

    schema: str
    name: str
    last_value: int
    is_called: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSetting(StrictModel):
    """A setting of `ALTER DATABASE … SET`; with `role`, for that role's sessions alone.

    `value` is as pg_db_role_setting has it. No report tells it: people keep keys of their applications there.
    """

    role: str | None
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFiles(StrictModel):
    """The schema: as pg_restore reads it, and as people do; None where no client was to be had (see `missing`)."""

    dump: BackupPart | None = None
    sql: BackupPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCheckpoint(StrictModel):
    """Position from which the next backup continues with logs that this one has saved only in part.

    Attributes:
        group: of CloudWatch; or a directory's, as `logs.day` calls it.
        from_ms: milliseconds since 1970.
        ids: of that millisecond's events that are saved.
    """

    group: str
    from_ms: int
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest(StrictModel):
    """A whole backup.

    Attributes:
        as_of: aware UTC time that the run stood for.
        run_id: of the run that wrote the manifest.
        database: the database's name; for SQLite, its file's.
        server_version: as the server prints it, e.g. `18.1`; SQLite's library's.
        client_version: of the pg_dump that wrote the schema.
        replayed_at: of one that was read from a standby: when the last transaction that it had replayed was committed.
        groups: one for a backup of one moment.
        logs: objects with the day's logs.
        logs_left: positions from which the next backup continues.
        missing: content that the backup does not hold, a sentence each.
        unsaved: those of `missing` that it should hold: tables that could not be read, and the like.
        seal: checksum of all the rest, see `manifest_checksum`; set by `to_json`, and only present after reading.
    """

    version: Literal[1] = 1
    name: str
    as_of: datetime
    run_id: str
    database: str
    kind: Literal["postgresql", "sqlite"]
    server_version: str
    client_version: str | None = None
    replayed_at: datetime | None = None
    groups: tuple[SnapshotGroup, ...]
    tables: tuple[TableEntry, ...]
    sequences: tuple[SequenceState, ...] = ()
    settings: tuple[DatabaseSetting, ...] = ()
    views: tuple[ViewEntry, ...] = ()
    properties: DatabaseProperties | None = None
    schema: SchemaFiles = SchemaFiles()
    logs: tuple[BackupPart, ...] = ()
    logs_left: tuple[LogCheckpoint, ...] = ()
    missing: tuple[str, ...] = ()
    unsaved: tuple[str, ...] = ()
    seal: str = ""

    def list_objects(self) -> Iterator[BackupPart]:
        """Every object that the backup consists of, but the manifest; one that several parts share only once."""
        yield from {part.key: part.object for part in self.list_parts()}.values()

    def list_parts(self) -> Iterator[BackupPart]:
        """Everything that the backup consists of, but the manifest: objects, and files in packs."""
        for part in (self.schema.dump, self.schema.sql):
            if part is not None:
                yield part
        for table in self.tables:
            yield from table.parts
        yield from self.logs

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def bytes(self) -> int:
        """Of all objects but the manifest."""
        return sum(part.bytes for part in self.list_objects())

    def find_table(self, label: str) -> TableEntry | None:
        """The entry of that label."""
        return next((entry for entry in self.tables if entry.label == label), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord(StrictModel):
    """Verification record that a rehearsal writes.

    Attributes:
        manifest_sha256: of the manifest's bytes; the record is for that one alone.
        run_id: of the rehearsal.
        proven_at: aware UTC.
        server_version: of the server that it was restored to.
        but_for: limits of the proof, a sentence each.
        reworded: definitions that the server words differently once restored, with a SHA-256 of how (`schema_diff`).
    """

    version: Literal[1] = 1
    name: str
    manifest_sha256: str
    run_id: str
    proven_at: datetime
    server_version: str
    but_for: tuple[str, ...] = ()
    reworded: dict[str, str] = field(default_factory=dict)


def sha256_of(body: bytes) -> str:
    """Hex; of a manifest's bytes, it is what `VerificationRecord.manifest_sha256` names."""
    return hashlib.sha256(body).hexdigest()


def to_json(facts: StrictModel) -> bytes:
    """As it is written to S3, or kept beside a backup that is not finished."""
    plain = {name: _plain(value) for name, value in asdict(facts).items() if name != SEAL}
    return json.dumps(
        with_checksum(plain) if isinstance(facts, BackupManifest) else plain, ensure_ascii=False, indent=1
    ).encode()


def read_manifest(body: bytes, *, key: str) -> BackupManifest:
    """Read a manifest.

    Args:
        key: where it lies, for the error.

    Raises:
        ManifestDamaged: it is not one that was written whole by this program, or a newer one of it.
    """
    manifest = parse_strict(BackupManifest, body, key)
    if wrong := next(validation_errors(manifest), None):
        raise ManifestDamaged("the manifest contradicts itself", detail=f"{key}: {wrong}", hint=HINT)
    if not has_valid_checksum(body):
        raise ManifestDamaged("the manifest was altered", detail=f"{key}: its seal is another one's", hint=HINT)
    return manifest


def read_proven(body: bytes, *, key: str) -> VerificationRecord:
    """Reads a verification record; raises as `read_manifest` does."""
    return parse_strict(VerificationRecord, body, key)


def read_entry(body: str) -> TableEntry:
    """Read a table's entry as `nightshift_backup` keeps it; raises as `read_manifest` does."""
    return parse_strict(TableEntry, body.encode(), "nightshift_backup")


def validation_errors(manifest: BackupManifest) -> Iterator[str]:
    """Yields a sentence for each contradiction within a manifest."""
    labels = [table.label for table in manifest.tables]
    if len(set(labels)) != len(labels):
        yield "a table is in it twice"
    if sorted(label for group in manifest.groups for label in group.tables) != sorted(labels):
        yield "its groups are not its tables"
    yield from _about_objects(manifest)
    for table in manifest.tables:
        if table.bytes != sum(part.bytes for part in table.parts):
            yield f"{table.label}: its parts have other bytes"
        if manifest.kind == "postgresql" and table.rows != sum(part.rows for part in table.parts):
            yield f"{table.label}: its parts have other rows"


def _about_objects(manifest: BackupManifest) -> Iterator[str]:
    """Objects that are listed twice; packs whose parts say different things of them, overlap, or reach beyond them."""
    objects: dict[str, list[BackupPart]] = {}
    for part in manifest.list_parts():
        objects.setdefault(part.key, []).append(part)
    if any(len(parts) > 1 and any(part.pack is None for part in parts) for parts in objects.values()):
        yield "an object is in it twice"
    for key, parts in objects.items():
        if len({part.object for part in parts}) > 1 and all(part.pack for part in parts):
            yield f"{key}: its parts are of different objects"
        ranges = sorted((part.pack.offset, part.bytes) for part in parts if part.pack)
        ends = [offset + size for offset, size in ranges]
        limits = [*(offset for offset, _ in ranges[1:]), parts[0].object.bytes]
        if ranges and (ranges[0][0] < 0 or any(end > limit for end, limit in zip(ends, limits, strict=True))):
            yield f"{key}: its parts overlap, or reach beyond it"


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
