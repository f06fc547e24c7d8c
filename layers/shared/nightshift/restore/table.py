"""Runs a restore: selects objects, checks and plans the table, fills it, and returns the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.chunk_workers import UNBOUNDED
from nightshift.archive.inventory import ArchivedObject
from nightshift.archive.object_verification import ObjectDamaged, verify_object
from nightshift.database.catalog import TableName
from nightshift.database.connect import INSUFFICIENT_PRIVILEGE, refused_statement, server_message, sqlstate
from nightshift.database.insertable import InsertTarget, partition_family
from nightshift.database.lock import TableLocks
from nightshift.errors import NightshiftError
from nightshift.restore import records as book
from nightshift.restore.destination import ColumnSet, RestoreDestination, make_destination, plan_destination
from nightshift.restore.outcome import (
    build_result,
    busy_refusal,
    damaged_object_warnings,
    dropped_column_warnings,
    not_there,
    only_damaged,
    partial_result,
    restore_status,
    selection_warnings,
)
from nightshift.restore.records import RestoreRecords
from nightshift.restore.request import RestoreRequest
from nightshift.restore.restorer import RETRIES, ObjectRestorer, RestoreContext, RestoreStats
from nightshift.restore.row_loaders import loader_factory
from nightshift.restore.selection import ObjectSelection, select_objects
from nightshift.restore.target import check_has_key, check_known_rows, check_target, find_target
from nightshift.restore.trial import WAY_OUT, try_out
from nightshift.results.common import GuardRefusal, RunStatus
from nightshift.results.restore import RestoreResult
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.row_connection import StatementRefused, TransactionLimits
from nightshift.run import JobRun
from nightshift.store import ObjectStore


def restore_table(context: RestoreContext, run: JobRun) -> RestoreResult:
    """Run the restore that `run.request` describes.

    Raises:
        NightshiftError: the restore failed. The error's `result` holds the work committed before the failure.
    """
    request: RestoreRequest = run.request
    started = time.monotonic()
    with ExitStack() as stack:
        locks = stack.enter_context(closing(TableLocks(context.database)))
        connection = stack.enter_context(context.database.connect())
        try:
            result = _restore(context, run, connection, locks)
        except NightshiftError as exc:
            exc.about(request.table)
            raise
        except DBAPIError as exc:
            error = refused_statement(exc)
            if sqlstate(exc) == INSUFFICIENT_PRIVILEGE and "for schema" in server_message(exc):
                hint = "GRANT CREATE ON SCHEMA … TO nightshift's role, or name a table that is there with --into"
                error = NightshiftError("no table could be made", detail=server_message(exc), hint=hint)
            raise error.about(request.table) from exc
    return replace(result, seconds=time.monotonic() - started)


def _restore(context: RestoreContext, run: JobRun, connection: Connection, locks: TableLocks) -> RestoreResult:
    request: RestoreRequest = run.request
    selection = select_objects(connection, context.store.bucket, request)
    if isinstance(selection, GuardRefusal):
        return RestoreResult(status=RunStatus.REFUSED, table=request.table, refusal=selection)
    label = selection.label
    found = find_target(connection, request, label)
    if isinstance(found, GuardRefusal):
        return RestoreResult(status=RunStatus.REFUSED, table=label, refusal=found)
    name, table = found
    if request.into_original and not run.dry_run and locks.take([name], alone=True):
        return RestoreResult(status=RunStatus.REFUSED, table=label, refusal=busy_refusal(name.label))
    return _restore_into(context, run, connection, selection, name, table)


def _restore_into(
    context: RestoreContext,
    run: JobRun,
    connection: Connection,
    selection: ObjectSelection,
    name: TableName,
    table: InsertTarget | None,
) -> RestoreResult:
    """Restore the selected objects into a table. The caller has locked the original against other runs."""
    request: RestoreRequest = run.request
    label = selection.label
    facts = partial(RestoreResult, table=label, into=name.label, into_original=request.into_original)
    if table is not None and (refusal := check_target(table) or check_known_rows(connection, request, label, table)):
        return facts(status=RunStatus.REFUSED, refusal=refusal)
    fresh = table is None or (table.empty and not request.into_original)
    relatives, on_record = _on_record(connection, request, name, table)
    # An archived object that is on record for the original was restored before the table became the original. Such
    # objects are taken over.
    left = [archived for archived in selection.chosen if request.into_original or archived.key not in on_record]
    back = [archived for archived in selection.returned if archived.key in on_record] if request.into_original else []
    hold_until = request.hold_until(context.now, context.zone)
    warnings = selection_warnings(request, selection, back, hold_until, context.now)
    facts = partial(facts, already=len(selection.chosen) - len(left) + len(back), warnings=warnings)
    if not left:
        return facts(status=RunStatus.NOTHING, hold_until=_hold_anew(run, connection, back, hold_until))
    if refusal := check_has_key(request, label, table):
        return facts(status=RunStatus.REFUSED, refusal=refusal)
    connection.rollback()  # SQLite's writers need not wait for S3
    shapes, damaged = _shapes(context.store, left)
    if not shapes:
        return only_damaged(facts(status=RunStatus.PARTIAL, damaged=damaged_object_warnings(damaged)), damaged)
    destination = plan_destination(connection, request, name, table, shapes)
    if isinstance(destination, GuardRefusal):
        return facts(status=RunStatus.REFUSED, refusal=destination)
    warnings += dropped_column_warnings(request, destination)
    facts = partial(facts, columns=destination.notes, warnings=warnings, hold_until=hold_until)
    if run.dry_run:
        return _foretold(context, destination, left, partial(facts, damaged=damaged_object_warnings(damaged)))
    _hold_anew(run, connection, back, hold_until)
    if table is None or table.empty:
        # A SQLite table is identified by its name; a new PostgreSQL table has a new identity.
        book.forget_objects(connection, table.id if table else name.name, name if table else None)
    destination = make_destination(connection, destination)
    records = RestoreRecords(
        source=label,
        target=name,
        target_id=destination.table.id,
        family=relatives or (destination.table.id,),
        takes_over=request.into_original and context.database.is_postgresql and bool(on_record),
        into_original=request.into_original,
        hold_until=hold_until,
        run_id=run.run_id,
        now=context.now,
        postgresql=context.database.is_postgresql,
        schema=context.database.schema,
    )
    connection.rollback()
    known = [archived for archived in left if archived.fingerprint in shapes]
    lost = [archived for archived in damaged if archived.fingerprint not in shapes]
    return _fill(context, connection, destination, records, known, lost, facts, fresh=fresh)


def _foretold(
    context: RestoreContext,
    destination: RestoreDestination,
    objects: Sequence[ArchivedObject],
    facts: Callable[..., RestoreResult],
) -> RestoreResult:
    """Returns the result of a dry run."""
    if refusal := _tried(context, destination, objects):
        return facts(status=RunStatus.REFUSED, refusal=refusal)
    rows, size = sum(archived.rows or 0 for archived in objects), sum(archived.bytes or 0 for archived in objects)
    return facts(status=RunStatus.DRY_RUN, rows=rows, objects=len(objects), bytes=size)


def _tried(
    context: RestoreContext, destination: RestoreDestination, objects: Sequence[ArchivedObject]
) -> GuardRefusal | None:
    """Check that the values of some objects fit the table. Not in SQLite, where the check would lock the file."""
    if not destination.exists or not context.database.is_postgresql:
        return None
    left = max(1.0, context.limits.deadline - time.monotonic())
    bounds = TransactionLimits(
        left, context.limits.lock_seconds, UNBOUNDED, stop=lambda: time.monotonic() > context.limits.deadline
    )
    with closing(PostgresConnection(context.database.target)) as connection:
        return try_out(context.store, connection, destination, objects, bounds)


def _on_record(
    connection: Connection, request: RestoreRequest, name: TableName, table: InsertTarget | None
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Returns the table's identities in the records, and the objects on record for them. An empty table has none."""
    if table is None:
        return (), frozenset()
    identities = partition_family(connection, name) if request.into_original else (table.id,)
    return identities, frozenset() if table.empty else book.mark_done(connection, identities)


