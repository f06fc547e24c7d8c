"""One policy's turn: look the cascade up, then batch by batch until nothing is due or time is short.

A batch that meets a lock or is refused is tried again in smaller parts, down to the single row that is in the way. That
one is left out, and everything else goes on.
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

from nightshift.archive.epochs import judge_unit
from nightshift.archive.events import Listener, ignore
from nightshift.archive.holds import NOTHING_HELD, Holds, active_holds, watch
from nightshift.archive.outcome import LOCKED
from nightshift.archive.table import Engine
from nightshift.archive.table_guards import axis_kind, busy, plain_times, repeated, unknown_holds
from nightshift.archive.unarchivable import check_columns, check_sizes
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database, is_lock_timeout, refused_statement
from nightshift.database.postgres_access import counts_rows
from nightshift.database.table_locks import TableLocks
from nightshift.errors import NightshiftError
from nightshift.expiry.batch import Batch, expire
from nightshift.expiry.closing import close
from nightshift.expiry.discovery import Discovery
from nightshift.expiry.due import Due, count_due, oldest_due
from nightshift.expiry.graph import Cascade, Named
from nightshift.expiry.guards import Refused
from nightshift.expiry.progress import FIRST_BATCH, Progress
from nightshift.expiry.rehearsal import held_rows, rehearse
from nightshift.expiry.sampling import FileTally, sample_files
from nightshift.expiry.session import Busy, ControlSession, Rejected, Session
from nightshift.expiry.statements import Statements
from nightshift.policy.expiry import Expiry
from nightshift.results import ExpiredTable, Status
from nightshift.rows.axis import Axis
from nightshift.run import JobRun
from nightshift.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

MOST_SECONDS = 60.0
"""What a batch of several rows may take before it is tried again in parts."""
MOST_BUSY = 5
"""Locked rows in a row before the run stops trying: somebody holds more than single ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one policy's turn needs."""

    run: JobRun
    moment: datetime
    """What had expired by then is due; aware."""
    settings: Settings
    database: Database
    policy: Expiry
    engine: Engine | None = None
    """The archive's; None where nothing is archived."""
    committed: Callable[[], None] = lambda: None
    """Called after each commit: the outbox may have grown."""
    locks: TableLocks | None = None
    """None in a dry run."""
    listener: Listener = ignore
    s3_client: Callable[[], S3Client]
    """Gives boto3's client; asked where files are looked up."""
    named: Sequence[Named] = ()
    """Where rows name files, by every policy of the run."""
    seen: set[TableName] = field(default_factory=set)
    """Tables that earlier policies of the run were about."""
    warnings: tuple[str, ...] = ()
    """Known before the turn; part of its result."""


def expire_table(turn: Turn) -> tuple[ExpiredTable, FileTally]:
    """Delete what has expired.

    A failure does not raise: it is part of the result, together with what was committed before it.

    Returns:
        the result, and what is known of the files.
    """
    started, tally = time.monotonic(), FileTally()
    progress = Progress(size=min(FIRST_BATCH, turn.settings.expire_batch))
    table = turn.policy.table
    beyond: tuple[str, ...] = ()
    try:
        with turn.database.connect() as connection:
            statements = _aim(connection, turn)
            table = statements.cascade.root.label
            for warning in statements.cascade.unindexed:
                logger.warning("a reference has no index", extra={"detail": warning})
            beyond = (*turn.warnings, *_beyond(connection, turn, statements))
            control = _control(connection, turn, statements)
            tally = sample_files(control, statements, turn.s3_client, turn.database.deadline)
            if turn.run.dry_run:
                result, tally.queued = rehearse(connection, control, statements, turn.database.deadline - started)
                return replace(result, warnings=(*beyond, *result.warnings)), tally
            with _archive(turn, statements) if turn.policy.archive else nullcontext(control) as session:
                in_time = _work(session, statements, turn, progress)
            result = _told(connection, statements, progress, started, in_time=in_time)
    except Refused as refused:
        return ExpiredTable(table=table, status=Status.REFUSED, refusal=refused.refusal), tally
    except Busy as busy:  # before the first batch: there was no time to look at the files
        result = _stopped(table, progress, started, str(busy.detail))
    except DBAPIError as exc:
        if is_lock_timeout(exc):
            result = _stopped(table, progress, started, LOCKED)
        else:
            result = _failed(table, progress, started, refused_statement(exc))
    except NightshiftError as exc:
        result = _failed(table, progress, started, exc)
    tally.queued = progress.queued
    return replace(result, warnings=(*beyond, *result.warnings)), tally


def _beyond(connection: Connection, turn: Turn, statements: Statements) -> tuple[str, ...]:
    """What the archive cannot hold of the cascade; only a dry run has the time to look at rows' sizes."""
    if not turn.policy.archive:
        return ()
    cascade, said = statements.cascade, list[str]()
    for node in cascade.nodes.values():
        said += check_columns(connection, node.info)
        if turn.run.dry_run:
            said += check_sizes(connection, node.info, statements.due.expired if node.name == cascade.root else "true")
    connection.rollback()
    return tuple(said)


