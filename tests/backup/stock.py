"""Backups as they lie in S3, put there by hand: what looks at them is told nothing by what writes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from nightshift.backup.manifest import BackupManifest, VerificationRecord, backup_name, sha256_of, to_json
from nightshift.backup.models import BackupPart, SavedColumn, SchemaFiles, SnapshotGroup, TableEntry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SEOUL = "Asia/Seoul"
PREFIX = "some/backups"
MIDNIGHT = datetime(2025, 10, 21, tzinfo=ZoneInfo(SEOUL))
RUN = "0199aaaa"


@dataclass(frozen=True)
class Stock:
    """A bucket to put backups into."""

    client: S3Client
    bucket: str

    def put(self, key: str, body: bytes) -> None:
        """Any object, whatever is there."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def drop(self, key: str) -> None:
        """Delete one object."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def listed(self) -> list[str]:
        """Keys below the prefix, without it."""
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=f"{PREFIX}/").get("Contents", [])
        return sorted(entry["Key"].removeprefix(f"{PREFIX}/") for entry in listed)

    def backup(self, days_ago: int = 0, *, proven: bool = False) -> str:
        """A whole backup of two parts, a schema and a day's logs; its name."""
        manifest = self.manifest(days_ago)
        for part in manifest.list_parts():
            self.put(f"{PREFIX}/{manifest.name}/{part.key}", body_of(part.key))
        body = to_json(manifest)
        self.put(f"{PREFIX}/{manifest.name}/manifest.json", body)
        if proven:
            self.stamp(manifest.name, sha256_of(body))
        return manifest.name

    def backups(self, nights: int) -> None:
        """One of each of so many nights, none of them proven."""
        for days_ago in range(nights):
            self.backup(days_ago)

    def manifest(self, days_ago: int = 0) -> BackupManifest:
        """What a backup of so many nights ago would say of itself."""
        as_of = MIDNIGHT - timedelta(days=days_ago)
        parts = tuple(_part(f"{RUN}/data/public.log/part-0000{n}.parquet", rows=n) for n in (1, 2))
        table = TableEntry(
            schema="public",
            name="log",
            rows=3,
            digest="d",
            bytes=sum(part.bytes for part in parts),
            columns=(SavedColumn(name="id", type="integer"),),
            parts=parts,
        )
        return BackupManifest(
            name=backup_name(as_of, SEOUL),
            as_of=as_of,
            run_id=RUN,
            database="app",
            kind="postgresql",
            server_version="18.1",
            groups=(SnapshotGroup(snapshot_time=as_of, tables=(table.label,)),),
            tables=(table,),
            schema=SchemaFiles(dump=_part(f"{RUN}/schema.dump")),
            logs=(_part(f"{RUN}/logs/app.parquet", rows=9),),
        )

    def stamp(self, name: str, manifest_sha256: str) -> VerificationRecord:
        """A rehearsal's stamp."""
        stamp = VerificationRecord(
            name=name, manifest_sha256=manifest_sha256, run_id="r", proven_at=MIDNIGHT, server_version="18.1"
        )
        self.put(f"{PREFIX}/{name}/proven.json", to_json(stamp))
        return stamp

    def rewrite(self, **changes: object) -> None:
        """Tonight's manifest, saying something else."""
        manifest = self.manifest()
        self.put(f"{PREFIX}/{manifest.name}/manifest.json", to_json(replace(manifest, **changes)))  # type: ignore[arg-type]


def body_of(key: str) -> bytes:
    """The bytes that a part of that key has."""
    return f"the bytes of {key}".encode()


def _part(key: str, rows: int = 0) -> BackupPart:
    body = body_of(key)
    return BackupPart(key=key, rows=rows, bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
