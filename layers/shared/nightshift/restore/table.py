"""One restore from request to result: select objects, judge and lay out the table, fill it, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.archiver import UNBOUNDED
from nightshift.archive.events import Listener
from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.proof import ObjectDamaged, prove
from nightshift.archive.work import Limits
from nightshift.database.catalog import TableName
from nightshift.database.connect import INSUFFICIENT_PRIVILEGE, Database, reason, refused_statement, sqlstate
from nightshift.database.identity import family
from nightshift.database.insertable import Insertable
from nightshift.database.table_locks import TableLocks
from nightshift.errors import NightshiftError
from nightshift.restore import records as book
from nightshift.restore.fillers import Filler, PostgresFiller, SqliteFiller
from nightshift.restore.layout import Destination, Shape, lay_out, make
from nightshift.restore.records import Records
from nightshift.restore.request import RestoreRequest
from nightshift.restore.restorer import RETRIES, Restorer, Tally
from nightshift.restore.selection import Selection, select
from nightshift.restore.target import find, is_ours, judge, keyless
from nightshift.restore.telling import busy, differing, not_there, only_damaged, told, warned, without_a_place
from nightshift.restore.trial import WAY_OUT, try_out
from nightshift.results import Refusal, RestoreResult, Status
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.source import Bounds, StatementRefused
from nightshift.rows.sqlite import SqliteConnection
from nightshift.run import JobRun
from nightshift.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a restore needs, whichever table it is.

    Attributes:
        zone: in which a hold's day begins.
        now: aware.
    """

    database: Database
    store: Store
    limits: Limits
    listener: Listener
    zone: ZoneInfo
    now: datetime


def restore_table(way: Way, run: JobRun) -> RestoreResult:
    """Restore what `run.request` asks for.

    Raises:
        NightshiftError: something failed; its `result` holds what was committed before.
    """
    request: RestoreRequest = run.request
    started = time.monotonic()
    with ExitStack() as stack:
        locks = stack.enter_context(closing(TableLocks(way.database)))
        connection = stack.enter_context(way.database.connect())
        try:
            result = _restore(way, run, connection, locks)
        except NightshiftError as exc:
            exc.about(request.table)
            raise
        except DBAPIError as exc:
            error = refused_statement(exc)
            if sqlstate(exc) == INSUFFICIENT_PRIVILEGE and "for schema" in reason(exc):
                hint = "GRANT CREATE ON SCHEMA … TO nightshift's role, or name a table that is there with --into"
                error = NightshiftError("no table could be made", detail=reason(exc), hint=hint)
            raise error.about(request.table) from exc
    return replace(result, seconds=time.monotonic() - started)


def _restore(way: Way, run: JobRun, connection: Connection, locks: TableLocks) -> RestoreResult:
    request: RestoreRequest = run.request
    selection = select(connection, way.store.bucket, request)
    if isinstance(selection, Refusal):
        return RestoreResult(status=Status.REFUSED, table=request.table, refusal=selection)
    label = selection.label
    found = find(connection, request, label)
    if isinstance(found, Refusal):
        return RestoreResult(status=Status.REFUSED, table=label, refusal=found)
    name, table = found
    if request.into_original and not run.dry_run and locks.take([name], alone=True):
        return RestoreResult(status=Status.REFUSED, table=label, refusal=busy(name.label))
    return _restore_into(way, run, connection, selection, name, table)


