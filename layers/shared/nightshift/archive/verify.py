"""Verifies the archive in S3: every object in the ledger is there and intact, and no other is in its place.

Only answers of S3 are evidence: an error of S3's proves nothing and is never reported as damage. Reading changes
nothing. A repair touches orphans only (see `verify_orphans`); an object that is missing or altered cannot be repaired
from here, and is named.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date

from sqlalchemy.exc import DBAPIError

from nightshift.archive.inventory import ARCHIVED, RESTORED, ArchivedObject
from nightshift.archive.verify_objects import Depth, ObjectVerification, verify_objects
from nightshift.archive.verify_orphans import OrphanReport, find_strays
from nightshift.archive.verify_report import DamagedArchiveObject, RepairedEntry, UnverifiedObject, VerificationReport
from nightshift.archive.verify_scope import scope_of
from nightshift.database.connect import Database, refused_statement
from nightshift.store import ObjectStore

__all__ = ["DamagedArchiveObject", "Depth", "RepairedEntry", "UnverifiedObject", "VerificationReport", "verify_archive"]

THREADS = 8


def verify_archive(
    database: Database,
    store: ObjectStore,
    prefix: str,
    *,
    table: str | None = None,
    since: date | None = None,
    until: date | None = None,
    depth: Depth = "full",
    repair: bool = False,
    threads: int = THREADS,
    progress: Callable[[ArchivedObject], None] | None = None,
) -> VerificationReport:
    """Prove the archive, or one table of it, or a span of days.

    Args:
        prefix: ARCHIVE_PREFIX.
        table: as people write it; None: every table.
        since, until: first and last day, both included.
        depth: `quick` asks S3 whether each object exists and how large it is; `full` reads it and compares every byte
            (SHA-256), then its footer; `values` decodes every value as well.
        repair: remove unfinished objects, set unknown ones aside.
        threads: objects under way at once; the store's client should have as many connections.
        progress: called after each object, in order.

    Raises:
        NightshiftError: the ledger knows no such table, or the database refused.
        StoreError: the bucket could not be listed.
    """
    try:
        with database.connect() as connection:
            scope = scope_of(connection, store.bucket, table, since, until)
        strays = find_strays(database, store, prefix, scope, repair=repair)
    except DBAPIError as exc:
        raise refused_statement(exc) from exc
    vouched = [one for one in strays.ledger if one.state in (ARCHIVED, RESTORED)]
    outcomes = []
    with closing(verify_objects(store, vouched, depth, threads)) as proofs:
        for outcome in proofs:
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome.one)
    return _report(depth, outcomes, strays)


def _report(depth: Depth, outcomes: list[ObjectVerification], strays: OrphanReport) -> VerificationReport:
    proven = [o.one for o in outcomes if o.damage is None and o.unproven is None]
    damaged = [(o.one, o.damage) for o in outcomes if o.damage is not None]
    named = {
        state: tuple(
            DamagedArchiveObject(one.key, one.table, str(d.damage), d.what) for one, d in damaged if one.state == state
        )
        for state in (ARCHIVED, RESTORED)
    }
    return VerificationReport(
        depth=depth,
        objects=len(proven),
        rows=sum(one.rows or 0 for one in proven),
        bytes=sum(one.bytes or 0 for one in proven),
        damaged=named[ARCHIVED],
        damaged_restored=named[RESTORED],
        unproven=tuple(
            UnverifiedObject(o.one.key, o.one.table, o.unproven.message) for o in outcomes if o.unproven is not None
        ),
        overwritten=tuple(UnverifiedObject(o.one.key, o.one.table, o.hidden) for o in outcomes if o.hidden is not None),
        unfinished=tuple(strays.unfinished),
        in_progress=tuple(strays.in_progress),
        unknown=tuple(strays.unknown),
        repaired=tuple(strays.repaired),
    )
