"""Verifies the archive in S3: every object in the ledger exists and is intact, and no other object is beside them.

Only an answer of S3 proves damage: an error of S3 proves nothing, and is never reported as damage. Without a repair the
verification changes nothing. A repair changes orphans only (see `verify_orphans`). A missing or altered object cannot
be repaired, and is reported.
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
        damage: kind of damage, see `object_verification.ObjectDamage`.
        what: the observed difference.
    """

    key: str
    table: str
    damage: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """Result of `verify`.

    Attributes:
        objects, rows, bytes: totals verified against the ledger; with depth `quick` only by existence and size.
        damaged: archived objects that differ from their ledger entry.
        damaged_restored: damaged objects whose rows are in their table again. No row is lost with such an object.
        unproven: objects that could not be read from S3. They may be undamaged.
        unfinished: objects of killed runs. An engine that lists the bucket reads their rows twice.
        in_progress: unfinished objects that may belong to a running `cleanup`.
        unknown: objects without a ledger entry.
        overwritten: intact objects that a newer version or a delete marker hides from readers without version IDs.
        repaired: unfinished or unknown objects that this verification removed or set aside.
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
        """Returns whether every object is verified, and the archive's location has no unfinished or unknown object."""
        return not (self.damaged or self.unproven or self.unfinished or self.unknown)

    def to_json(self) -> dict[str, Any]:
        """Returns all fields. Empty lists are included, so that a reader need not check whether a key exists."""
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
    """Verify the archive, or one table, or some days of the archive.

    Args:
        prefix: ARCHIVE_PREFIX.
        table: name of the table, with or without its schema; None: every table.
        since, until: first and last day, both included.
        depth: `quick` checks that each object exists with its size. `full` also reads each object, and checks its
            SHA-256 and its footer. `values` also decodes every value.
        repair: remove unfinished objects, and set unknown objects aside.
        threads: number of objects verified at once. The store's client should have as many connections.
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
