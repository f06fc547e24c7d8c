"""The `backup` job: deletes objects of crashed runs, makes one backup for `as_of`, then applies retention.

`as_of` is the scheduled time of the run. A second run for the same `as_of` makes no second backup.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nightshift.backup import checkpoint
from nightshift.backup.checkpoint import BackupCheckpoint
from nightshift.backup.creation import create_backup
from nightshift.backup.inventory import BackupState, FoundBackup, find_backups, newest_good, newest_proven
from nightshift.backup.manifest import BackupManifest, BackupPath, backup_name
from nightshift.backup.orphans import OrphanCleanup, delete_orphans, known_run_ids
from nightshift.backup.retention import (
    BackupRetention,
    PruneResult,
    apply_retention,
    prune_backups,
    retention_candidates,
)
from nightshift.backup.snapshot import snapshot_of
from nightshift.backup.targets import backup_source, open_backup_store
from nightshift.backup.task import BackupContext, BackupOutcome
from nightshift.errors import ArchiveMismatch, InvalidEvent
from nightshift.logs.day import check_settings
from nightshift.results.backup import BackupResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices
from nightshift.store import ObjectStore

NAME_RESOLUTION = timedelta(minutes=1)
"""Resolution of the time in a backup's name. Runs further apart have different names, unless clocks were set back."""

A_RETRY = timedelta(days=1)
"""Maximum delay of an event. EventBridge Scheduler retries for 24 hours."""


def backup(run: JobRun, services: RunServices) -> BackupResult:
    """Saves the database and the logs of the day before, and deletes old backups.

    Raises:
        InvalidSettings: no bucket is set, or a setting is invalid; nothing was written.
        InvalidEvent: `as_of` is long before an existing backup; nothing was written.
        NightshiftError: the run failed, and made no backup.
    """
    store = open_backup_store(services)
    check_settings(services.settings)
    night = BackupRun(run, services, store, find_backups(store, services.settings.backup_prefix), time.monotonic())
    night.check_time()
    if run.dry_run:
        return night.preview_backup()
    waiting = night.load_unfinished()
    collected = night.delete_orphans(waiting)
    manifest = night.find_finished()
    facts = (
        replace(night.describe_backup(manifest), already=True) if manifest is not None else night.create_backup(waiting)
    )
    pruned = PruneResult() if facts.left or facts.already else night.prune_backups(facts.name)
    return replace(
        facts,
        pruned=pruned.names,
        warnings=(*night.damaged_warnings(), *collected.warnings, *facts.warnings, *pruned.warnings),
        seconds=time.monotonic() - night.began,
    )


