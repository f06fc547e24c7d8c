"""Processes one policy: reads the catalog, runs the guards, archives due rows, vacuums, and returns the result."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.archive import guards, statistics
from nightshift.archive.context import ArchiveContext
from nightshift.archive.epochs import judge_unit
from nightshift.archive.holds import active_holds, watch_holds
from nightshift.archive.run_state import LOCKED, ArchiveStats, build_table_result, hold_warnings
from nightshift.archive.table_guards import busy_refusal, check_table_known, duplicate_policy_refusal, timestamp_kind
from nightshift.archive.target import CleanupTarget
from nightshift.archive.unarchivable import check_columns, check_sizes
from nightshift.archive.volume import check_volume, estimate_due_rows
from nightshift.database import postgres, sqlite
from nightshift.database.connect import is_lock_timeout, refused_statement
from nightshift.errors import NightshiftError, RowsReturn, RowsVanish
from nightshift.policy.retention import RetentionPolicy
from nightshift.results.cleanup import TableResult
from nightshift.results.common import GuardRefusal, RunStatus
from nightshift.rows.timestamp_column import TimestampColumn
from nightshift.run import JobRun

if TYPE_CHECKING:
    from nightshift.rows.sample import CsvSample

logger = logging.getLogger(__name__)


def archive_table(
    context: ArchiveContext, run: JobRun, policy: RetentionPolicy, sample: CsvSample | None = None
) -> TableResult:
    """Archive the due rows of one policy's table, and return the result.

    A failure raises no exception. The result contains the failure and the work committed before the failure.
    """
    started = time.monotonic()
    tally = ArchiveStats()
    target: CleanupTarget | None = None
    try:
        with context.database.connect() as connection, context.lock_table():
            if context.database.is_postgresql:
                _begin(connection)
            aim = _aim(connection, context, run, policy)
            if isinstance(aim, GuardRefusal):
                return TableResult(table=policy.table, status=RunStatus.REFUSED, refusal=aim)
            target, notes = aim
            if run.dry_run:
                return _dry_run(connection, context, run, target, started, notes)
            if not run.force and (refusal := _volume(connection, context, target)):
                return build_table_result(target, tally, RunStatus.REFUSED, started, refusal=refusal)
            connection.rollback()
            from nightshift.archive.due_rows import process_due_rows  # loads Arrow: not for a dry run

            return process_due_rows(connection, context, target, sample, tally, started)
    except Exception as exc:
        return build_table_result(target or policy, tally, started=started, **_failure(exc, policy.table))


def _failure(exc: Exception, table: str) -> dict[str, Any]:
    """Returns the fields with which a table's result describes a failure."""
    if isinstance(exc, DBAPIError):
        if is_lock_timeout(exc):
            return {"status": RunStatus.PARTIAL, "warnings": (LOCKED,)}
        return {"status": RunStatus.FAILED, "error": refused_statement(exc).about(table)}
    if isinstance(exc, RowsReturn | RowsVanish):
        guard = "returning_rows" if isinstance(exc, RowsReturn) else "vanishing_rows"
        refusal = GuardRefusal(guard=guard, message=exc.message, hint=exc.hint or "")
        return {"status": RunStatus.REFUSED, "refusal": refusal}
    if isinstance(exc, NightshiftError):
        return {"status": RunStatus.FAILED, "error": exc.about(table)}
    # The error was not foreseen. The run must still process the other tables.
    logger.error("unexpected error", exc_info=exc, extra={"table": table})
    error = NightshiftError("an unexpected error", detail=type(exc).__name__, hint="the log has its trace")
    return {"status": RunStatus.FAILED, "error": error}


def _aim(
    connection: Connection, context: ArchiveContext, run: JobRun, policy: RetentionPolicy
) -> tuple[CleanupTarget, list[str]] | GuardRefusal:
    """Describe the table and run the guards. Returns the target and the guards' notes for a dry run, or a refusal."""
    postgresql = context.database.is_postgresql
    describe = postgres.describe_table if postgresql else sqlite.describe_table
    info = describe(connection, policy.table, policy.timestamp)
    if refusal := check_table_known(policy.table, info):
        return refusal
    assert info is not None  # check_table_known has refused otherwise
    if refusal := guards.check_timestamp_column(policy, info, postgresql=postgresql):
        return refusal
    column = info.column(policy.timestamp)
    kind = timestamp_kind(column, policy.epoch, postgresql=postgresql) if column else None
    assert column is not None  # check_timestamp_column has refused otherwise
    assert kind is not None
    axis, cutoff = TimestampColumn(column.name, kind, policy.zone, column.base_type), policy.cutoff(run.as_of)
    version = int((connection.dialect.server_version_info or (14,))[0]) if postgresql else 0
    if context.locks is not None and context.locks.take([info.name]) is not None:
        return busy_refusal(info.name.label)
    if postgresql:
        _begin(connection)  # a new snapshot, which shows the rows of a restore that held the table's lock before
    now = min(run.as_of, context.now)  # a hold must be over by both clocks
    target = CleanupTarget(
        policy=policy,
        info=info,
        axis=axis,
        cutoff=cutoff,
        server_version=version,
        held=active_holds(connection, info, policy.zone, now, axis),
        watch=watch_holds(connection, [info.name], now),
    )
    if info.name in context.seen:
        return duplicate_policy_refusal(policy.table)
    context.seen.add(info.name)
    guarded = guards.GuardContext(target=target, connection=connection, leaving=context.leaving, later=context.later)
    if refusal := guards.first_refusal(guarded):
        return refusal
    warnings = judge_unit(connection, axis, info, policy.table)
    if isinstance(warnings, GuardRefusal):
        return warnings
    # Only a dry run has time to check rows' sizes.
    sizes = check_sizes(connection, info, target.due_condition) if run.dry_run else ()
    return replace(target, beyond=check_columns(connection, info) + sizes, notes=warnings), guarded.notes


def _begin(connection: Connection) -> None:
    """Begin a transaction with one snapshot for describing and checking the table."""
    connection.rollback()
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def _volume(connection: Connection, context: ArchiveContext, target: CleanupTarget) -> GuardRefusal | None:
    """Refuse an abnormal share of due rows, by the policy's limit or else the deployment's limit."""
    limit = target.policy.max_share if target.policy.max_share is not None else context.max_share
    return check_volume(connection, target, limit)


def _dry_run(
    connection: Connection,
    context: ArchiveContext,
    run: JobRun,
    target: CleanupTarget,
    started: float,
    notes: Sequence[str],
) -> TableResult:
    """Returns the result of a table's dry run: counts, estimates, and the refusal of an abnormal share of due rows."""
    estimate = estimate_due_rows(connection, target, chunk_bytes=context.limits.chunk_bytes)
    refusal = None if run.force else _volume(connection, context, target)
    if refusal is None:
        context.leaving[target.info.name.label] = target.due_condition
    return build_table_result(
        target,
        ArchiveStats(),
        RunStatus.REFUSED if refusal else RunStatus.DRY_RUN,
        started,
        oldest_overdue=statistics.oldest_due(connection, target),
        warnings=(*notes, *hold_warnings(target.held, target.axis.zone), *target.notes),
        refusal=refusal,
        estimate=estimate,
    )
