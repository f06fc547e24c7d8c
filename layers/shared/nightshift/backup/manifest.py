"""The manifest of a backup, the verification record of a rehearsal, and the layout of a backup's objects.

    <BACKUP_PREFIX>/<name>/manifest.json      written last; without a manifest there is no backup
                           proven.json        a rehearsal has restored the backup completely (a separate object, because
                                              the manifest may be under S3 Object Lock)
                           pinned.json        an operator wants to keep the backup, see `inventory.BackupPin`
                           <run_id>/…         objects that the manifest lists

A manifest is parsed strictly: an unknown key, a missing key, inconsistent counts or a wrong checksum make it invalid.
The object keys in a manifest are relative to `<BACKUP_PREFIX>/<name>/`, so that a complete copy of the folder is a
valid backup, too.

Until a rehearsal has restored the backup, no other object confirms the manifest. The manifest therefore contains a
SHA-256 of its other keys. The checksum detects corruption and accidental edits; it is not a signature.
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
        """Returns the key prefix of all the backup's objects, with a slash at the end."""
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
    """Returns the key prefix of all backups: BACKUP_PREFIX with a slash at the end, or an empty string."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def backup_name(as_of: datetime, timezone: str) -> str:
    """Returns the name of the backup with this scheduled time, in local time of this time zone."""
    return as_of.astimezone(ZoneInfo(timezone)).strftime("backup_%Y_%m_%d_%H%M")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest(StrictModel):
    """The description of a whole backup.

    Attributes:
        as_of: scheduled time of the backup, aware UTC.
        database: name of the database, or of the SQLite file.
        server_version: version of the server as it prints it, e.g. `18.1`, or of the SQLite library.
        client_version: version of the pg_dump that wrote the schema.
        replayed_at: if rows were read from a standby, commit time of the last transaction that it had replayed.
        groups: groups of tables, each from one snapshot. A backup from one snapshot has one group.
        logs_left: positions in logs from which the next backup continues.
        missing: one sentence for each kind of content that the backup does not hold.
        unsaved: the sentences of `missing` about content that should have been saved, e.g. unreadable tables.
        seal: checksum of all other fields. `to_json` writes it; the field is empty until the manifest is read.
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
        """Yields each object of the backup once, except the manifest."""
        yield from {part.key: part.object for part in self.list_parts()}.values()

    def list_parts(self) -> Iterator[BackupPart]:
        """Yields each part of the backup, except the manifest. A part is an object, or a file in a pack."""
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
        """Returns the total size of all objects except the manifest."""
        return sum(part.bytes for part in self.list_objects())

    def find_table(self, label: str) -> TableEntry | None:
        return next((entry for entry in self.tables if entry.label == label), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord(StrictModel):
    """Verification record that a rehearsal writes.

    Attributes:
        manifest_sha256: SHA-256 of the manifest's bytes. The record is valid for this manifest only.
        proven_at: time of the rehearsal, aware UTC.
        server_version: version of the server into which the backup was restored.
        but_for: one sentence for each limit of the proof.
        reworded: name of a definition that PostgreSQL words differently after a restore → SHA-256 of the new wording
            (see `schema_diff`).
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
    """Returns the SHA-256 of some bytes in hex, e.g. for `VerificationRecord.manifest_sha256`."""
    return hashlib.sha256(body).hexdigest()


def to_json(facts: StrictModel) -> bytes:
    """Returns the JSON for S3 or for a checkpoint. A manifest gets its checksum as the last key."""
    plain = asdict(facts)
    if isinstance(facts, BackupManifest):
        del plain[SEAL]
        plain[SEAL] = manifest_seal(plain)
    return json.dumps(plain, ensure_ascii=False, indent=1, default=datetime.isoformat).encode()


def manifest_seal(facts: dict[str, Any]) -> str:
    """Returns the checksum of a manifest's other keys. The order of the keys does not matter."""
    return sha256_of(json.dumps(facts, ensure_ascii=False, sort_keys=True, default=datetime.isoformat).encode())


def read_manifest(body: bytes, *, key: str) -> BackupManifest:
    """Returns the manifest in `body`. `key` is the object's key, for messages.

    Raises:
        ManifestDamaged: the manifest was altered, or a newer nightshift wrote it.
    """
    manifest = parse_strict(BackupManifest, body, key)
    if contradiction := next(_contradictions(manifest), None):
        raise ManifestDamaged("the manifest contradicts itself", detail=f"{key}: {contradiction}", hint=HINT)
    facts = json.loads(body)
    if facts.pop(SEAL, None) != manifest_seal(facts):
        raise ManifestDamaged("the manifest was altered", detail=f"{key}: its seal is another one's", hint=HINT)
    return manifest


def read_entry(body: str) -> TableEntry:
    """Returns a table's entry from its JSON in the table `nightshift_backup`. Raises `ManifestDamaged`."""
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
    """Yields a sentence for each object that is listed twice, and each pack whose parts contradict each other."""
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
