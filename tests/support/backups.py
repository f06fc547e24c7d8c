"""A deployment whose database is backed up, and what a test asks of the backups."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backup.job import backup
from nightshift.backup import schema, snapshot
from nightshift.backup.inventory import BackupState, FoundBackup, find_backups
from nightshift.backup.manifest import SEAL, BackupManifest, BackupPath, manifest_seal
from nightshift.backup.models import BackupPart, TableEntry
from nightshift.progress_events import ProgressStep
from nightshift.results.backup import BackupResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices
from nightshift.store import ObjectStore
from tests.support.child import JobChild, Work
from tests.support.handler import Context, run_job
from tests.support.house import AS_OF, House, identifier
from tests.support.running import RunningHouse

PREFIX = "backup"
NAME = "backup_2025_10_15_0900"
"""Of `AS_OF`, by the clocks of Seoul."""
NEXT = "2025-10-16T00:00:00Z"
NEXT_NAME = "backup_2025_10_16_0900"

TABLES = 3
ROWS = 3000
"""Of each of the tables that `fill` makes; all of them fit into one pack."""


def impatient_backup(run: JobRun, services: RunServices) -> BackupResult:
    """The job, but for how long it waits for a table's lock."""
    snapshot.LOCK_SECONDS, schema.LOCK_WAIT = 0.3, "300ms"
    return backup(run, services)


def resealed(facts: Mapping[str, Any]) -> bytes:
    """A manifest that says something else, and is sealed again: as if it had been written so."""
    plain = {name: value for name, value in facts.items() if name != SEAL}
    return json.dumps({**plain, SEAL: manifest_seal(plain)}).encode()


class BackupHouse(RunningHouse):
    """A deployment that is backed up."""

    def run(self, context: Context | None = None, **event: Any) -> dict[str, Any]:
        return run_job("backup", self.env, {"scheduled_time": AS_OF, **event}, context)

    def child(
        self,
        env: Mapping[str, str] | None = None,
        *,
        scheduled_time: str = AS_OF,
        kill_at: ProgressStep | None = None,
        hold_at: ProgressStep | None = None,
        occurrence: int = 1,
        work: Work | None = None,
    ) -> JobChild:
        """A run in a process of its own."""
        child = JobChild(
            {**self.env, **(env or {})},
            {"scheduled_time": scheduled_time},
            job="backup",
            kill_at=kill_at,
            hold_at=hold_at,
            occurrence=occurrence,
            work=work,
        )
        self.children.append(child)
        return child

    def fill(self, tables: int = TABLES, rows: int = ROWS) -> None:
        """Make some tables, each unlike the others."""
        for number in range(tables):
            self.sql(f"CREATE TABLE t{number} (id bigint PRIMARY KEY, body text NOT NULL)")
            self.sql(f"INSERT INTO t{number} SELECT i, 'row ' || i || ' of {number}' FROM generate_series(1, {rows}) i")

    def fill_large(self) -> None:
        """Make a table whose part is too large for a pack."""
        self.sql("CREATE TABLE large (id bigint PRIMARY KEY, body text NOT NULL)")
        self.sql("INSERT INTO large SELECT i, md5(i::text) FROM generate_series(1, 25000) i")

    @property
    def store(self) -> ObjectStore:
        return ObjectStore(self.s3.client, self.bucket)

    def backups(self) -> tuple[FoundBackup, ...]:
        """All, newest first, every byte looked at."""
        return find_backups(self.store, PREFIX, deep=True)

    def manifest(self, name: str = NAME) -> BackupManifest:
        """Of a backup that is good."""
        (found,) = [one for one in self.backups() if one.name == name]
        assert found.state is BackupState.GOOD, found.reasons
        assert found.manifest is not None
        return found.manifest

    def saved(self, entry: TableEntry, name: str = NAME) -> pa.Table:
        """A table's rows, as any reader of Parquet, and of ZIP archives, finds them."""
        place = BackupPath(PREFIX, name)
        bodies = [_body(self.store.get_object(place.object_key(part)), part) for part in entry.parts]
        assert [len(body) for body in bodies] == [part.bytes for part in entry.parts]
        assert [hashlib.sha256(body).hexdigest() for body in bodies] == [part.sha256 for part in entry.parts]
        tables = [pq.read_table(pa.BufferReader(body)) for body in bodies]
        assert [table.num_rows for table in tables] == [part.rows for part in entry.parts]
        return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})

    def digest(self, entry: TableEntry) -> str:
        """The digest of a table as it is now, in one query of the test's own."""
        row = ", ".join(identifier(column.name) for column in entry.columns)
        return str(
            self.value(
                "SELECT encode(sha256(convert_to(count(*) || ':' ||"
                f" coalesce(sum(hashtextextended(ROW({row})::text, 0)), 0), 'UTF8')), 'hex')"
                f" FROM ONLY {identifier(entry.schema)}.{identifier(entry.name)}"
            )
        )

    def unlisted(self) -> set[str]:
        """Objects under the prefix that no manifest lists."""
        keys = set(self.s3.keys(self.bucket))
        for found in self.backups():
            if found.manifest is not None:
                place = BackupPath(PREFIX, found.name)
                keys -= {place.manifest_key, *(place.object_key(part) for part in found.manifest.list_objects())}
        return keys

    def assert_sound(self) -> None:
        """The promise: a manifest has its parts, whatever happened."""
        assert [one.reasons for one in self.backups() if one.state is BackupState.DAMAGED] == []

    def assert_tidy(self) -> None:
        """And nothing is left over."""
        self.assert_sound()
        assert self.unlisted() == set()


@pytest.fixture
def backups(house: House) -> Iterator[BackupHouse]:
    """A deployment on PostgreSQL."""
    built = BackupHouse(dict(house.env), house.s3, house.slack, house.directory)
    built.env["DATABASE_URL"] = f"{house.url}?sslmode=disable"
    built.url = house.url
    yield built
    built.close()


@pytest.fixture
def sqlite_backups(sqlite_house: House) -> Iterator[BackupHouse]:
    """The same on SQLite."""
    built = BackupHouse(dict(sqlite_house.env), sqlite_house.s3, sqlite_house.slack, sqlite_house.directory)
    yield built
    built.close()


def _body(body: bytes, part: BackupPart) -> bytes:
    """A part's bytes: the object, or the file of a ZIP archive that lies where the manifest says."""
    if part.pack is None:
        return body
    assert (len(body), hashlib.sha256(body).hexdigest()) == (part.pack.bytes, part.pack.sha256)
    found = body[part.pack.offset : part.pack.offset + part.bytes]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert found in [archive.read(name) for name in archive.namelist()]
    return found
