"""One table from policy to result: describe, guard, archive, tidy, tell."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from nightshift.archive import guards, survey
from nightshift.archive.archiver import Archiver
from nightshift.archive.events import ChunkEvent, Listener, Step
from nightshift.archive.holds import active_holds
from nightshift.archive.ledger import Ledger
from nightshift.archive.mover import Mover
from nightshift.archive.partitions import drop_partitions, droppable
from nightshift.archive.plan import estimate
from nightshift.archive.policy import Policy
from nightshift.archive.target import Target
from nightshift.archive.uploader import Uploader
from nightshift.archive.work import Limits, Tally
from nightshift.database import postgres, sqlite
from nightshift.database.catalog import Heap, TableName
from nightshift.database.connect import Database, is_lock_timeout, reason, refused_statement
from nightshift.database.history import completed_tables
from nightshift.database.tables import archive_object
from nightshift.database.tables import run as run_table
from nightshift.errors import ArchiveMismatch, NightshiftError
from nightshift.results import Refusal, Status, TableResult
from nightshift.rows.axis import Axis
from nightshift.rows.postgres import PostgresConnection
from nightshift.rows.sample import CsvSample
from nightshift.rows.source import RowConnection
from nightshift.rows.sqlite import SqliteConnection
from nightshift.run import JobRun

logger = logging.getLogger(__name__)

LARGE_DELETION_ROWS = 50_000
LARGE_DELETION_SHARE = 0.1
"""A table is vacuumed after a deletion that is large by either measure."""

MANY_DEAD_ROWS = 50_000
"""After this many deletions without VACUUM the search for the oldest due row keeps to newly appended pages."""

LOCKED = "rows locked by somebody else were left for the next run"
HELD = "rows of restored days are left alone until {}"
LATE = "due rows came or moved while the run went on; the next run takes them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What archiving a table needs, whichever table it is.

    Attributes:
        uploader, ledger: None in a dry run, which writes nothing.
        max_share: the deployment's limit on a run's share of a table; None: the usual one.
        seen: tables that have had their turn, under whatever spelling.
    """

    database: Database
    uploader: Uploader | None
    ledger: Ledger | None
    limits: Limits
    listener: Listener
    vacuum: bool
    max_share: float | None
    seen: set[TableName] = field(default_factory=set)


def archive_table(engine: Engine, run: JobRun, policy: Policy, sample: CsvSample) -> TableResult:
    """Archive the due rows of one policy's table.

    A failure does not raise: it is part of the result, together with what was committed before it.
    """
    started = time.monotonic()
    tally = Tally()
    target: Target | None = None
    try:
        with engine.database.connect() as connection:
            if engine.database.is_postgresql:
                # One snapshot for all that is described and guarded.
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            found = _aim(connection, engine, run, policy)
            if isinstance(found, Refusal):
                return TableResult(table=policy.table, status=Status.REFUSED, refusal=found)
            target = found
            if run.dry_run:
                return _rehearse(connection, engine, run, target, started)
            if not run.force and (refusal := _volume(connection, engine, target)):
                return _result(target, tally, Status.REFUSED, started, refusal=refusal)
            connection.rollback()
            _work(connection, engine, _archiver(engine, target, sample, tally))
            return _finish(connection, engine, target, tally, started)
    except DBAPIError as exc:
        if is_lock_timeout(exc):
            return _result(target or policy, tally, Status.PARTIAL, started, warnings=(LOCKED,))
        return _result(target or policy, tally, Status.FAILED, started, error=refused_statement(exc))
    except NightshiftError as exc:
        return _result(target or policy, tally, Status.FAILED, started, error=exc)
    except Exception as exc:
        # Not foreseen; still the other tables must have their turn.
        logger.exception("unexpected error", extra={"table": policy.table})
        error = NightshiftError("an unexpected error", detail=type(exc).__name__, hint="the log has its trace")
        return _result(target or policy, tally, Status.FAILED, started, error=error)


