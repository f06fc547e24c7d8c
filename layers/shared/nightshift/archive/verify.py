"""Verifies the archive in S3: every object in the ledger is there and intact, and no other is in its place.

Only answers of S3 are evidence: an error of S3's proves nothing and is never reported as damage. Reading changes
nothing. A repair touches orphans only (see `verify_orphans`); an object that is missing or altered cannot be repaired
from here, and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from sqlalchemy.exc import DBAPIError

from nightshift.archive.inventory import ARCHIVED, RESTORED, ArchivedObject, scope_of
from nightshift.archive.object_verification import Depth, ObjectVerification, verify_objects
from nightshift.archive.verify_orphans import OrphanReport, RepairedEntry, UnverifiedObject, find_strays
from nightshift.database.connect import Database, refused_statement
from nightshift.store import ObjectStore

THREADS = 8


@dataclass(frozen=True, slots=True)
class DamagedArchiveObject:
    """An object that differs from its ledger entry.

    Attributes:
        damage: in one word or two, see `object_verification.ObjectDamage`.
    """

    key: str
    table: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Result of `verify`.

    Attributes:
        objects, rows, bytes: verified against the ledger; with depth `quick` just by existence and size.
        damaged: objects of the archive that are not what they were.
        damaged_restored: objects whose rows are in their table again; nothing is lost with them.
        unproven: objects that S3 did not let us read, which says nothing about them.
        unfinished: left by runs that died; engines that list the bucket read their rows twice.
        in_progress: a run of `cleanup` is alive, and these may be its own.
        unknown: the ledger does not know them.
        overwritten: sound, but hidden from readers without versions by a newer version or a delete marker.
        repaired: unfinished or unknown until this verification.
    """

    depth: str
    objects: int = 0
    rows: int = 0
    bytes: int = 0
    damaged: tuple[DamagedArchiveObject, ...] = ()
    damaged_restored: tuple[DamagedArchiveObject, ...] = ()
    unproven: tuple[UnverifiedObject, ...] = ()
    unfinished: tuple[UnverifiedObject, ...] = ()
    in_progress: tuple[UnverifiedObject, ...] = ()
    unknown: tuple[UnverifiedObject, ...] = ()
    overwritten: tuple[UnverifiedObject, ...] = ()
    repaired: tuple[RepairedEntry, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Every object was proven, and nothing lies in the archive's place that is no part of it."""
        return not (self.damaged or self.unproven or self.unfinished or self.unknown)

    def to_json(self) -> dict[str, Any]:
        """Every fact; lists that are empty are left in, so that readers need not ask whether they are there."""
        lists = {f.name: _as_dicts(getattr(self, f.name)) for f in fields(self) if f.default == ()}
        totals = {"objects": self.objects, "rows": self.rows, "bytes": self.bytes}
        return {"sound": self.is_sound, "depth": self.depth, **totals, **lists}


def _as_dicts(facts: Sequence[Any]) -> list[dict[str, Any]]:
    return [{f.name: value for f in fields(fact) if (value := getattr(fact, f.name)) is not None} for fact in facts]


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
    vouched = [archived for archived in strays.ledger if archived.state in (ARCHIVED, RESTORED)]
    outcomes = []
    with closing(verify_objects(store, vouched, depth, threads)) as proofs:
        for outcome in proofs:
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome.archived)
    return _report(depth, outcomes, strays)


def _report(depth: Depth, outcomes: list[ObjectVerification], strays: OrphanReport) -> VerificationReport:
    proven = [o.archived for o in outcomes if o.damage is None and o.unproven is None]
    damaged = [(o.archived, o.damage) for o in outcomes if o.damage is not None]
    named = {
        state: tuple(
            DamagedArchiveObject(archived.key, archived.table, str(d.damage), d.what)
            for archived, d in damaged
            if archived.state == state
        )
        for state in (ARCHIVED, RESTORED)
    }
    return VerificationReport(
        depth=depth,
        objects=len(proven),
        rows=sum(archived.rows or 0 for archived in proven),
        bytes=sum(archived.bytes or 0 for archived in proven),
        damaged=named[ARCHIVED],
        damaged_restored=named[RESTORED],
        unproven=tuple(
            UnverifiedObject(o.archived.key, o.archived.table, o.unproven.message)
            for o in outcomes
            if o.unproven is not None
        ),
        overwritten=tuple(
            UnverifiedObject(o.archived.key, o.archived.table, o.hidden) for o in outcomes if o.hidden is not None
        ),
        unfinished=tuple(strays.unfinished),
        in_progress=tuple(strays.in_progress),
        unknown=tuple(strays.unknown),
        repaired=tuple(strays.repaired),
    )
