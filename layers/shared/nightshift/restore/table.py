"""One restore from request to result: select objects, judge and lay out the table, fill it, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import Listener
from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.proof import ObjectDamaged, prove
from nightshift.archive.work import Limits
from nightshift.database.connect import Database, reason, refused_statement
from nightshift.database.lock import run_lock
from nightshift.errors import ArchiveMismatch, NightshiftError
from nightshift.restore import records as book
from nightshift.restore.fillers import Filler, PostgresFiller, SqliteFiller
from nightshift.restore.layout import Destination, Shape, lay_out, make
from nightshift.restore.records import Records
from nightshift.restore.request import RestoreRequest
from nightshift.restore.restorer import RETRIES, Restorer, Tally
from nightshift.restore.selection import Selection, select
from nightshift.restore.target import find, is_ours, judge
from nightshift.restore.telling import differing, only_damaged, told, without_a_place
from nightshift.results import Refusal, RestoreResult, Status
from nightshift.rows.postgres import PostgresConnection
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
        if request.into_original and not run.dry_run and not stack.enter_context(run_lock(way.database, "cleanup")):
            return RestoreResult(status=Status.REFUSED, table=request.table, refusal=_BUSY)
        connection = stack.enter_context(way.database.connect())
        try:
            result = _restore(way, run, request, connection)
        except DBAPIError as exc:
            raise NightshiftError(
                "the database refused a statement",
                detail=reason(exc),
                hint="to make a table nightshift's role needs CREATE on the schema; see the database's log",
            ) from exc
    return replace(result, seconds=time.monotonic() - started)


_BUSY = Refusal(
    guard="busy",
    message="a cleanup is in progress, and would take rows back as they arrive",
    hint="try again when it is done, or restore into a table of its own",
)


def _restore(way: Way, run: JobRun, request: RestoreRequest, connection: Connection) -> RestoreResult:
    selection = select(connection, way.store.bucket, request)
    if isinstance(selection, Refusal):
        return RestoreResult(status=Status.REFUSED, table=request.table, refusal=selection)
    label = selection.label
    found = find(connection, request, label)
    if isinstance(found, Refusal):
        return RestoreResult(status=Status.REFUSED, table=label, refusal=found)
    name, table = found
    facts = partial(RestoreResult, table=label, into=name.label, into_original=request.into_original)
    if table is not None and (refusal := judge(table) or is_ours(connection, request, label, table)):
        return facts(status=Status.REFUSED, refusal=refusal)
    fresh = table is None or (table.empty and not request.into_original)
    # An object that is on record for the original is there under another name: it has to leave the archive.
    done = frozenset() if fresh or table is None or request.into_original else book.done(connection, table.id)
    left = [one for one in selection.chosen if one.key not in done]
    hold_until = request.hold_until(way.now, way.zone)
    warnings = _warned(way, run, request, connection, selection, hold_until)
    already = len(selection.chosen) - len(left) + (len(selection.returned) if request.into_original else 0)
    facts = partial(facts, already=already, hold_until=hold_until, warnings=warnings)
    if not left:
        return facts(status=Status.NOTHING)
    connection.rollback()  # SQLite's writers need not wait for S3
    shapes, damaged = _shapes(way.store, left)
    if not shapes:
        return only_damaged(facts(status=Status.PARTIAL, damaged=told(damaged)), damaged)
    destination = lay_out(connection, request, name, table, shapes)
    if isinstance(destination, Refusal):
        return facts(status=Status.REFUSED, refusal=destination)
    warnings += without_a_place(request, destination)
    facts = partial(facts, columns=destination.notes, warnings=warnings)
    if run.dry_run:
        rows, size = sum(one.rows or 0 for one in left), sum(one.bytes or 0 for one in left)
        return facts(status=Status.DRY_RUN, rows=rows, objects=len(left), bytes=size, damaged=told(damaged))
    if fresh:
        # SQLite's tables have no identity but their name; PostgreSQL's new one has an identity of its own.
        book.forget(connection, table.id if table else name.name, name if table else None)
    destination = make(connection, destination)
    records = Records(
        source=label,
        target=name,
        target_id=destination.table.id,
        into_original=request.into_original,
        hold_until=hold_until,
        run_id=run.run_id,
        now=way.now,
        postgresql=way.database.is_postgresql,
    )
    connection.rollback()
    known = [one for one in left if one.fingerprint in shapes]
    lost = [one for one in damaged if one.fingerprint not in shapes]
    return _fill(way, connection, destination, records, known, lost, facts, fresh=fresh)


def _warned(
    way: Way,
    run: JobRun,
    request: RestoreRequest,
    connection: Connection,
    selection: Selection,
    hold_until: datetime | None,
) -> tuple[str, ...]:
    """What the operator should know of the selection; a hold that was asked for is set on what is back already, too."""
    back = len(selection.returned)
    if not request.into_original:
        elsewhere = f"{back} objects are back in {selection.label} and were left out; name them to restore them here"
        return (elsewhere,) if back else ()
    warnings = []
    if hold_until is not None and hold_until <= way.now:
        warnings.append("the hold is over already: the next cleanup may take the rows again")
    if back and request.hold is not None and not run.dry_run:
        book.hold_longer(connection, [one.key for one in selection.returned], hold_until)
        warnings.append(f"{back} objects were there already; their hold is set anew")
    return tuple(warnings)


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
    connect = _connector(way.database, destination)
    restorer = Restorer(way.store, connect, destination, records, way.limits, way.listener)
    tally = restorer.tally
    tally.damaged += lost
    try:
        remaining = restorer.run(objects)
        way.database.renew(connection)
        _check(connection, destination, records, tally, fresh=fresh and not remaining)
    except DBAPIError as exc:
        error = refused_statement(exc)
        error.result = _so_far(facts, tally, len(objects) + len(lost))
        raise error from exc
    except NightshiftError as exc:
        exc.result = _so_far(facts, tally, len(objects) + len(lost))
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
        already=found.already + tally.already,
        damaged=told(tally.damaged),
        warnings=(*found.warnings, *differing(tally)),
    )


def _connector(database: Database, destination: Destination) -> Callable[[], Filler]:
    if database.is_postgresql:
        return lambda: PostgresFiller(PostgresConnection(database.target), destination)
    return lambda: SqliteFiller(SqliteConnection(database.target.path, ()), destination)


def _check(connection: Connection, destination: Destination, records: Records, tally: Tally, *, fresh: bool) -> None:
    """What we think we committed is what another connection sees: the report must not rest on a driver's word.

    Raises:
        ArchiveMismatch: it is not.
    """
    recorded = book.count(connection, records.run_id, tally.keys)
    if recorded != len(tally.keys):
        raise _not_there(destination, f"{len(tally.keys)} objects were restored, {recorded} are on record")
    if fresh:
        held = int(connection.exec_driver_sql(f"SELECT count(*) FROM {destination.table.name.sql}").scalar_one())
        if held < tally.rows:
            raise _not_there(destination, f"{tally.rows} rows were restored, the table holds {held}")


def _not_there(destination: Destination, detail: str) -> ArchiveMismatch:
    return ArchiveMismatch(
        "the table does not show what this run restored",
        detail=f"{destination.table.name.label}: {detail}",
        hint="something between us and the database undid a COMMIT, or somebody deleted rows meanwhile",
    )