def _finish(connection: Connection, engine: Engine, target: Target, tally: Tally, started: float) -> TableResult:
    """After the last chunk: check the count, vacuum, and look for what is still due."""
    _check_count(engine, target, tally)
    engine.database.renew(connection)
    heaps = [heap for heap in target.info.heaps if heap.name.label in tally.deleted_by_heap]
    vacuumed, warnings = _vacuum(engine, heaps, tally) if engine.vacuum else (False, ())
    cheap = tally.locked or tally.out_of_time or vacuumed or tally.rows < MANY_DEAD_ROWS or not target.postgresql
    oldest, known = None, True
    try:
        oldest = survey.oldest_due(connection, target, None if cheap else heaps)
    except DBAPIError as exc:
        if is_lock_timeout(exc):
            raise
        known = False
        warnings = (*warnings, f"the oldest overdue row could not be looked up: {reason(exc)}")
    warnings += _held(target)
    if oldest is not None and tally.locked:
        warnings = (*warnings, LOCKED)
    elif oldest is not None and not tally.out_of_time:
        warnings = (*warnings, LATE)
    if tally.out_of_time or oldest is not None or not known:
        status = Status.PARTIAL
    else:
        status = Status.OK if tally.rows or tally.partitions else Status.NOTHING
    return _result(
        target,
        tally,
        status,
        started,
        oldest_overdue=oldest,
        vacuumed=vacuumed,
        warnings=warnings,
    )


def _held(target: Target) -> tuple[str, ...]:
    until = target.held.until
    return () if until is None else (HELD.format(f"{until.astimezone(target.axis.zone):%Y-%m-%d %H:%M}"),)


def _aim(connection: Connection, engine: Engine, run: JobRun, policy: Policy) -> Target | Refusal:
    """Describe the table and ask the guards."""
    postgresql = engine.database.is_postgresql
    describe = postgres.describe if postgresql else sqlite.describe
    info = describe(connection, policy.table, policy.timestamp)
    if refusal := guards.known_table(policy, info):
        return refusal
    assert info is not None  # known_table has refused otherwise
    if refusal := guards.usable_timestamp(policy, info, postgresql=postgresql):
        return refusal
    column = info.column(policy.timestamp)
    assert column is not None  # usable_timestamp has refused otherwise
    kind = guards.axis_kind(column, policy.epoch)
    assert kind is not None
    axis, cutoff = Axis(column.name, kind, policy.zone), policy.cutoff(run.as_of)
    version = int((connection.dialect.server_version_info or (14,))[0]) if postgresql else 0
    held = active_holds(connection, info.name, axis, run.as_of)
    target = Target(policy=policy, info=info, axis=axis, cutoff=cutoff, server_version=version, held=held)
    if info.name in engine.seen:
        return guards.repeated(policy)
    engine.seen.add(info.name)
    case = guards.Case(
        policy=policy, info=info, as_of=run.as_of, cutoff=cutoff, connection=connection, postgresql=postgresql
    )
    return guards.first_refusal(case, target) or target


def _volume(connection: Connection, engine: Engine, target: Target) -> Refusal | None:
    """The brake on abnormal volume; counts rows only where its answer can matter."""
    label = target.info.name.label
    limit = target.policy.max_share if target.policy.max_share is not None else engine.max_share
    first_time = limit is None and label not in completed_tables(connection, "cleanup")
    if first_time or _clearly_usual(connection, target, limit or guards.USUAL_SHARE):
        return None
    due, total = survey.count_due(connection, target)
    return guards.usual_volume(label, guards.Volume(due, total, limit, first_time))


def _clearly_usual(connection: Connection, target: Target, limit: float) -> bool:
    """Whether the planner's statistics alone rule out abnormal volume: an exact count reads the whole table."""
    known = target.info.rows
    return known > 0 and survey.expected_due(connection, target) < known * limit / 2


def _archiver(engine: Engine, target: Target, sample: CsvSample, tally: Tally) -> Archiver:
    assert engine.uploader is not None  # only a dry run has none
    assert engine.ledger is not None
    mover = Mover(target, engine.uploader, engine.ledger, engine.listener)
    return Archiver(mover, _connector(engine.database, target), engine.limits, tally, sample)


