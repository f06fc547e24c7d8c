"""Time runs out: what is in S3 whole is kept; the next run goes on with the rest, and says of which moments all is."""

from __future__ import annotations

import pytest

from nightshift.backup.manifest import BackupPath, read_entry
from nightshift.errors import NightshiftError
from tests.support import s3_faults as faults
from tests.support.backups import NAME, NEXT, NEXT_NAME, PREFIX, BackupHouse
from tests.support.handler import Context
from tests.support.s3_proxy import S3Proxy

TABLES = 40
SLOW = 0.5
"""Seconds that S3 takes for each pack, three at a time: the run below ends with the tables half-way."""
SHORT = 4.0


def begun(backups: BackupHouse, proxy: S3Proxy, *, tables: bool = True) -> int:
    """A run whose time was over before its work was; how many tables it left. Makes them first, unless told not to."""
    if tables:
        backups.fill(TABLES, 20)
    slow = proxy.inject(faults.delay(SLOW), method="PUT", target=".zip", times=None)
    context = Context(seconds=SHORT)
    answer = backups.run_with({"AWS_ENDPOINT_URL": proxy.endpoint}, context)
    assert slow.fired > 0
    assert (answer["status"], answer["complete"], answer["name"]) == ("partial", False, NAME)
    assert 0 < answer["left"] < TABLES
    assert [one.manifest for one in backups.backups()] == [None]
    assert backups.value("SELECT count(*) FROM nightshift_backup") == answer["tables"]
    return int(answer["left"])


def saved_first(backups: BackupHouse) -> list[str]:
    """User tables that the first run saved."""
    return [
        str(row[0])
        for row in backups.sql("SELECT table_name FROM nightshift_backup WHERE table_name LIKE 'public.t%' ORDER BY 1")
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("small_packs")
def test_the_next_run_goes_on(backups: BackupHouse, proxy: S3Proxy) -> None:
    """Whatever happened to the tables meanwhile; and what was saved and is of no use any more is no part of it."""
    begun(backups, proxy)
    kept, altered, dropped, *_ = saved_first(backups)
    left = min({f"public.t{n}" for n in range(TABLES)} - set(saved_first(backups)))
    backups.sql(f"INSERT INTO {kept} VALUES (1000, 'too late'); INSERT INTO {left} VALUES (1000, 'in time')")
    backups.sql(f"ALTER TABLE {altered} ADD COLUMN more int DEFAULT 7; DROP TABLE {dropped}")
    backups.sql(f"ALTER TABLE {left} ADD FOREIGN KEY (id) REFERENCES {kept} (id) NOT VALID")
    answer = backups.run(scheduled_time=NEXT)
    assert (answer["status"], answer["name"], answer["groups"]) == ("ok", NAME, 2)
    assert answer["snapshot_time"] is None
    assert answer["warnings"] == [f"earlier runs had begun {NAME}: there will be no {NEXT_NAME}"]
    manifest = backups.manifest()
    entries = {entry.label: entry for entry in manifest.tables}
    assert (entries[kept].rows, entries[left].rows, entries[altered].rows) == (20, 21, 20)
    assert [column.name for column in entries[altered].columns] == ["id", "body", "more"]
    assert dropped not in entries
    first, second = manifest.groups
    assert first.snapshot_time < second.snapshot_time
    assert kept in first.tables and {left, altered} <= set(second.tables)
    assert [one for one in answer["missing"] if one.startswith("foreign keys")] == [
        f"foreign keys between tables of different moments may not hold: {left} → {kept}"
    ]
    assert backups.value("SELECT count(*) FROM nightshift_backup") == 0
    backups.run(scheduled_time="2025-10-17T00:00:00Z")
    backups.assert_tidy()


@pytest.mark.usefixtures("small_packs")
def test_partitions_of_two_moments(backups: BackupHouse, proxy: S3Proxy) -> None:
    """A row that moves from one to the other meanwhile is in both, or in none: the backup says so."""
    backups.sql("CREATE TABLE log (id bigint, body text) PARTITION BY RANGE (id)")
    for n in range(TABLES):
        backups.sql(f"CREATE TABLE log_{n} PARTITION OF log FOR VALUES FROM ({n}) TO ({n + 1})")
    backups.sql(f"INSERT INTO log SELECT n, 'x' FROM generate_series(0, {TABLES - 1}) n")
    begun(backups, proxy, tables=False)
    said = "rows may have moved between partitions of different moments: those of public.log"
    assert said in backups.run()["missing"]


@pytest.mark.usefixtures("small_packs")
def test_objects_of_the_first_half_are_gone(backups: BackupHouse, proxy: S3Proxy) -> None:
    """As in a database that came back from a backup: what it remembers may be nowhere."""
    begun(backups, proxy)
    lost = saved_first(backups)[0]
    saved = read_entry(str(backups.value(f"SELECT entry FROM nightshift_backup WHERE table_name = '{lost}'")))
    key = BackupPath(PREFIX, NAME).object_key(saved.parts[0])
    backups.s3.client().delete_object(Bucket=backups.bucket, Key=key)
    assert backups.run()["groups"] == 2
    entry = backups.manifest().find_table(lost)
    assert entry is not None and entry.rows == 20


def test_no_time_at_all(backups: BackupHouse) -> None:
    """A run that could not save even one table is a failure: the next one would get no further."""
    backups.fill(1)
    with pytest.raises(NightshiftError, match="not one table") as raised:
        backups.run(Context(seconds=0))
    assert "give the function more memory" in str(raised.value.hint) and "BACKUP_WORKERS" in str(raised.value.hint)
    assert backups.value("SELECT count(*) FROM nightshift_backup") == 0
    assert backups.run()["groups"] == 1
    backups.assert_tidy()