@dataclass(frozen=True, slots=True)
class BackupRun:
    """One run of the job.

    Attributes:
        found: the existing backups at the start of the run, newest first.
        began: `time.monotonic()` value of the start.
    """

    run: JobRun
    services: RunServices
    store: ObjectStore
    found: tuple[FoundBackup, ...]
    began: float

    @property
    def backup_prefix(self) -> str:
        return self.services.settings.backup_prefix

    @property
    def name(self) -> str:
        return backup_name(self.run.as_of, self.services.settings.timezone)

    def load_unfinished(self) -> BackupCheckpoint | None:
        """Returns an earlier run's unfinished backup, or None. Tables with missing objects are left out."""
        with self.services.database.connect() as connection:
            waiting = checkpoint.load_checkpoint(connection)
            if waiting is None:
                return None
            place = BackupPath(self.backup_prefix, waiting.name)
            sizes = {info.key: info.size for info in self.store.list_objects(place.folder)}
            kept = tuple(
                saved
                for saved in waiting.kept
                if all(sizes.get(place.object_key(part)) == part.object.bytes for part in saved.entry.parts)
            )
            # With a manifest, the backup is complete: its run was killed before the record of the end. Without objects,
            # the record is old: the database, which has the record, was restored from a backup.
            if place.manifest_key in sizes or not any(saved.entry.parts for saved in kept):
                checkpoint.clear_checkpoint(connection)
                return None
            return replace(waiting, kept=kept)

    def check_time(self) -> None:
        """Checks that `as_of` is not long before the newest backup, because a backup has the database's present rows.

        Raises:
            InvalidEvent: a backup is more than a day later. Retention would delete the new backup immediately.
        """
        latest = self._before(datetime.max.replace(tzinfo=UTC))
        known = any(backup.name == self.name for backup in self.found)
        if latest is not None and latest.as_of - self.run.as_of > A_RETRY and not known:
            raise InvalidEvent(
                "scheduled_time lies before a backup that there is already",
                detail=f"scheduled_time: {self.run.as_of.isoformat()}, {latest.name}: {latest.as_of.isoformat()}",
                hint="a backup holds the database as it is now; leave scheduled_time out",
            )

    def delete_orphans(self, waiting: BackupCheckpoint | None) -> OrphanCleanup:
        """Deletes the objects of crashed runs, except for the objects of the unfinished backup `waiting`."""
        kept: set[str] = set()
        if waiting is not None:
            place = BackupPath(self.backup_prefix, waiting.name)
            kept = {place.object_key(part) for saved in waiting.kept for part in saved.entry.parts}
        return delete_orphans(
            self.store,
            self.services.database,
            self.backup_prefix,
            self.found,
            kept=frozenset(kept),
            versions=self.services.settings.backup_object_lock_days is not None,
        )

    def find_finished(self) -> BackupManifest | None:
        """Returns the manifest of the backup for this `as_of`; None if the backup does not exist yet.

        Raises:
            ArchiveMismatch: the backup with this name is damaged, of another time, or of another database.
        """
        found = next((backup for backup in self.found if backup.name == self.name), None)
        if found is None or found.state is BackupState.UNFINISHED:
            return None
        if found.manifest is None or not found.is_good:
            raise ArchiveMismatch(
                f"{self.name} is there already, and damaged",
                detail="\n".join(found.reasons[:10]),
                hint="it was left alone; once it is moved away, this run can be repeated",
            )
        if abs(found.manifest.as_of - self.run.as_of) >= NAME_RESOLUTION:
            raise ArchiveMismatch(
                f"{self.name} is there already, and of another time",
                detail=f"it stands for {found.manifest.as_of.isoformat()}, this run for {self.run.as_of.isoformat()}",
                hint="TIMEZONE was changed, or its clocks were set back: begin at another minute",
            )
        if found.manifest.run_id not in self._ours([found.manifest.run_id]):
            raise ArchiveMismatch(
                f"{self.name} is there already, and another database's",
                detail=f"run {found.manifest.run_id} of {found.manifest.database} is not in this database's history",
                hint="it was left alone; give each database a BACKUP_PREFIX of its own",
            )
        return found.manifest

    def damaged_warnings(self) -> tuple[str, ...]:
        """Returns a warning for each damaged backup. A damaged backup was complete before."""
        return tuple(
            f"{backup.name} is damaged, and cannot be relied on: {'; '.join(backup.reasons[:3])}"
            for backup in self.found
            if backup.state is BackupState.DAMAGED
        )

    def create_backup(self, waiting: BackupCheckpoint | None) -> BackupResult:
        """Makes the backup, or continues the unfinished backup `waiting`."""
        place = BackupPath(self.backup_prefix, waiting.name if waiting else self.name)
        services, as_of = self.services, waiting.as_of if waiting else self.run.as_of
        task = BackupContext(
            place=place,
            as_of=as_of,
            run_id=self.run.run_id,
            settings=services.settings,
            database=services.database,
            source=backup_source(services.settings, services.database),
            store=self.store,
            listener=services.listener,
            now=services.now,
            unfinished=waiting,
            previous=self._before(as_of),
        )
        taken = create_backup(task)
        facts = self._unfinished(taken, place) if taken.manifest is None else self.describe_backup(taken.manifest)
        other = place.name != self.name
        warnings = (f"earlier runs had begun {place.name}: there will be no {self.name}",) if other else ()
        return replace(facts, tables=taken.tables, warnings=(*warnings, *taken.warnings))

    def describe_backup(self, manifest: BackupManifest) -> BackupResult:
        """Returns the result for a finished backup, with facts of earlier backups."""
        groups = manifest.groups
        return replace(
            self._history(BackupPath(self.backup_prefix, manifest.name)),
            snapshot_time=groups[0].snapshot_time if len(groups) == 1 else None,
            tables=len(manifest.tables),
            rows=manifest.rows,
            bytes=manifest.bytes,
            groups=len(groups),
            log_events=sum(part.rows for part in manifest.logs),
            missing=manifest.missing,
            unsaved=len(manifest.unsaved),
        )

    def prune_backups(self, made: str | None = None, *, dry_run: bool = False) -> PruneResult:
        """Applies retention to the existing backups. `made`, the backup of this run, is never deleted."""
        settings, now = self.services.settings, self.services.now()
        keep = BackupRetention(
            daily=settings.backup_keep_daily,
            weekly=settings.backup_keep_weekly,
            monthly=settings.backup_keep_monthly,
            zone=settings.timezone,
        )
        backups = self.found if dry_run else find_backups(self.store, self.backup_prefix)
        ours = self._ours(backup.manifest.run_id for backup in backups if backup.manifest is not None)
        return prune_backups(
            self.store,
            self.backup_prefix,
            apply_retention(retention_candidates(backups, now, ours), now, keep, made=made),
            now=now,
            locked=settings.backup_object_lock_days is not None,
            deadline=self.services.database.deadline,
            dry_run=dry_run,
        )

    def preview_backup(self) -> BackupResult:
        """Returns the expected result of a run. `rows` is the planner's estimate, and `bytes` the size on disk."""
        database = self.services.database
        facts = replace(
            self._history(BackupPath(self.backup_prefix, self.name)),
            dry_run=True,
            pruned=self.prune_backups(dry_run=True).names,
        )
        if not database.is_postgresql:
            return replace(facts, tables=1, bytes=Path(database.target.path).stat().st_size)
        settings = self.services.settings
        with snapshot_of(backup_source(settings, database), settings) as snapshot:
            sources = snapshot.survey.sources
            return replace(
                facts,
                snapshot_time=snapshot.time,
                tables=len(sources),
                rows=sum(max(0, int(table.rows)) for table in sources),
                bytes=sum(table.bytes for table in sources),
                missing=snapshot.survey.missing,
                unsaved=len(snapshot.survey.aside.unsaved),
                seconds=time.monotonic() - self.began,
            )

    def _unfinished(self, taken: BackupOutcome, place: BackupPath) -> BackupResult:
        entries = [saved.entry for saved in taken.kept]
        return replace(
            self._history(place),
            rows=sum(entry.rows for entry in entries),
            bytes=sum(entry.bytes for entry in entries),
            left=len(taken.left),
            groups=len({saved.moment for saved in taken.kept}),
        )

    def _history(self, place: BackupPath) -> BackupResult:
        """Returns a result with the backup's name and location, and with the facts of earlier backups."""
        others = tuple(backup for backup in self.found if backup.name != place.name)
        before, proven = newest_good(others), newest_proven(self.found)
        return BackupResult(
            name=place.name,
            location=f"s3://{self.store.bucket}/{place.folder.rstrip('/')}",
            previous_bytes=before.manifest.bytes if before and before.manifest else None,
            proven_name=proven.name if proven else None,
            proven_at=proven.proven.proven_at if proven and proven.proven else None,
            unproven_since=None
            if proven
            else min((backup.as_of for backup in self.found if backup.is_good and backup.as_of), default=None),
        )

    def _before(self, as_of: datetime) -> BackupManifest | None:
        """Returns the manifest of this database's newest good backup before a time; None: there is none."""
        good = [backup.manifest for backup in self.found if backup.is_good and backup.manifest]
        earlier = [manifest for manifest in good if manifest.as_of < as_of]
        ours = self._ours(manifest.run_id for manifest in earlier)
        return max((m for m in earlier if m.run_id in ours), key=lambda manifest: manifest.as_of, default=None)

    def _ours(self, run_ids: Iterable[str]) -> frozenset[str]:
        with self.services.database.connect() as connection:
            return known_run_ids(connection, run_ids)
