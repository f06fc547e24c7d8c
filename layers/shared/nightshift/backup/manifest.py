"""The manifest of a backup, the verification record of a rehearsal, and the layout of a backup's objects.

    <BACKUP_PREFIX>/<name>/manifest.json      written last; without it there is no backup
                           proven.json        a rehearsal restored it and found all of it (an object of its own, so that
                                              S3 Object Lock on the manifest holds)
                           pinned.json        an operator wants to keep it, see `inventory.BackupPin`
                           <run_id>/…         objects that the manifest lists

A manifest is parsed strictly: an unknown key, a missing one, inconsistent counts or a wrong checksum make it invalid.
Its keys are relative to `<BACKUP_PREFIX>/<name>/`, so that a complete copy elsewhere is a valid backup, too.

Before a rehearsal has restored the backup, no other object confirms its manifest. So the manifest carries the SHA-256
of its other keys. The checksum detects corruption and accidental edits; it is not a signature.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from nightshift.backup.models import (
    HINT,
    BackupPart,
    DatabaseProperties,
    DatabaseSetting,
    LogCheckpoint,
    ManifestDamaged,
    SchemaFiles,
    SequenceState,
    SnapshotGroup,
    StrictModel,
    TableEntry,
    ViewEntry,
    parse_strict,
)

MANIFEST = "manifest.json"
PROVEN = "proven.json"
PINNED = "pinned.json"
SEAL = "seal"


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
        return self.folder + part.key


def repository_prefix(prefix: str) -> str:
    """Key prefix of all backups."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def backup_name(as_of: datetime, timezone: str) -> str:
    """Returns the name of the backup of this time, by the clocks of this zone."""
    return as_of.astimezone(ZoneInfo(timezone)).strftime("backup_%Y_%m_%d_%H%M")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest(StrictModel):
    """A whole backup.

    Attributes:
        as_of: aware UTC time that the run stood for.
        database: the database's name; for SQLite, its file's.
        server_version: as the server prints it, e.g. `18.1`; SQLite's library's.
        client_version: of the pg_dump that wrote the schema.
        replayed_at: of one that was read from a standby: when the last transaction that it had replayed was committed.
        groups: one for a backup of one moment.
        logs_left: positions from which the next backup continues.
        missing: content that the backup does not hold, a sentence each.
        unsaved: those of `missing` that it should hold: tables that could not be read, and the like.
        seal: checksum of all the rest; set by `to_json`, and only present after reading.
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
    schema: SchemaFiles = field(default_factory=SchemaFiles)
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
        return next((entry for entry in self.tables if entry.label == label), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord(StrictModel):
    """Verification record that a rehearsal writes.

    Attributes:
        manifest_sha256: of the manifest's bytes; the record is for that one alone.
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
    """As it is written to S3, or kept beside a backup that is not finished; a manifest with its checksum, last."""
    plain = asdict(facts)
    if isinstance(facts, BackupManifest):
        del plain[SEAL]
        plain[SEAL] = manifest_seal(plain)
    return json.dumps(plain, ensure_ascii=False, indent=1, default=datetime.isoformat).encode()


def manifest_seal(facts: dict[str, Any]) -> str:
    """The checksum of a manifest's other keys, whatever their order."""
    return sha256_of(json.dumps(facts, ensure_ascii=False, sort_keys=True, default=datetime.isoformat).encode())


def read_manifest(body: bytes, *, key: str) -> BackupManifest:
    """Read the manifest that lies at `key`.

    Raises:
        ManifestDamaged: it is not one that was written whole by this program, or a newer one of it.
    """
    manifest = parse_strict(BackupManifest, body, key)
    if contradiction := next(_contradictions(manifest), None):
        raise ManifestDamaged("the manifest contradicts itself", detail=f"{key}: {contradiction}", hint=HINT)
    facts = json.loads(body)
    if facts.pop(SEAL, None) != manifest_seal(facts):
        raise ManifestDamaged("the manifest was altered", detail=f"{key}: its seal is another one's", hint=HINT)
    return manifest


def read_entry(body: str) -> TableEntry:
    """Read a table's entry as `nightshift_backup` keeps it; raises as `read_manifest` does."""
    return parse_strict(TableEntry, body.encode(), "nightshift_backup")


def _contradictions(manifest: BackupManifest) -> Iterator[str]:
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
