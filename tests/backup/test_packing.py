"""Small tables share an object, and come back from it."""

from __future__ import annotations

import io
import zipfile

import pytest

from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3
from nightshift.backup import opened_backup, uploader
from nightshift.backup.manifest import BackupPath
from tests.support import s3_faults as faults
from tests.support.backups import NAME, BackupHouse
from tests.support.handler import run_job
from tests.support.s3_proxy import S3Proxy


def test_small_tables_share_an_object(backups: BackupHouse, proxy: S3Proxy, postgres: EmbeddedPostgres) -> None:
    """And a restore fetches it once."""
    backups.fill(20, 30)
    backups.fill_large()
    backups.run()
    entries = {entry.label: entry for entry in backups.manifest().tables if entry.rows}
    keys = {part.key for label, entry in entries.items() for part in entry.parts if label != "public.large"}
    assert len(entries) > 20 and [key.rpartition("/")[2] for key in keys] == ["pack-00001.zip"]
    assert [part.key.rpartition("/")[2] for part in entries["public.large"].parts] == ["part-00001.parquet"]
    assert all(backups.saved(entry).num_rows == entry.rows for entry in entries.values())

    target = postgres.create_database(f"{backups.url.rpartition('/')[2]}_packed")
    fetched = proxy.inject(faults.delay(0), method="GET", target=".zip", times=None)
    env = {**backups.env, "AWS_ENDPOINT_URL": proxy.endpoint, "RESTORE_DATABASE_URL": target}
    try:
        answer = run_job("restore_backup", env, {"backup": NAME})
    finally:
        postgres.drop_database(target.rpartition("/")[2])
    assert (answer["complete"], answer["differences"], fetched.fired) == (True, [], 1)


def test_each_pack_is_fetched_once(
    backups: BackupHouse, proxy: S3Proxy, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore takes tables in the order of their packs; by size, it would fetch packs again."""
    monkeypatch.setattr(uploader, "PACK_BYTES", 60_000)
    for family in range(10):
        backups.sql(f"CREATE TABLE f{family} (k int, v text) PARTITION BY LIST (k)")
        for k, value in enumerate(["md5(i::text)", "repeat('a', 32)"] * 4):
            rows = 30 + (family * 8 + k) * 389 % 800
            backups.sql(f"CREATE TABLE f{family}_{k} PARTITION OF f{family} FOR VALUES IN ({k})")
            backups.sql(f"INSERT INTO f{family} SELECT {k}, {value} FROM generate_series(1, {rows}) i")
    backups.run()
    packs = {part.key for table in backups.manifest().tables for part in table.parts}
    target = postgres.create_database(f"{backups.url.rpartition('/')[2]}_fetched")
    fetched = proxy.inject(faults.delay(0), method="GET", target=".zip", times=None)
    env = {**backups.env, "AWS_ENDPOINT_URL": proxy.endpoint, "RESTORE_DATABASE_URL": target}
    try:
        answer = run_job("restore_backup", env, {"backup": NAME})
    finally:
        postgres.drop_database(target.rpartition("/")[2])
    assert (answer["complete"], answer["differences"]) == (True, [])
    assert fetched.fired == len(packs) > opened_backup.RECENT_PACKS


def test_a_full_pack_is_sent_and_another_begun(backups: BackupHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "PACK_BYTES", 10_000)
    backups.fill(12, 60)
    backups.run()
    manifest = backups.manifest()
    packs = {part.key: part.object.bytes for table in manifest.tables for part in table.parts}
    assert len(packs) > 1 and all(size < 30_000 for size in packs.values())
    names = []
    for key in packs:
        with zipfile.ZipFile(io.BytesIO(backups.store.get_object(f"backup/{NAME}/{key}"))) as archive:
            names += archive.namelist()
    assert sorted(names) == [f"public.{name}/part-00001.parquet" for name in sorted(stored_names(backups))]
    assert all(backups.saved(entry).num_rows == entry.rows for entry in manifest.tables)


def stored_names(backups: BackupHouse) -> list[str]:
    return [entry.name for entry in backups.manifest().tables if entry.rows]


def test_a_pack_that_is_altered_or_missing_is_named_once(backups: BackupHouse, s3: EmbeddedS3) -> None:
    backups.fill(3, 10)
    backups.run()
    (key,) = {part.key for table in backups.manifest().tables for part in table.parts}
    whole = BackupPath("backup", NAME).folder + key
    body = bytearray(backups.store.get_object(whole))
    body[len(body) // 2] ^= 1
    s3.client().put_object(Bucket=backups.bucket, Key=whole, Body=bytes(body))
    (altered,) = backups.backups()
    s3.client().delete_object(Bucket=backups.bucket, Key=whole)
    (missing,) = backups.backups()
    assert [reason.partition(": ")[0] for reason in (*altered.reasons, *missing.reasons)] == ["altered", "missing"]
