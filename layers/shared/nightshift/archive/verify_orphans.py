"""Finds objects in the archive's location that are not part of the archive, and on request removes or sets them aside.

The bucket is listed first, and the ledger is read afterwards. An object's `pending` entry is committed before its first
byte is sent to S3. A listed object without an entry is therefore not unfinished work of a run. The ledger is read under
the lock of `cleanup`: an entry that is `pending` under the lock belongs to a killed run. The claim, not the lock, makes
a repair safe (see `ledger`). If the run is still alive, it finds its entry claimed, and its deletion is rolled back.

An unknown object may be the only copy of rows whose ledger was lost, and is never deleted. It is copied to
`_set_aside/`, which no engine reads. The copy is compared byte for byte, and only then the original is removed. An
unknown object that may belong to another deployment is not changed. A clone of the database, another deployment under
the same prefix, and a ledger restored from a backup all have objects that this ledger does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import select

from nightshift.archive.inventory import SUFFIX, ArchivedObject, VerificationScope, object_directories
from nightshift.archive.ledger import SWEEP_LIMIT, ArchiveLedger, split_keys
from nightshift.database.connect import Database
from nightshift.database.lock import run_lock
from nightshift.database.tables import archive_object, table_exists
from nightshift.database.tables import run as run_table
from nightshift.errors import ArchiveMismatch, StoreError
from nightshift.rows.reader import ArchiveFile
from nightshift.store import ObjectInfo, ObjectStore

QUARANTINE_PREFIX = "_set_aside"
"""Directory for unknown objects. Engines ignore names that begin with an underscore."""
MAX_BYTES = 1 << 30
"""Maximum size of an object that is read into memory. Every object of nightshift is smaller."""

_UNFINISHED = ("pending", "sweeping", "swept")
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class UnverifiedObject:
    """An object that is not verified, with the reason.

    Attributes:
        table: the table's label; None: the ledger has no entry of the object.
    """

    key: str
    table: str | None
    why: str


@dataclass(frozen=True, slots=True)
class RepairedEntry:
    """An orphan that a repair removed or set aside.

    Attributes:
        how: `removed` or `set aside`.
        to: key of the copy, if the object was set aside.
    """

    key: str
    how: str
    to: str | None = None


@dataclass(slots=True)
class OrphanReport:
    """Orphans in the archive's location, and the objects in the ledger."""

    ledger: list[ArchivedObject]
    unfinished: list[UnverifiedObject] = field(default_factory=list)
    in_progress: list[UnverifiedObject] = field(default_factory=list)
    unknown: list[UnverifiedObject] = field(default_factory=list)
    repaired: list[RepairedEntry] = field(default_factory=list)


def find_strays(
    database: Database, store: ObjectStore, prefix: str, scope: VerificationScope, *, repair: bool
) -> OrphanReport:
    """Compare the bucket with the ledger, and with `repair` remove or set aside the orphans.

    Raises:
        StoreError: the bucket cannot be listed.
        sqlalchemy.exc.DBAPIError: the ledger cannot be read or changed.
    """
    listed = _listed(database, store, prefix, scope)
    with run_lock(database, "cleanup") as held:
        with database.connect() as connection:
            ledger = scope.list_objects(connection, store.bucket)
        if held and repair:
            report = _compare(database, store, ledger, listed)
            _remove_unfinished(database, store, report)
            _set_aside_unknown(database, store, report, listed)
            return report
    # The comparison needs no lock, so that a cleanup that starts meanwhile is not refused.
    report = _compare(database, store, ledger, listed)
    if not held:
        report.in_progress, report.unfinished = report.unfinished, []
    return report


def _compare(
    database: Database, store: ObjectStore, ledger: list[ArchivedObject], listed: Mapping[str, ObjectInfo]
) -> OrphanReport:
    """Returns the unfinished and the unknown objects."""
    unknown = _unknown(database, store.bucket, ledger, listed)
    # Each object is looked up now, because a run may have written or deleted it since the listing.
    unfinished = [
        UnverifiedObject(archived.key, archived.table, archived.state)
        for archived in ledger
        if archived.state in _UNFINISHED
        and (archived.state != _UNFINISHED[-1] or archived.key in listed)
        and store.head_object(archived.key) is not None
    ]
    return OrphanReport(ledger, unfinished=unfinished, unknown=unknown)


def _listed(database: Database, store: ObjectStore, prefix: str, scope: VerificationScope) -> dict[str, ObjectInfo]:
    """Returns the Parquet objects in the archive's directories, by key."""
    places = ["/".join(part for part in (prefix.strip("/"), "table=") if part)]
    if scope.table is not None:
        with database.connect() as connection:
            places = [
                f"{path}/"
                for path in object_directories(VerificationScope(scope.table).list_objects(connection, store.bucket))
            ]
    return {
        info.key: info
        for place in places
        for info in store.list_objects(place)
        if info.key.endswith(SUFFIX) and scope.covers_key(info.key)
    }


