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
        name: of the backup, e.g. `backup_2025_10_21_0000`; None: there is none.
        location: `s3://bucket/prefix/name`.
        snapshot_time: the one moment of all rows; None where it is a set of groups, each with its own.
        tables, rows, bytes: in the backup; bytes as they lie in S3, the schema and logs among them.
        left: tables still to be saved; the next invocation goes on with them.
        groups: sets of tables that are each of one moment; 1: the whole backup is.
        log_events: events of log groups, or lines of log files, that were saved.
        previous_bytes: of the backup before; None: there is none.
        proven_name, proven_at: the newest backup that a rehearsal has restored, and when.
        unproven_since: time of the oldest good backup, where none was ever proven; None: there is no other one.
        pruned: backups that retention removed, `would_prune` in a dry run.
        unsaved: how much of `missing` should be in the backup, and could not be saved; it is `partial` then.
        missing: content not in the backup, a sentence each, e.g. large objects, or the schema for lack of a client.
        warnings: what the operator should know, a sentence each.
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
        """Smaller than half of the backup before: somebody should look."""
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
        """A partial backup has no size: it would look like a backup that shrank."""
        yield Metric("BackupMade", int(self.status is RunStatus.OK))
        yield Metric("BackupsPruned", 0 if self.dry_run else len(self.pruned))
        if self.status is RunStatus.OK:
            yield Metric("BackupBytes", self.bytes, "Bytes")
            yield Metric("BackupRows", self.rows)
            yield Metric("BackupLogEvents", self.log_events)
            yield Metric("BackupMissing", len(self.missing))
            yield Metric("BackupShrunk", int(self.shrunk))
        proven = self.proven_at or self.unproven_since  # where none was ever proven, the age of the oldest
        if proven is not None:
            yield Metric("ProvenAgeSeconds", max(0.0, (as_of - proven).total_seconds()), "Seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredBackup(JobResult):
    """Result of restoring a backup, in a rehearsal or not.

    Attributes:
        name: of the backup.
        target: the database that was filled, by its name; never its address or login.
        tables, rows, bytes: restored.
        left_tables: not restored because time was over.
        differences: from the manifest, a sentence each; empty: proven.
        but_for: content that by its nature could not be restored as it was, a sentence each, e.g. rows that could
            not be saved, a materialized view that was older than its tables; a proof names it.
        reworded: definitions that PostgreSQL words differently once restored, with a digest of how.
        environment: differences due to the server or the role, e.g. a tablespace that is not there, a
            sentence each; no fault of the backup, and a proof names it.
        proven: schema, counts and digests are all as they were except for these two, and the verification record says
            so (rehearsal only). Definitions that PostgreSQL itself words differently once restored are a warning then.
        scratch: the database was made for this run, and is dropped again.
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
        """A preview restores nothing, and proves nothing."""
        yield Metric("RestoredRows", 0 if self.dry_run else self.rows)
        yield Metric("RestoreDifferences", len(self.differences))
        yield Metric("BackupProven", int(self.proven))