def _hold_anew(
    run: JobRun, connection: Connection, back: Sequence[ArchivedObject], until: datetime | None
) -> datetime | None:
    """Set the requested hold on objects that are in the original already. Returns its end; None: no hold was set."""
    if run.request.hold is None or run.dry_run or not back:
        return None
    book.renew_hold(connection, [archived.key for archived in back], until)
    return until


def _shapes(
    store: ObjectStore, objects: Sequence[ArchivedObject]
) -> tuple[dict[str | None, ColumnSet], list[ObjectDamaged]]:
    """Returns the sets of archived columns, by fingerprint, oldest first, and the damaged objects that were read.

    Each set is read from the first undamaged object with this fingerprint.
    """
    shapes: dict[str | None, ColumnSet] = {}
    damaged: list[ObjectDamaged] = []
    for archived in objects:
        if archived.fingerprint not in shapes:
            try:
                shapes[archived.fingerprint] = verify_object(store, archived, tries=RETRIES).columns
            except ObjectDamaged as exc:
                damaged.append(exc)
    return shapes, damaged


def _fill(
    context: RestoreContext,
    connection: Connection,
    destination: RestoreDestination,
    records: RestoreRecords,
    objects: Sequence[ArchivedObject],
    lost: Sequence[ObjectDamaged],
    facts: Callable[..., RestoreResult],
    *,
    fresh: bool,
) -> RestoreResult:
    """Fill the table, and return the result. After a failure the result is attached to the error.

    Args:
        lost: damaged objects whose fingerprint no undamaged object has.
    """
    connect = loader_factory(context.database, destination, always_stage=records.takes_over)
    restorer = ObjectRestorer(context, connect, destination, records)
    tally = restorer.tally
    tally.damaged += lost
    try:
        remaining = restorer.restore_objects(objects)
        context.database.refresh_timeouts(connection)
        _check(connection, destination, records, tally, fresh=fresh and not remaining)
    except DBAPIError as exc:
        error = refused_statement(exc).about(destination.table.name.label)
        error.result = partial_result(facts, tally, len(objects) + len(lost))
        raise error from exc
    except NightshiftError as exc:
        exc.result = partial_result(facts, tally, len(objects) + len(lost))
        exc.hint = exc.hint or (WAY_OUT if isinstance(exc, StatementRefused) else None)
        exc.about(destination.table.name.label)
        raise
    result = build_result(facts, tally, remaining=remaining, status=restore_status(tally, remaining))
    if tally.damaged and not tally.keys and not remaining:
        return only_damaged(result, tally.damaged)
    return result


def _check(
    connection: Connection,
    destination: RestoreDestination,
    records: RestoreRecords,
    tally: RestoreStats,
    *,
    fresh: bool,
) -> None:
    """Check the committed counts over another connection, so that the result does not depend on a driver's answers.

    Raises:
        ArchiveMismatch: the counts differ.
    """
    recorded = book.count_objects(connection, records.run_id, tally.keys)
    if recorded != len(tally.keys):
        raise not_there(destination, f"{len(tally.keys)} objects were restored, {recorded} are on record")
    if fresh:
        held = int(connection.exec_driver_sql(f"SELECT count(*) FROM {destination.table.name.sql}").scalar_one())
        if held < tally.rows:
            raise not_there(destination, f"{tally.rows} rows were restored, the table holds {held}")