def _unknown(
    database: Database, bucket: str, ledger: Sequence[ArchivedObject], listed: Mapping[str, ObjectInfo]
) -> list[UnverifiedObject]:
    """Returns the listed objects without a ledger row for this bucket."""
    known = {archived.key for archived in ledger}
    keys = [key for key in listed if key not in known]
    buckets: dict[str, str] = {}
    with database.connect() as connection:
        if keys and table_exists(connection, archive_object):
            columns = select(archive_object.c.object_key, archive_object.c.bucket)
            for batch in split_keys(keys):
                rows = connection.execute(columns.where(archive_object.c.object_key.in_(batch)))
                buckets.update((row.object_key, row.bucket) for row in rows)
    return [
        UnverifiedObject(
            key, None, f"the ledger has it in bucket {buckets[key]}" if key in buckets else "the ledger has no such key"
        )
        for key in keys
        if buckets.get(key) != bucket
    ]


def _remove_unfinished(database: Database, store: ObjectStore, report: OrphanReport) -> None:
    """Delete unfinished objects after claiming them in the ledger, so that a late COMMIT cannot archive them."""
    removed: set[str] = set()
    # The ledger's run ID and time are not used, because no entry is written.
    with closing(ArchiveLedger(database, store.bucket, "", _NEVER)) as ledger:
        for batch in split_keys([orphan.key for orphan in report.unfinished], SWEEP_LIMIT):
            swept = list(store.delete_objects(ledger.claim_orphans(batch)))
            ledger.mark_orphans_deleted(swept)
            removed.update(swept)
    report.repaired += [RepairedEntry(orphan.key, "removed") for orphan in report.unfinished if orphan.key in removed]
    report.unfinished = [orphan for orphan in report.unfinished if orphan.key not in removed]


def _set_aside_unknown(
    database: Database, store: ObjectStore, report: OrphanReport, listed: Mapping[str, ObjectInfo]
) -> None:
    with database.connect() as connection:
        places = object_directories(VerificationScope().list_objects(connection, store.bucket))
    left = []
    for note in report.unknown:
        why, to = note.why, None
        if not note.key.startswith(tuple(f"{place}/" for place in places)):
            why = "no table of this ledger lies there"
        elif note.why.startswith("the ledger has no"):
            why, to = _set_aside(database, store, listed[note.key])
        if to is not None:
            report.repaired.append(RepairedEntry(note.key, "set aside", to))
        else:
            left.append(replace(note, why=why))
    report.unknown = left


def _set_aside(database: Database, store: ObjectStore, listed: ObjectInfo) -> tuple[str, str | None]:
    """Copy an object, verify the copy, and remove the original. Returns a reason if this failed, and the copy's key.

    A repetition after a crash finds the copy, and continues.
    """
    if listed.size > MAX_BYTES:
        return f"{listed.size} bytes: larger than any object of nightshift's", None
    try:
        now = store.head_object(listed.key)
        body = store.get_or_none(listed.key)
        if now is None or body is None:
            return "it is gone by now", None
        run_id = _run_of(body)
        if run_id is not None and not _has_finished(database, run_id):
            return f"written by run {run_id}, which this database has not seen to its end: another deployment's", None
        to = _aside(listed.key)
        copy = replace(store, proof="full")
        copy.verify_object(copy.put_object(to, body), body)
        store.delete_if_unchanged(now)
    except (StoreError, ArchiveMismatch) as exc:
        return f"could not be set aside: {exc.message}", None
    return "", to


def _aside(key: str) -> str:
    """Returns the key of the copy: `<prefix>/table=…` → `<prefix>/_set_aside/table=…`."""
    head, mark, rest = f"/{key}".partition("/table=")
    return f"{head}/{QUARANTINE_PREFIX}{mark}{rest}".removeprefix("/")


def _run_of(body: bytes) -> str | None:
    """Returns the ID of the run that wrote a file; None: nightshift did not write the file."""
    try:
        return ArchiveFile(body).metadata.get("nightshift.run_id")
    except ArchiveMismatch:
        return None


def _has_finished(database: Database, run_id: str) -> bool:
    """Returns whether a run ended in this database. If it ended, the ledger has all its objects.

    A run that has not ended in this database may have continued elsewhere: in the database from which this database
    was cloned.
    """
    finished = select(run_table.c.run_id).where(run_table.c.run_id == run_id, run_table.c.finished_at.is_not(None))
    with database.connect() as connection:
        return table_exists(connection, run_table) and connection.execute(finished).first() is not None
