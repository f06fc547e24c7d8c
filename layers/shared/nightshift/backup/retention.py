"""Decides which backups to keep, by their times and their proofs, and deletes the others.

Only days, weeks and months that *have* a backup count. Retention keeps the newest backup of each of the last counted
days, weeks and months, so that a month of failures deletes no backup. Backups that a rehearsal has restored ("proven")
and other backups are counted separately, so that unproven backups never displace a proven backup. Retention never
deletes the newest backup, the newest proven backup, or the last remaining backup.

Retention also keeps all backups of the last 24 hours: an operator may need a backup before and a backup after a
migration. It also keeps backups that an operator has pinned (see `inventory.BackupPin`), and the backup that the run
itself has made. All kept backups are counted like other backups.

Rejected: counting days of the calendar (a week of failed runs would delete the week before it), and counting both kinds
together (rehearsals are weekly, so the newest backup of a day is seldom proven).

A backup's manifest is deleted first, and without its manifest a backup does not exist. A killed run therefore leaves
objects without a backup, which the next run deletes, and never an incomplete backup that looks complete. If S3 refuses
to delete the manifest, e.g. under Object Lock, the whole backup stays and is reported. The next run tries again.

Under Object Lock the objects' versions are deleted, which S3 refuses until the lock ends. Without Object Lock the
objects are deleted. In a bucket with versioning a deletion only hides an object, and the bucket's lifecycle rules
decide how long the object can be recovered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from nightshift.backup.inventory import FoundBackup, find_backup
from nightshift.backup.manifest import BackupPath
from nightshift.store import ObjectStore
from nightshift.store.removal import RemovalResult, remove_objects

RECENT = timedelta(hours=24)

_LOCKED = "AccessDenied"


@dataclass(frozen=True, slots=True)
class RetentionCandidate:
    """The facts about a good backup that retention needs. `as_of` is aware."""

    name: str
    as_of: datetime
    proven: bool
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class BackupRetention:
    """Number of days, weeks and months of which to keep a backup. Days and weeks begin in the time zone `zone`.

    Raises:
        ValueError: `daily` is less than 1, or another number is negative.
    """

    daily: int
    weekly: int
    monthly: int
    zone: str

    def __post_init__(self) -> None:
        if self.daily < 1 or self.weekly < 0 or self.monthly < 0:
            raise ValueError("retention keeps at least one day, and no negative number of weeks or months")


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """Decision on one backup. `rules` are the reasons to keep it, e.g. `daily 2025-10-21`. Empty: it is deleted."""

    backup: RetentionCandidate
    rules: tuple[str, ...]

    @property
    def is_kept(self) -> bool:
        return bool(self.rules)


def apply_retention(
    backups: Iterable[RetentionCandidate], now: datetime, keep: BackupRetention, *, made: str | None = None
) -> tuple[RetentionDecision, ...]:
    """Returns the decision on every good backup, newest first.

    Backups with `as_of` after `now` are kept, and not counted. `made` is the name of the backup that this run made.
    """
    ordered = sorted(backups, key=lambda backup: (backup.as_of, backup.name), reverse=True)
    rules: dict[str, list[str]] = {backup.name: [] for backup in ordered}
    for backup in ordered[:1]:
        rules[backup.name].append("the only one" if len(ordered) == 1 else "newest")
    for backup in [backup for backup in ordered if backup.proven][:1]:
        rules[backup.name].append("newest proven")
    for backup in ordered:
        if backup.as_of > now:
            rules[backup.name].append("later than this run")
        elif backup.as_of > now - RECENT:
            rules[backup.name].append("the last 24 hours")
        if backup.pinned:
            rules[backup.name].append("pinned")
        if backup.name == made:
            rules[backup.name].append("made by this run")
    past = [backup for backup in ordered if backup.as_of <= now]
    for proven in (True, False):
        _count([backup for backup in past if backup.proven is proven], keep, "" if proven else "unproven ", rules)
    return tuple(RetentionDecision(backup, tuple(rules[backup.name])) for backup in ordered)


def _count(
    ordered: Sequence[RetentionCandidate], keep: BackupRetention, kind: str, rules: dict[str, list[str]]
) -> None:
    """Add a rule to the newest backup of each of the last days, weeks and months that have a backup."""
    zone = ZoneInfo(keep.zone)
    periods: tuple[tuple[str, int, Callable[[datetime], str]], ...] = (
        ("daily", keep.daily, lambda when: f"{when:%Y-%m-%d}"),
        ("weekly", keep.weekly, lambda when: f"{when:%G-W%V}"),
        ("monthly", keep.monthly, lambda when: f"{when:%Y-%m}"),
    )
    for rule, count, period_of in periods:
        seen: set[str] = set()
        for backup in ordered:
            period = period_of(backup.as_of.astimezone(zone))
            if period in seen:
                continue
            if len(seen) == count:
                break
            seen.add(period)
            rules[backup.name].append(f"{kind}{rule} {period}")


@dataclass(frozen=True, slots=True)
class PruneResult:
    """Deleted backups (in a dry run: backups to delete), and a sentence for each backup that could not be deleted."""

    names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def retention_candidates(
    backups: Iterable[FoundBackup], now: datetime, ours: Collection[str] | None = None
) -> tuple[RetentionCandidate, ...]:
    """Returns the good backups. Damaged and unfinished backups are neither counted nor deleted. Ended pins are ignored.

    `ours` are the runs of this database; None: all runs. Another database may have backups under the same prefix by
    mistake. Retention neither counts nor deletes them.
    """
    return tuple(
        RetentionCandidate(backup.name, backup.manifest.as_of, backup.is_proven, backup.is_pinned(now))
        for backup in backups
        if backup.is_good and backup.manifest is not None and (ours is None or backup.manifest.run_id in ours)
    )


def prune_backups(
    store: ObjectStore,
    prefix: str,
    verdicts: Iterable[RetentionDecision],
    *,
    now: datetime,
    locked: bool,
    deadline: float,
    dry_run: bool = False,
) -> PruneResult:
    """Delete the backups that no rule keeps, oldest first, until the deadline.

    `locked`: the backups are under Object Lock (BACKUP_OBJECT_LOCK_DAYS).

    Raises:
        StoreError: S3 did not list a backup's objects.
    """
    condemned = sorted((v.backup for v in verdicts if not v.is_kept), key=lambda backup: (backup.as_of, backup.name))
    if dry_run:
        return PruneResult(tuple(backup.name for backup in condemned))
    names: list[str] = []
    warnings: list[str] = []
    for backup in condemned:
        if time.monotonic() > deadline:
            break  # the next run goes on
        place = BackupPath(prefix, backup.name)
        found = find_backup(store, prefix, backup.name)
        if found is not None and (found.is_proven > backup.proven or found.is_pinned(now)):
            continue  # a rehearsal has restored it, or an operator has pinned it, since it was judged
        removal = remove_objects(store.client, store.bucket, [place.manifest_key], versions=locked, deadline=deadline)
        if not removal.gone:
            warnings.append(
                f"{backup.name} was not deleted: {_why(removal)}; it is whole, and the next run tries again"
            )
            if removal.silent:
                break
            continue
        names.append(backup.name)
        rest = [found.key for found in store.list_objects(place.folder)]
        removal = remove_objects(store.client, store.bucket, rest, versions=locked, deadline=deadline)
        if left := len(removal.failed.keys() | set(removal.untried)):
            warnings.append(f"{backup.name} is deleted, but {left} of its objects are still there: {_why(removal)}")
    return PruneResult(tuple(names), tuple(warnings))


def _why(removal: RemovalResult) -> str:
    code = next(iter(removal.failed.values()), None)
    if code is None:
        return "the time was over"
    return f"{code}, as Object Lock answers, or a role that may not delete" if code == _LOCKED else code