def _restore_into(
    way: Way, run: JobRun, connection: Connection, selection: Selection, name: TableName, table: Insertable | None
) -> RestoreResult:
    """Restore what was selected into a table; nobody else deletes from it or restores into it meanwhile."""
    request: RestoreRequest = run.request
    label = selection.label
    facts = partial(RestoreResult, table=label, into=name.label, into_original=request.into_original)
    if table is not None and (refusal := judge(table) or is_ours(connection, request, label, table)):
        return facts(status=Status.REFUSED, refusal=refusal)
    fresh = table is None or (table.empty and not request.into_original)
    relatives, on_record = _on_record(connection, request, name, table)
    # What is on record for the original and still archived is there from before it was the original: to be taken over.
    left = [one for one in selection.chosen if request.into_original or one.key not in on_record]
    back = [one for one in selection.returned if one.key in on_record] if request.into_original else []
    hold_until = request.hold_until(way.now, way.zone)
    warnings = warned(request, selection, back, hold_until, way.now)
    facts = partial(facts, already=len(selection.chosen) - len(left) + len(back), warnings=warnings)
    if not left:
        return facts(status=Status.NOTHING, hold_until=_hold_anew(run, connection, back, hold_until))
    if refusal := keyless(request, label, table):
        return facts(status=Status.REFUSED, refusal=refusal)
    connection.rollback()  # SQLite's writers need not wait for S3
    shapes, damaged = _shapes(way.store, left)
    if not shapes:
        return only_damaged(facts(status=Status.PARTIAL, damaged=told(damaged)), damaged)
    destination = lay_out(connection, request, name, table, shapes)
    if isinstance(destination, Refusal):
        return facts(status=Status.REFUSED, refusal=destination)
    warnings += without_a_place(request, destination)
    facts = partial(facts, columns=destination.notes, warnings=warnings, hold_until=hold_until)
    if run.dry_run:
        return _foretold(way, destination, left, partial(facts, damaged=told(damaged)))
    _hold_anew(run, connection, back, hold_until)
    if table is None or table.empty:
        # SQLite's tables have no identity but their name; PostgreSQL's new one has an identity of its own.
        book.forget(connection, table.id if table else name.name, name if table else None)
    destination = make(connection, destination)
    records = Records(
        source=label,
        target=name,
        target_id=destination.table.id,
        family=relatives or (destination.table.id,),
        takes_over=request.into_original and way.database.is_postgresql and bool(on_record),
        into_original=request.into_original,
        hold_until=hold_until,
        run_id=run.run_id,
        now=way.now,
        postgresql=way.database.is_postgresql,
        schema=way.database.schema,
    )
    connection.rollback()
    known = [one for one in left if one.fingerprint in shapes]
    lost = [one for one in damaged if one.fingerprint not in shapes]
    return _fill(way, connection, destination, records, known, lost, facts, fresh=fresh)


def _foretold(
    way: Way, destination: Destination, objects: Sequence[ArchivedObject], facts: Callable[..., RestoreResult]
) -> RestoreResult:
    """What a dry run answers."""
    if refusal := _tried(way, destination, objects):
        return facts(status=Status.REFUSED, refusal=refusal)
    rows, size = sum(one.rows or 0 for one in objects), sum(one.bytes or 0 for one in objects)
    return facts(status=Status.DRY_RUN, rows=rows, objects=len(objects), bytes=size)


def _tried(way: Way, destination: Destination, objects: Sequence[ArchivedObject]) -> Refusal | None:
    """Whether the values of some objects fit the table; nobody has tried in SQLite, where it would lock the file."""
    if not destination.exists or not way.database.is_postgresql:
        return None
    left = max(1.0, way.limits.deadline - time.monotonic())
    bounds = Bounds(left, way.limits.lock_seconds, UNBOUNDED, stop=lambda: time.monotonic() > way.limits.deadline)
    with closing(PostgresConnection(way.database.target)) as connection:
        return try_out(way.store, connection, destination, objects, bounds)


def _on_record(
    connection: Connection, request: RestoreRequest, name: TableName, table: Insertable | None
) -> tuple[tuple[str, ...], frozenset[str]]:
    """What the table is in the records, and which objects it has by them; an empty table has none."""
    if table is None:
        return (), frozenset()
    identities = family(connection, name) if request.into_original else (table.id,)
    return identities, frozenset() if table.empty else book.done(connection, identities)


def _hold_anew(
    run: JobRun, connection: Connection, back: Sequence[ArchivedObject], until: datetime | None
) -> datetime | None:
    """Set the hold of objects that were there already, if one was asked for; returns what was set."""
    if run.request.hold is None or run.dry_run or not back:
        return None
    book.hold_anew(connection, [one.key for one in back], until)
    return until


