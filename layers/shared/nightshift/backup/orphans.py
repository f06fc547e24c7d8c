"""Deletes objects that no manifest lists: objects of runs that were killed, failed, or had to start a table again.

An object's key names the run that wrote the object. Only objects of runs in this database's history are deleted:
another database may have backups under the same prefix by mistake, and may be writing a backup. If a backup's manifest
cannot be read, no object of the backup is deleted, because the objects may be the rest of a backup.

The run lock prevents two runs at once, but a lock can be lost. A run that never ended is therefore first marked as
failed in the history, and only then its objects are deleted. A run locks its own row in the history while it writes its
manifest, and writes the manifest only if the row is not marked as failed. Both sides lock the same row, so a manifest
is never written after its objects were deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from nightshift.backup.inventory import BackupState, FoundBackup
from nightshift.backup.manifest import MANIFEST, PROVEN, BackupPath
from nightshift.database.connect import Database
from nightshift.database.tables import run as run_table
from nightshift.database.tables import table_exists
from nightshift.errors import RunAborted
from nightshift.store import ObjectStore
from nightshift.store.removal import remove_objects

JOB = "backup"
_RUNNING = "running"


@dataclass(frozen=True, slots=True)
class OrphanCleanup:
    """Number of deleted objects, and a sentence for each oddity."""

    removed: int = 0
    warnings: tuple[str, ...] = ()


def known_run_ids(connection: Connection, run_ids: Iterable[str]) -> frozenset[str]:
    """Returns the run IDs that are in this database's history of backups. A database without history has none."""
    wanted = sorted(set(run_ids))
    if not wanted or not table_exists(connection, run_table):
        return frozenset()
    query = select(run_table.c.run_id).where(run_table.c.job == JOB, run_table.c.run_id.in_(wanted))
    return frozenset(connection.execute(query).scalars())


@contextmanager
def hold_run_alive(database: Database, run_id: str) -> Iterator[None]:
    """Check that the run is not marked as failed, and prevent the mark while the run writes its manifest.

    In SQLite the row is not locked, because a lock would prevent the application from writing. SQLite's run lock is
    the kernel's, and cannot be lost.

    Raises:
        RunAborted: another run has marked this run as failed. Its objects may be deleted.
    """
    with database.connect() as connection:
        mine = select(run_table.c.status).where(run_table.c.run_id == run_id).with_for_update()
        status = connection.execute(mine).scalar()
        if not database.is_postgresql:
            connection.rollback()
        if status != _RUNNING:
            raise RunAborted(
                "another run has taken this one for dead",
                detail=f"run {run_id} is recorded as {status}",
                hint="its connection to the database was lost for a while;"
                " the other run, or the next, takes the backup",
            )
        yield
        connection.rollback()


def delete_orphans(
    store: ObjectStore,
    database: Database,
    prefix: str,
    backups: Iterable[FoundBackup],
    *,
    kept: frozenset[str],
    versions: bool,
) -> OrphanCleanup:
    """Delete the orphans in all backups' folders.

    Args:
        kept: keys that are not deleted, because an unfinished backup needs the objects.
        versions: delete all versions of the objects (Object Lock).
    """
    unlisted: dict[tuple[str, str], list[str]] = {}
    for backup in backups:
        place = BackupPath(prefix, backup.name)
        for key, run_id in _unlisted(store, place, backup):
            if key not in kept:
                unlisted.setdefault((place.manifest_key if backup.manifest is None else "", run_id), []).append(key)
    with database.connect() as connection:
        ours = _declared_dead(connection, {run_id for _, run_id in unlisted if run_id})
    # From here on no failed run can write a manifest. Only now the absence of a manifest is final.
    finished = {manifest for manifest, _ in unlisted if manifest and store.head_object(manifest)}
    # A verification record without a manifest belongs to no run, and is deleted.
    ready = [(run_id, keys) for (manifest, run_id), keys in unlisted.items() if manifest not in finished]
    keys = [key for run_id, keys_of_run in ready if not run_id or run_id in ours for key in keys_of_run]
    unknown = [keys_of_run[0] for run_id, keys_of_run in ready if run_id and run_id not in ours]
    warnings = [f"objects of {len(unknown)} unknown runs were left alone, e.g. {unknown[0]}"] if unknown else []
    if not keys:
        return OrphanCleanup(0, tuple(warnings))
    removal = remove_objects(store.client, store.bucket, keys, versions=versions, deadline=database.deadline)
    if removal.failed:
        code = next(iter(removal.failed.values()))
        warnings.append(f"{len(removal.failed)} leftovers could not be deleted: {code}; the next run tries again")
    return OrphanCleanup(len(removal.gone), tuple(warnings))


def _declared_dead(connection: Connection, run_ids: set[str]) -> frozenset[str]:
    """Mark this database's runs that never ended as failed. Returns the run IDs in this database's history."""
    if not run_ids:
        return frozenset()
    never_ended = run_table.c.run_id.in_(sorted(run_ids)) & (run_table.c.job == JOB) & (run_table.c.status == _RUNNING)
    connection.execute(update(run_table).where(never_ended).values(status="failed", error="it never ended"))
    connection.commit()
    return known_run_ids(connection, run_ids)


def _unlisted(store: ObjectStore, place: BackupPath, backup: FoundBackup) -> Iterator[tuple[str, str]]:
    """Yields each key that the manifest does not list, with the run ID in the key."""
    if backup.state is BackupState.DAMAGED:
        return
    listed = {part.key for part in backup.manifest.list_objects()} if backup.manifest else set()
    if (
        backup.manifest is not None
        and len(listed) + 1 + (backup.proven is not None) + (backup.pin is not None) == backup.objects
    ):
        return  # all are: no need to list them again
    listing = [found.key for found in store.list_objects(place.folder)]
    if backup.manifest is None and place.manifest_key in listing:
        return  # written since the inventory looked
    for key in listing:
        inner = key.removeprefix(place.folder)
        run_id, slash, _ = inner.partition("/")
        if inner == MANIFEST or inner in listed or (inner == PROVEN and backup.manifest is not None):
            continue
        if slash or inner == PROVEN:
            yield key, run_id if slash else ""
