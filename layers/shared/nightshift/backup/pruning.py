"""Deletes the backups that retention no longer keeps, the manifest first.

Once its manifest is deleted a backup does not exist any more. So a run that dies half-way leaves objects without a
backup (the next run deletes them), and never a backup that looks complete and is not. If S3 refuses to delete the
manifest, as under Object Lock, the backup is left whole, named, and tried again by the next run.

Under Object Lock the versions themselves are deleted, which S3 refuses as long as the lock holds. Without it the
objects are deleted: in a bucket with versions that hides them, and the bucket's own rules decide how long they can be
recovered.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from nightshift.backup.inventory import FoundBackup, find_backup
from nightshift.backup.manifest import BackupPath
from nightshift.backup.retention import RetentionCandidate, RetentionDecision
from nightshift.store import ObjectStore
from nightshift.store.removal import RemovalResult, remove_objects

_LOCKED = "AccessDenied"


@dataclass(frozen=True, slots=True)
class PruneResult:
    """Result of applying retention.

    Attributes:
        names: backups that are gone; in a dry run, that would go.
        warnings: backups that could not be deleted, a sentence each.
    """

    names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def retention_candidates(
    backups: Iterable[FoundBackup], now: datetime, ours: Collection[str] | None = None
) -> tuple[RetentionCandidate, ...]:
    """Returns the good backups, as input of `apply_retention`. Retention must not delete damaged or unfinished ones.

    Args:
        now: aware; pins that are over by then do not count.
        ours: runs of this database. Another one may have its backups under the same prefix, by mistake: those neither
            count nor go. None: all are ours.
    """
    return tuple(
        RetentionCandidate(one.name, one.manifest.as_of, one.is_proven, one.is_pinned(now))
        for one in backups
        if one.is_good and one.manifest is not None and (ours is None or one.manifest.run_id in ours)
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
    """Deletes the backups that no rule keeps, oldest first.

    Args:
        prefix: BACKUP_PREFIX.
        verdicts: of `apply_retention`.
        now: aware; as for `retention_candidates`.
        locked: backups lie under Object Lock (BACKUP_OBJECT_LOCK_DAYS).
        deadline: `time.monotonic()` value after which nothing is deleted any more.

    Raises:
        StoreError: S3 did not list a backup's objects.
    """
    condemned = sorted((v.backup for v in verdicts if not v.is_kept), key=lambda one: (one.as_of, one.name))
    if dry_run:
        return PruneResult(tuple(one.name for one in condemned))
    names: list[str] = []
    warnings: list[str] = []
    for one in condemned:
        if time.monotonic() > deadline:
            break  # the next run goes on
        place = BackupPath(prefix, one.name)
        found = find_backup(store, prefix, one.name)
        if found is not None and (found.is_proven > one.proven or found.is_pinned(now)):
            continue  # a rehearsal has restored it, or an operator has pinned it, since it was judged
        removal = remove_objects(store.client, store.bucket, [place.manifest_key], versions=locked, deadline=deadline)
        if not removal.gone:
            warnings.append(f"{one.name} was not deleted: {_why(removal)}; it is whole, and the next run tries again")
            if removal.silent:
                break
            continue
        names.append(one.name)
        rest = [found.key for found in store.list_objects(place.folder)]
        removal = remove_objects(store.client, store.bucket, rest, versions=locked, deadline=deadline)
        if left := len(removal.failed.keys() | set(removal.untried)):
            warnings.append(f"{one.name} is deleted, but {left} of its objects are still there: {_why(removal)}")
    return PruneResult(tuple(names), tuple(warnings))


def _why(removal: RemovalResult) -> str:
    code = next(iter(removal.failed.values()), None)
    if code is None:
        return "the time was over"
    return f"{code}, as Object Lock answers, or a role that may not delete" if code == _LOCKED else code