def _aim(connection: Connection, turn: Turn) -> Statements:
    """Look everything up, in one snapshot.

    Raises:
        Refused: the table, its column or what hangs on it cannot be used.
    """
    postgresql = turn.database.is_postgresql
    if postgresql:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    policy = turn.policy
    cascade = Discovery(connection, policy, turn.settings, turn.named).cascade()
    if cascade.root in turn.seen:
        raise Refused.of(repeated(policy.table))
    turn.seen.add(cascade.root)
    info = cascade.nodes[cascade.root].info
    column = info.column(policy.expires_at)
    if column is None:
        names = ", ".join(c.name for c in info.columns[:20])
        raise Refused("unknown_column", f"{policy.table} has no column {policy.expires_at}", f"its columns: {names}")
    kind = axis_kind(column, policy.epoch, postgresql=postgresql)
    if kind is None:
        raise Refused(
            "wrong_type",
            f"{policy.table}.{column.name} is {column.type_name or 'of no type'}",
            "expires_at needs timestamptz, timestamp, date, or a number with `epoch`",
        )
    axis = Axis(column.name, kind, policy.zone, column.base_type)
    if refusal := plain_times(connection, axis, cascade.root, policy.table, turn.moment):
        raise Refused.of(refusal)
    if turn.locks is not None and (taken := turn.locks.take(list(cascade.nodes))):
        raise Refused.of(busy(taken.label))
    connection.rollback()  # what a restore has brought until it let go of the tables must be seen
    judgement = judge_unit(connection, axis, info, policy.table)
    if judgement.refusal:
        raise Refused.of(judgement.refusal)
    statements = _statements(connection, cascade, axis, turn, judgement.warnings)
    connection.rollback()
    return statements


def _statements(connection: Connection, cascade: Cascade, axis: Axis, turn: Turn, notes: tuple[str, ...]) -> Statements:
    """What is to be deleted, but for what is held.

    Raises:
        Refused: nobody can tell which rows are held.
    """
    postgresql, zone, now = turn.database.is_postgresql, turn.policy.zone, turn.moment
    holds: dict[TableName, Holds] = {}
    for name, node in cascade.nodes.items():
        held = active_holds(connection, node.info, zone, now, axis if name == cascade.root else None)
        if refusal := unknown_holds(name.label, held):
            raise Refused.of(refusal)
        if held.condition:
            holds[name] = held
    own = holds.pop(cascade.root, NOTHING_HELD)
    restored = active_holds(connection, cascade.nodes[cascade.root].info, zone, None, axis)
    beneath = partial(cascade.carrying, {name: held.condition for name, held in holds.items()})
    # What is archived must be returned by a statement of ours, what is held be found, and a dry run looks at every row.
    ours = not postgresql or turn.policy.archive or turn.run.dry_run or holds or not counts_rows(connection)
    return Statements(
        cascade,
        Due(axis, now, own, notes, beneath, restored),
        postgresql,
        left=frozenset() if ours else cascade.by_itself,
        dissolved=cascade.dissolved if turn.policy.archive else (),
        schema=turn.database.schema,
        held=holds,
        watch=watch(connection, list(cascade.nodes), now),
    )


def _control(connection: Connection, turn: Turn, statements: Statements) -> Session:
    run, settings = turn.run, turn.settings
    return ControlSession(connection, statements, run.run_id, run.as_of, settings.expire_lock_timeout)


def _archive(turn: Turn, statements: Statements) -> AbstractContextManager[Session]:
    from nightshift.expiry.archiving import archive_session  # loads Arrow: for those who archive

    assert turn.engine is not None  # the job opens one where a policy archives
    return archive_session(turn.database, turn.engine, statements, turn.run, turn.policy.zone)


def _work(session: Session, statements: Statements, turn: Turn, progress: Progress) -> bool:
    """Batch after batch; returns whether there was time for all of them."""
    deadline, root = turn.database.deadline, statements.cascade.root.label
    while progress.busy_in_a_row < MOST_BUSY:
        left = deadline - time.monotonic()
        if left < 2 * progress.slowest:
            return False
        batch, started = Batch(turn.listener), time.monotonic()
        size = max(1, min(progress.size, int(progress.size * left / 4 / progress.slowest) or 1))
        seconds = left if size == 1 else min(MOST_SECONDS, left / 3)
        turn.database.keep_lock()
        try:
            expire(session, statements, batch, progress.scope(size, seconds), close if statements.dissolved else None)
        except (Busy, Rejected) as exc:
            if not batch.taken:
                progress.why.setdefault(str(exc.detail), [])
                return True  # the table itself is locked
            progress.size = size
            progress.shrink(batch, exc, can_spare=bool(statements.spared))
            continue
        if not batch.taken:
            return True
        progress.add(batch, root, time.monotonic() - started, turn.settings.expire_batch)
        turn.committed()
    return True


def _told(
    connection: Connection, statements: Statements, progress: Progress, started: float, *, in_time: bool
) -> ExpiredTable:
    """The result, with a look at what is still due."""
    cascade = statements.cascade
    oldest = oldest_due(connection, statements.due, cascade.root)
    left = count_due(connection, statements.due, cascade.root) if in_time and oldest else 0
    held, said = held_rows(connection, statements)
    done = Status.OK if progress.expired else Status.NOTHING
    return ExpiredTable(
        table=cascade.root.label,
        status=done if oldest is None else Status.PARTIAL,
        # Rows that were passed over because somebody had them locked are known by being there still.
        **progress.facts() | {"busy": max(left - progress.failed, progress.busy)},
        oldest_overdue=oldest,
        held=held,
        seconds=time.monotonic() - started,
        warnings=(*progress.warnings, *said, *statements.due.notes),
    )


def _stopped(table: str, progress: Progress, started: float, why: str) -> ExpiredTable:
    seconds = time.monotonic() - started
    return ExpiredTable(table=table, status=Status.PARTIAL, seconds=seconds, warnings=(why,), **progress.facts())


def _failed(table: str, progress: Progress, started: float, error: NightshiftError) -> ExpiredTable:
    return ExpiredTable(
        table=table,
        status=Status.FAILED,
        **progress.facts(),
        seconds=time.monotonic() - started,
        error=error.about(table),
    )