def _shapes(store: Store, objects: Sequence[ArchivedObject]) -> tuple[dict[str | None, Shape], list[ObjectDamaged]]:
    """The columns of each kind of object, oldest first, read from one sound object each; and the damaged ones met."""
    shapes: dict[str | None, Shape] = {}
    damaged: list[ObjectDamaged] = []
    for one in objects:
        if one.fingerprint not in shapes:
            try:
                shapes[one.fingerprint] = prove(store, one, tries=RETRIES).columns
            except ObjectDamaged as exc:
                damaged.append(exc)
    return shapes, damaged


def _fill(
    way: Way,
    connection: Connection,
    destination: Destination,
    records: Records,
    objects: Sequence[ArchivedObject],
    lost: Sequence[ObjectDamaged],
    facts: Callable[..., RestoreResult],
    *,
    fresh: bool,
) -> RestoreResult:
    """Fill the table, and tell what came of it, whichever way it ends.

    Args:
        lost: damaged objects without any sound one of their kind.
    """
    connect = _connector(way.database, destination, always_stage=records.takes_over)
    restorer = Restorer(way.store, connect, destination, records, way.limits, way.listener, way.database.keep_lock)
    tally = restorer.tally
    tally.damaged += lost
    try:
        remaining = restorer.run(objects)
        way.database.renew(connection)
        _check(connection, destination, records, tally, fresh=fresh and not remaining)
    except DBAPIError as exc:
        error = refused_statement(exc).about(destination.table.name.label)
        error.result = _so_far(facts, tally, len(objects) + len(lost))
        raise error from exc
    except NightshiftError as exc:
        exc.result = _so_far(facts, tally, len(objects) + len(lost))
        exc.hint = exc.hint or (WAY_OUT if isinstance(exc, StatementRefused) else None)
        exc.about(destination.table.name.label)
        raise
    result = _outcome(facts, tally, remaining=remaining, status=_status(tally, remaining))
    if tally.damaged and not tally.keys and not remaining:
        return only_damaged(result, tally.damaged)
    return result


def _so_far(facts: Callable[..., RestoreResult], tally: Tally, objects: int) -> RestoreResult:
    """What stands of a run that failed."""
    left = objects - len(tally.keys) - tally.already - len(tally.damaged)
    return _outcome(facts, tally, remaining=left, status=Status.PARTIAL)


def _status(tally: Tally, remaining: int) -> Status:
    if remaining or tally.damaged:
        return Status.PARTIAL
    return Status.OK if tally.keys else Status.NOTHING


def _outcome(facts: Callable[..., RestoreResult], tally: Tally, **more: Any) -> RestoreResult:
    found = facts(**more)
    return replace(
        found,
        rows=tally.rows,
        existing=tally.existing,
        objects=len(tally.keys),
        bytes=tally.bytes,
        hold_until=found.hold_until if tally.keys else None,
        already=found.already + tally.already,
        damaged=told(tally.damaged),
        warnings=(*found.warnings, *differing(tally)),
    )


def _connector(database: Database, destination: Destination, *, always_stage: bool) -> Callable[[], Filler]:
    if database.is_postgresql:
        return lambda: PostgresFiller(PostgresConnection(database.target), destination, always_stage=always_stage)
    return lambda: SqliteFiller(SqliteConnection(database.target.path, ()), destination)


def _check(connection: Connection, destination: Destination, records: Records, tally: Tally, *, fresh: bool) -> None:
    """What we think we committed is what another connection sees: the report must not rest on a driver's word.

    Raises:
        ArchiveMismatch: it is not.
    """
    recorded = book.count(connection, records.run_id, tally.keys)
    if recorded != len(tally.keys):
        raise not_there(destination, f"{len(tally.keys)} objects were restored, {recorded} are on record")
    if fresh:
        held = int(connection.exec_driver_sql(f"SELECT count(*) FROM {destination.table.name.sql}").scalar_one())
        if held < tally.rows:
            raise not_there(destination, f"{tally.rows} rows were restored, the table holds {held}")