def _connector(database: Database, target: Target) -> Callable[[], RowConnection]:
    if database.is_postgresql:
        return partial(PostgresConnection, database.target)
    return partial(SqliteConnection, database.target.path, target.info.columns)


def _work(connection: Connection, engine: Engine, archiver: Archiver) -> None:
    """Whole partitions first, then everything else by chunks."""
    target, limits = archiver.mover.target, engine.limits
    expected = survey.expected_due(connection, target)
    whole = droppable(connection, target)
    connection.rollback()
    by_rows = [heap for heap in target.info.heaps if heap not in whole]
    by_rows += drop_partitions(archiver, whole)
    fields = survey.due_fields(connection, target, by_rows, limits.chunk_bytes, limits.workers)
    connection.rollback()
    engine.listener(ChunkEvent(step=Step.PLANNED, table=target.info.name.label, rows=expected))
    if fields:
        archiver.run(fields)


def _vacuum(engine: Engine, heaps: Sequence[Heap], tally: Tally) -> tuple[bool, tuple[str, ...]]:
    """Vacuum what lost many rows; returns whether all of that went through, and warnings."""
    if not engine.database.is_postgresql:
        return False, ()
    large = [heap for heap in heaps if _is_large(tally.deleted_by_heap[heap.name.label], heap)]
    if not large:
        return False, ()
    with engine.database.connect(autocommit=True) as connection:
        said = [survey.vacuum(connection, heap, engine.limits.deadline) for heap in large]
    warnings = tuple(warning for warning in said if warning)
    return not warnings, warnings


def _is_large(deleted: int, heap: Heap) -> bool:
    return deleted >= LARGE_DELETION_ROWS or (heap.rows > 0 and deleted / heap.rows >= LARGE_DELETION_SHARE)


def _check_count(engine: Engine, target: Target, tally: Tally) -> None:
    """What we think we committed is what another connection sees: the report must not rest on a driver's word.

    Raises:
        ArchiveMismatch: it is not.
    """
    assert engine.ledger is not None  # only a dry run has none
    objects, rows = engine.ledger.count(tally.keys)
    if (objects, rows) != (tally.objects, tally.rows):
        raise ArchiveMismatch(
            "the ledger does not show what this run committed",
            detail=f"{target.info.name.label}: {tally.objects} objects, {tally.rows} rows; ledger {objects}, {rows}",
            hint="something between us and the database undid a COMMIT; look at its log before the next run",
        )


def _result(of: Target | Policy, tally: Tally, status: Status, started: float, **more: Any) -> TableResult:
    """The facts of a table, with what was committed so far."""
    return TableResult(
        table=of.info.name.label if isinstance(of, Target) else of.table,
        status=status,
        cutoff=of.cutoff if isinstance(of, Target) else None,
        archived_rows=tally.rows,
        deleted_rows=tally.rows,
        objects=tally.objects,
        bytes=tally.bytes,
        seconds=time.monotonic() - started,
        partitions_dropped=tally.partitions,
        keys=tuple(sorted(tally.keys)[:10]),
        **more,
    )


def _rehearse(connection: Connection, engine: Engine, run: JobRun, target: Target, started: float) -> TableResult:
    """The dry run of one table: counts, estimates, and the guard for volume as it would decide."""
    tables = set(inspect(connection).get_table_names())
    expected = estimate(
        connection, target, chunk_bytes=engine.limits.chunk_bytes, ledger_exists=archive_object.name in tables
    )
    refusal = None
    if not run.force and run_table.name in tables:
        refusal = _volume(connection, engine, target)
    return _result(
        target,
        Tally(),
        Status.REFUSED if refusal else Status.DRY_RUN,
        started,
        oldest_overdue=survey.oldest_due(connection, target),
        warnings=_held(target),
        refusal=refusal,
        estimate=expected,
    )
