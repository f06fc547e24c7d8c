"""Results of `backup`, `rehearse` and `restore_backup`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nightshift.results.common import (
    HIDDEN,
    MILLISECONDS,
    OPTIONAL,
    GuardRefusal,
    JobResult,
    JsonFacts,
    Metric,
    RunStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupResult(JobResult):
    """Result of one run of `backup`.

    Attributes:
        name: the backup's name, e.g. `backup_2025_10_21_0000`; None: there is no backup.
        location: `s3://bucket/prefix/name`.
        snapshot_time: time of the snapshot that all rows come from; None: the rows come from several snapshots.
        tables, rows, bytes: contents of the backup. `bytes` is the size in S3, including the schema and logs.
        left: tables that are not saved yet; the next invocation continues with these tables.
        groups: number of snapshots, each with its group of tables.
        log_events: saved events of log groups, or lines of log files.
        previous_bytes: size of the previous backup; None: there is no previous backup.
        proven_name, proven_at: the newest backup that a rehearsal has restored, and the time of the rehearsal.
        unproven_since: time of the oldest good backup if no backup was ever proven; None: there is no earlier good
            backup, or a backup was proven.
        pruned: names of the backups that retention deleted; in a dry run, that it would delete.
        unsaved: number of entries of `missing` that could not be saved. Above 0, the status is `partial`.
        missing: content that is not in the backup, one sentence each, e.g. large objects, or the schema if `pg_dump`
            is missing.
        already: whether an earlier run has made this backup.
    """

    name: str | None = None
    location: str | None = None
    snapshot_time: datetime | None = None
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    left: int = 0
    groups: int = 1
    log_events: int = 0
    previous_bytes: int | None = None
    proven_name: str | None = None
    proven_at: datetime | None = None
    unproven_since: datetime | None = None
    pruned: tuple[str, ...] = ()
    missing: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    unsaved: int = 0
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
    dry_run: bool = field(default=False, metadata=HIDDEN)
    already: bool = False
    seconds: float = field(default=0.0, metadata=MILLISECONDS)

    @property
    def shrunk(self) -> bool:
        """Returns whether the backup is smaller than half of the previous backup, which suggests a loss of data."""
        return self.previous_bytes is not None and self.name is not None and 2 * self.bytes < self.previous_bytes

    @property
    def status(self) -> RunStatus:
        if self.refusal is not None:
            return RunStatus.REFUSED
        if self.dry_run:
            return RunStatus.DRY_RUN
        if self.left or self.unsaved:
            return RunStatus.PARTIAL
        return RunStatus.NOTHING if self.already or self.name is None else RunStatus.OK

    def to_json(self) -> dict[str, Any]:
        return {**JsonFacts.to_json(self), "shrunk": self.shrunk}

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:
        """Yields the job's metrics. A partial backup has no metric of its size, which would suggest a loss of data."""
        yield Metric("BackupMade", int(self.status is RunStatus.OK))
        yield Metric("BackupsPruned", 0 if self.dry_run else len(self.pruned))
        if self.status is RunStatus.OK:
            yield Metric("BackupBytes", self.bytes, "Bytes")
            yield Metric("BackupRows", self.rows)
            yield Metric("BackupLogEvents", self.log_events)
            yield Metric("BackupMissing", len(self.missing))
            yield Metric("BackupShrunk", int(self.shrunk))
        proven = self.proven_at or self.unproven_since  # if no backup was ever proven: the age of the oldest backup
        if proven is not None:
            yield Metric("ProvenAgeSeconds", max(0.0, (as_of - proven).total_seconds()), "Seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredBackup(JobResult):
    """Result of restoring a backup, in a rehearsal or in a real restore.

    Attributes:
        name: the backup's name; None: there was no backup to restore.
        target: name of the database that was filled, without its address and login.
        tables, rows, bytes: restored contents.
        left_tables: number of tables that were not restored before the deadline.
        differences: differences from the manifest, one sentence each.
        but_for: content that cannot be restored unchanged, one sentence each, e.g. rows that could not be saved, or a
            materialized view that was older than its tables. The record of the proof names this content.
        reworded: definitions that PostgreSQL prints differently after a restore, each with a digest of the new text.
        environment: differences that the server or the role causes, one sentence each, e.g. a missing tablespace. The
            backup is not at fault. The record of the proof names these differences.
        proven: whether schema, counts and digests equal those of the backup, except for `but_for` and `environment`,
            and the verification record of the backup says so. Only a rehearsal proves a backup. Definitions that
            PostgreSQL prints differently after a restore cause only a warning.
        scratch: whether the run created the database, and drops it at the end.
        by_table: number of restored rows, by table.
    """

    name: str | None = None
    target: str | None = None
    tables: int = 0
    rows: int = 0
    bytes: int = 0
    left_tables: int = 0
    differences: tuple[str, ...] = ()
    but_for: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    environment: tuple[str, ...] = ()
    proven: bool = False
    scratch: bool = field(default=False, metadata=HIDDEN)
    by_table: Mapping[str, int] = field(default_factory=dict, metadata=HIDDEN)
    reworded: Mapping[str, str] = field(default_factory=dict, metadata=HIDDEN)
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
    dry_run: bool = field(default=False, metadata=HIDDEN)
    seconds: float = field(default=0.0, metadata=MILLISECONDS)

    @property
    def status(self) -> RunStatus:
        if self.refusal is not None:
            return RunStatus.REFUSED
        if self.dry_run:
            return RunStatus.DRY_RUN
        if self.name is None:
            return RunStatus.NOTHING
        return RunStatus.PARTIAL if self.left_tables or self.differences else RunStatus.OK

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        """Yields the job's metrics. A dry run counts no restored rows."""
        yield Metric("RestoredRows", 0 if self.dry_run else self.rows)
        yield Metric("RestoreDifferences", len(self.differences))
        yield Metric("BackupProven", int(self.proven))
