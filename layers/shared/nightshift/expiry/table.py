"""Runs one policy: looks up the cascade, then deletes batch by batch until nothing is due or time is short.

If a batch meets a lock or is refused, the run tries smaller batches, down to a single row. The run leaves out a single
row that fails, and continues with the other rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.archive.context import ArchiveContext
from nightshift.archive.epochs import judge_unit
from nightshift.archive.holds import NOTHING_HELD, Holds, active_holds, watch_holds
from nightshift.archive.run_state import LOCKED
from nightshift.archive.table_guards import (
    busy_refusal,
    check_plain_times,
    duplicate_policy_refusal,
    timestamp_kind,
    unknown_holds_refusal,
)
from nightshift.archive.unarchivable import check_columns, check_sizes
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database, is_lock_timeout, refused_statement
from nightshift.database.dialect import counts_rows
from nightshift.database.lock import TableLocks
from nightshift.errors import NightshiftError
from nightshift.expiry.batch import ExpiryBatch, delete_expired_batch
from nightshift.expiry.discovery import CascadeDiscovery
from nightshift.expiry.due import DueCondition
from nightshift.expiry.file_columns import FileReference
from nightshift.expiry.file_samples import FileTally, sample_files
from nightshift.expiry.final_steps import close_table
from nightshift.expiry.graph import CascadeGraph
from nightshift.expiry.guards import policy_column
from nightshift.expiry.progress import FIRST_BATCH, BatchProgress
from nightshift.expiry.session import ControlSession, DeletionRejected, DeletionSession, LockContention
from nightshift.expiry.statements import ExpiryStatements
from nightshift.expiry.table_results import ended_result, preview_expiry, table_result
from nightshift.guards import GuardRefused
from nightshift.policy.expiry import ExpiryPolicy
from nightshift.progress_events import Listener, ignore_events
from nightshift.results.common import GuardRefusal, RunStatus
from nightshift.results.expiry import ExpiredTable
from nightshift.rows.timestamp_column import TimestampColumn
from nightshift.run import JobRun
from nightshift.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

MOST_SECONDS = 60.0
"""Time limit of a batch of several rows before it is tried again in parts."""
MOST_BUSY = 5
"""Number of consecutive locked rows after which the run stops, because another session holds many locks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryContext:
    """Everything that the run of one policy needs."""

    run: JobRun
    moment: datetime
    """Aware time; rows that expired before this time are due."""
    settings: Settings
    database: Database
    policy: ExpiryPolicy
    archive: ArchiveContext | None = None
    """Context of the archive; None if no policy archives."""
    committed: Callable[[], None] = lambda: None
    """Function that is called after each commit, because the outbox may have new entries."""
    locks: TableLocks | None = None
    """Locks on the cascade's tables; None in a dry run."""
    listener: Listener = ignore_events
    s3_client: Callable[[], S3Client]
    """Function that returns boto3's client; called if files are looked up."""
    named: Sequence[FileReference] = ()
    """Places in which rows name files, by any policy of the run."""
    seen: set[TableName] = field(default_factory=set)
    """Expiring tables of earlier policies of the run."""
    warnings: tuple[str, ...] = ()
    """Warnings that were known before the policy began; the result includes them."""


def expire_table(turn: ExpiryContext) -> tuple[ExpiredTable, FileTally]:
    """Delete the expired rows of one policy.

    A failure is not raised: the result contains the failure and the work that was committed before it.

    Returns:
        the result, and the counts of the files.
    """
    started, tally = time.monotonic(), FileTally()
    progress = BatchProgress(size=min(FIRST_BATCH, turn.settings.expire_batch))
    table = turn.policy.table
    beyond: tuple[str, ...] = ()
    try:
        with turn.database.connect() as connection:
            statements = _aim(connection, turn)
            table = statements.cascade.root.label
            for warning in statements.cascade.unindexed_edges:
                logger.warning("a reference has no index", extra={"detail": warning})
            beyond = (*turn.warnings, *_beyond(connection, turn, statements))
            run, lock_seconds = turn.run, turn.settings.expire_lock_timeout
            control: DeletionSession = ControlSession(connection, statements, run.run_id, run.as_of, lock_seconds)
            tally = sample_files(control, statements, turn.s3_client, turn.database.deadline)
            if run.dry_run:
                result, tally.queued = preview_expiry(connection, control, statements, turn.database.deadline - started)
                return replace(result, warnings=(*beyond, *result.warnings)), tally
            with _archive(turn, statements) if turn.policy.archive else nullcontext(control) as session:
                in_time = _work(session, statements, turn, progress)
            result = table_result(connection, statements, progress, started, in_time=in_time)
    except GuardRefused as refused:
        return ExpiredTable(table=table, status=RunStatus.REFUSED, refusal=refused.refusal), tally
    except LockContention as busy:  # before the first batch: there was no time to look at the files
        result = ended_result(table, progress, started, warning=str(busy.detail))
    except DBAPIError as exc:
        if is_lock_timeout(exc):
            result = ended_result(table, progress, started, warning=LOCKED)
        else:
            result = ended_result(table, progress, started, error=refused_statement(exc))
    except NightshiftError as exc:
        result = ended_result(table, progress, started, error=exc)
    tally.queued = progress.queued
    return replace(result, warnings=(*beyond, *result.warnings)), tally


