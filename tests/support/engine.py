"""The archive engine without its frame: for tests that need a chunk size, a listener or a look at the plan."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from nightshift.archive.context import open_archive
from nightshift.archive.statistics import plan_scan_ranges
from nightshift.archive.table import archive_table
from nightshift.archive.table_guards import timestamp_kind
from nightshift.archive.target import CleanupTarget
from nightshift.database import postgres
from nightshift.database.connect import Database
from nightshift.database.upgrades import ensure_tables
from nightshift.database.url import parse_database_url
from nightshift.policy.retention import RetentionPolicy
from nightshift.progress_events import ProgressEvent, ProgressStep
from nightshift.results.cleanup import TableResult
from nightshift.rows.sample import CsvSample
from nightshift.rows.timestamp_column import TimestampColumn
from nightshift.run import JobRun
from nightshift.settings import Settings
from nightshift.store import ObjectStore, make_client
from tests.support.handler import environ_of
from tests.support.house import AS_OF, House

NOW = datetime.fromisoformat(AS_OF)


def policy_for(table: str, timestamp: str = "created_at", keep_days: int = 30, **more: object) -> RetentionPolicy:
    """A policy in Seoul's time."""
    given = {"timezone": "Asia/Seoul", "table": table, "timestamp": timestamp, "keep_days": keep_days, **more}
    return RetentionPolicy.model_validate(given)


@contextmanager
def database_of(house: House) -> Iterator[Database]:
    """The control plane, with an hour to go."""
    yield Database(parse_database_url(house.url), deadline=time.monotonic() + 3600)


def aim(house: House, policy: RetentionPolicy) -> CleanupTarget:
    """What the engine knows of a table (PostgreSQL) before it starts."""
    with database_of(house) as database, database.connect() as connection:
        info = postgres.describe_table(connection, policy.table, policy.timestamp)
        assert info is not None
        column = info.column(policy.timestamp)
        assert column is not None
        kind = timestamp_kind(column, policy.epoch, postgresql=True)
        assert kind is not None
        version = connection.dialect.server_version_info
        assert version is not None and isinstance(version[0], int)
        axis = TimestampColumn(column.name, kind, policy.zone, column.base_type)
        return CleanupTarget(policy=policy, info=info, axis=axis, cutoff=policy.cutoff(NOW), server_version=version[0])


def paths(house: House, policy: RetentionPolicy) -> list[str]:
    """How each heap with something to look at would be walked: `ctid_range_condition` or `time_range_condition`."""
    target = aim(house, policy)
    with database_of(house) as database, database.connect() as connection:
        fields = plan_scan_ranges(connection, target, target.info.heaps, 1 << 20, 1)
        return [field.condition.__name__ for field in fields]


@dataclass(frozen=True, slots=True)
class Done:
    """A table's result, and every step on the way."""

    result: TableResult
    events: list[ProgressEvent]

    def steps(self, step: ProgressStep) -> list[ProgressEvent]:
        return [event for event in self.events if event.step is step]


def archive(house: House, policy: RetentionPolicy, *, chunk_bytes: int = 32 << 20, workers: int = 1) -> Done:
    """Archive one table with chunks of any size."""
    run, settings, events = JobRun("cleanup", NOW), Settings.from_env(house.env), list[ProgressEvent]()
    with environ_of(house.env), database_of(house) as database:
        with database.connect() as connection:
            ensure_tables(connection)
        store = ObjectStore(cache(make_client), house.bucket)
        with open_archive(run, settings, database, store, events.append, now=datetime.now(UTC)) as engine:
            limits = replace(engine.limits, chunk_bytes=chunk_bytes, workers=workers)
            result = archive_table(replace(engine, limits=limits), run, policy, CsvSample(10))
    return Done(result, events)