def _beyond(connection: Connection, turn: ExpiryContext, statements: ExpiryStatements) -> tuple[str, ...]:
    """Returns warnings about values that the archive cannot hold; only a dry run has time to check rows' sizes."""
    if not turn.policy.archive:
        return ()
    warnings = list[str]()
    for name, node in statements.cascade.nodes.items():
        warnings += check_columns(connection, node.info)
        if turn.run.dry_run:
            condition = statements.due.is_expired if name == statements.cascade.root else "true"
            warnings += check_sizes(connection, node.info, condition)
    connection.rollback()
    return tuple(warnings)


def _aim(connection: Connection, turn: ExpiryContext) -> ExpiryStatements:
    """Look up the cascade, check the guards and lock the tables; returns the statements for the deletion.

    Raises:
        GuardRefused: the table, its column or its dependents cannot be used.
    """
    postgresql = turn.database.is_postgresql
    if postgresql:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    policy = turn.policy
    cascade = CascadeDiscovery(connection, policy, turn.settings, turn.named).discover_cascade()
    if cascade.root in turn.seen:
        raise GuardRefused.from_refusal(duplicate_policy_refusal(policy.table))
    turn.seen.add(cascade.root)
    info = cascade.nodes[cascade.root].info
    column = policy_column(info, policy.expires_at)
    kind = timestamp_kind(column, policy.epoch, postgresql=postgresql)
    if kind is None:
        raise GuardRefused(
            "wrong_type",
            f"{policy.table}.{column.name} is {column.type_name or 'of no type'}",
            "expires_at needs timestamptz, timestamp, date, or a number with `epoch`",
        )
    axis = TimestampColumn(column.name, kind, policy.zone, column.base_type)
    if refusal := check_plain_times(connection, axis, cascade.root, policy.table, turn.moment):
        raise GuardRefused.from_refusal(refusal)
    if turn.locks is not None and (taken := turn.locks.take(list(cascade.nodes))):
        raise GuardRefused.from_refusal(busy_refusal(taken.label))
    connection.rollback()  # a new snapshot shows rows that a restore committed before it released the locks
    warnings = judge_unit(connection, axis, info, policy.table)
    if isinstance(warnings, GuardRefusal):
        raise GuardRefused.from_refusal(warnings)
    statements = _statements(connection, cascade, axis, turn, warnings)
    connection.rollback()
    return statements


def _statements(
    connection: Connection, cascade: CascadeGraph, axis: TimestampColumn, turn: ExpiryContext, notes: tuple[str, ...]
) -> ExpiryStatements:
    """Returns the statements that delete the cascade and leave held rows.

    Raises:
        GuardRefused: the held rows are unknown.
    """
    postgresql, zone, now = turn.database.is_postgresql, turn.policy.zone, turn.moment
    holds: dict[TableName, Holds] = {}
    for name, node in cascade.nodes.items():
        held = active_holds(connection, node.info, zone, now, axis if name == cascade.root else None)
        if refusal := unknown_holds_refusal(name.label, held):
            raise GuardRefused.from_refusal(refusal)
        if held.condition:
            holds[name] = held
    own = holds.pop(cascade.root, NOTHING_HELD)
    restored = active_holds(connection, cascade.nodes[cascade.root].info, zone, None, axis)
    beneath = partial(cascade.carrying_conditions, {name: held.condition for name, held in holds.items()})
    # Nightshift's own statements must delete rows that are archived, find rows that are held, and count in a dry run.
    ours = turn.policy.archive or turn.run.dry_run or holds or not counts_rows(connection)
    return ExpiryStatements(
        cascade,
        DueCondition(axis, now, own, notes, beneath, restored),
        postgresql,
        left=frozenset() if ours else cascade.database_cascaded,
        dissolved=cascade.dissolved_edges if turn.policy.archive else (),
        schema=turn.database.schema,
        held=holds,
        watch=watch_holds(connection, list(cascade.nodes), now),
    )


def _archive(turn: ExpiryContext, statements: ExpiryStatements) -> AbstractContextManager[DeletionSession]:
    from nightshift.expiry.archiving import archive_session  # loads Arrow: for those who archive

    assert turn.archive is not None  # the job opens one where a policy archives
    return archive_session(turn.database, turn.archive, statements, turn.run, turn.policy.zone)


def _work(session: DeletionSession, statements: ExpiryStatements, turn: ExpiryContext, progress: BatchProgress) -> bool:
    """Delete batch after batch; returns False if the time did not suffice."""
    deadline, root = turn.database.deadline, statements.cascade.root.label
    while progress.busy_in_a_row < MOST_BUSY:
        left = deadline - time.monotonic()
        if left < 2 * progress.slowest:
            return False
        batch, started = ExpiryBatch(turn.listener), time.monotonic()
        size = max(1, min(progress.size, int(progress.size * left / 4 / progress.slowest) or 1))
        seconds = left if size == 1 else min(MOST_SECONDS, left / 3)
        turn.database.keep_lock()
        try:
            close = close_table if statements.dissolved else None
            delete_expired_batch(session, statements, batch, progress.batch_options(size, seconds), close)
        except (LockContention, DeletionRejected) as exc:
            if not batch.taken:
                progress.why.setdefault(str(exc.detail), [])
                return True  # the table itself is locked
            progress.size = size
            progress.shrink_batch(batch, exc, can_spare=bool(statements.spared_sql))
            continue
        if not batch.taken:
            return True
        progress.add_batch(batch, root, time.monotonic() - started, turn.settings.expire_batch)
        turn.committed()
    return True
