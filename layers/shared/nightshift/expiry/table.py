"""One policy's turn: look the cascade up, then batch by batch until nothing is due or time is short.

A batch that meets a lock or is refused is tried again in smaller parts, down to the single row that is in the way. That
one is left out, and everything else goes on.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import Listener, ignore
from nightshift.archive.holds import active_holds
from nightshift.archive.outcome import held_back
from nightshift.archive.table import Engine
from nightshift.archive.table_guards import axis_kind
from nightshift.database.connect import Database, refused_statement
from nightshift.errors import NightshiftError
from nightshift.expiry.batch import Batch, expire
from nightshift.expiry.discovery import Discovery
from nightshift.expiry.due import Due, count_due, oldest_due
from nightshift.expiry.guards import Refused
from nightshift.expiry.rehearsal import rehearse
from nightshift.expiry.session import Busy, ControlSession, Rejected, Session
from nightshift.expiry.statements import Key, Statements
from nightshift.policy.expiry import Expiry
from nightshift.results import ExpiredTable, Status
from nightshift.rows.axis import Axis
from nightshift.run import JobRun
from nightshift.settings import Settings

logger = logging.getLogger(__name__)

FIRST_BATCH = 500
"""Rows of the first batch: small, for nobody knows yet what hangs on them."""
GROWTH = 4
BATCH_SECONDS = 3.0
"""What a batch should take: its locks are held as long."""
LEAST_SECONDS = 1.0
"""With less time left no batch is started."""
MOST_LEFT_OUT = 100
"""Rows left out, locked or refused, before the run stops trying: something is wrong with more than single rows."""


@dataclass(slots=True)
class Progress:
    """What has been committed so far, and how it goes on."""

    size: int = FIRST_BATCH
    slowest: float = LEAST_SECONDS
    expired: int = 0
    queued: int = 0
    objects: int = 0
    bytes: int = 0
    deleted: Counter[str] = field(default_factory=Counter)
    busy: list[Key] = field(default_factory=list)
    failed: list[Key] = field(default_factory=list)
    why: dict[str, None] = field(default_factory=dict)

    @property
    def left_out(self) -> list[Key]:
        return [*self.busy, *self.failed]

    def add(self, batch: Batch, seconds: float, most: int) -> None:
        """Count a committed batch, and cut the next by it."""
        self.expired += batch.taken
        self.queued += batch.queued
        self.objects += batch.objects
        self.bytes += batch.bytes
        self.deleted.update(batch.deleted)
        self.slowest = max(self.slowest, seconds)
        ideal = batch.taken * BATCH_SECONDS / max(seconds, 0.001)
        self.size = int(max(1, min(ideal, self.size * GROWTH, most)))

    def facts(self) -> dict[str, Any]:
        """What was committed, as `ExpiredTable` has it."""
        return {
            "expired": self.expired,
            "deleted_rows": dict(self.deleted),
            "archived_rows": sum(self.deleted.values()) if self.objects else 0,
            "objects": self.objects,
            "bytes": self.bytes,
        }

    def shrink(self, batch: Batch, exc: Busy | Rejected) -> None:
        """Learn from a batch that did not go through."""
        if self.size > 1:
            self.size = max(1, min(self.size, batch.taken or self.size) // GROWTH)
            return
        (self.busy if isinstance(exc, Busy) else self.failed).extend(batch.keys)
        self.why[str(exc.detail)] = None
        logger.warning("a row was left out", extra={"error": exc.message, "detail": exc.detail})


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one policy's turn needs."""

    run: JobRun
    settings: Settings
    database: Database
    policy: Expiry
    engine: Engine | None = None
    """The archive's; None where nothing is archived."""
    committed: Callable[[], None] = lambda: None
    """Called after each commit: the outbox may have grown."""
    listener: Listener = ignore


def expire_table(turn: Turn) -> tuple[ExpiredTable, int]:
    """Delete what has expired.

    A failure does not raise: it is part of the result, together with what was committed before it.

    Returns:
        the result, and how many files were put into the outbox.
    """
    started = time.monotonic()
    progress = Progress()
    table = turn.policy.table
    try:
        with turn.database.connect() as connection:
            statements = _aim(connection, turn)
            table = statements.cascade.root.label
            for warning in statements.cascade.unindexed:
                logger.warning("a reference has no index", extra={"detail": warning})
            control = _control(connection, turn, statements)
            if turn.run.dry_run:
                return rehearse(connection, control, statements, turn.database.deadline - started)
            with _archive(turn, statements) if turn.policy.archive else nullcontext(control) as session:
                in_time = _work(session, statements, turn, progress)
            result = _told(connection, statements, progress, started, in_time=in_time)
    except Refused as refused:
        return ExpiredTable(table=table, status=Status.REFUSED, refusal=refused.refusal), 0
    except DBAPIError as exc:
        result = _failed(table, progress, started, refused_statement(exc))
    except NightshiftError as exc:
        result = _failed(table, progress, started, exc)
    return result, progress.queued


def _aim(connection: Connection, turn: Turn) -> Statements:
    """Look everything up, in one snapshot.

    Raises:
        Refused: the table, its column or what hangs on it cannot be used.
    """
    postgresql = turn.database.is_postgresql
    if postgresql:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    policy = turn.policy
    cascade = Discovery(connection, policy, turn.settings).cascade()
    info = cascade.nodes[cascade.root].info
    column = info.column(policy.expires_at)
    if column is None:
        names = ", ".join(c.name for c in info.columns[:20])
        raise Refused("unknown_column", f"{policy.table} has no column {policy.expires_at}", f"its columns: {names}")
    kind = axis_kind(column, policy.epoch)
    if kind is None or (postgresql and kind == "text"):
        raise Refused(
            "wrong_type",
            f"{policy.table}.{column.name} is {column.type_name or 'of no type'}",
            "expires_at needs timestamptz, timestamp, date, or an integer with `epoch`",
        )
    axis = Axis(column.name, kind, policy.zone)
    due = Due(axis, turn.run.as_of, active_holds(connection, cascade.root, axis, turn.run.as_of))
    connection.rollback()
    return Statements(cascade, due, postgresql)


def _control(connection: Connection, turn: Turn, statements: Statements) -> Session:
    run, settings = turn.run, turn.settings
    return ControlSession(connection, statements, run.run_id, run.as_of, settings.expire_lock_timeout)


def _archive(turn: Turn, statements: Statements) -> AbstractContextManager[Session]:
    from nightshift.expiry.archiving import archive_session  # loads Arrow: for those who archive

    assert turn.engine is not None  # the job opens one where a policy archives
    return archive_session(turn.database, turn.engine, statements, turn.run, turn.policy.zone)


def _work(session: Session, statements: Statements, turn: Turn, progress: Progress) -> bool:
    """Batch after batch; returns whether there was time for all of them."""
    deadline = turn.database.deadline
    while len(progress.left_out) < MOST_LEFT_OUT:
        left = deadline - time.monotonic()
        if left < 2 * progress.slowest:
            return False
        batch, started = Batch(turn.listener), time.monotonic()
        size = max(1, min(progress.size, int(progress.size * left / 4 / progress.slowest) or 1))
        try:
            expire(session, statements, batch, size, progress.left_out, left)
        except (Busy, Rejected) as exc:
            progress.size = size
            progress.shrink(batch, exc)
            continue
        if not batch.taken:
            return True
        progress.add(batch, time.monotonic() - started, turn.settings.expire_batch)
        turn.committed()
    return True


def _told(
    connection: Connection, statements: Statements, progress: Progress, started: float, *, in_time: bool
) -> ExpiredTable:
    """The result, with a look at what is still due."""
    cascade, axis = statements.cascade, statements.due.axis
    oldest = oldest_due(connection, statements.due, cascade.root)
    left = count_due(connection, statements.due, cascade.root) if in_time and oldest else 0
    done = Status.OK if progress.expired else Status.NOTHING
    return ExpiredTable(
        table=cascade.root.label,
        status=done if oldest is None else Status.PARTIAL,
        **progress.facts(),
        # Rows that were passed over because somebody had them locked are known by being there still.
        busy=max(left - len(progress.failed), len(progress.busy)),
        failed=len(progress.failed),
        oldest_overdue=oldest,
        seconds=time.monotonic() - started,
        warnings=(*(f"rows were left out: {why}" for why in progress.why), *held_back(statements.due.held, axis.zone)),
    )


def _failed(table: str, progress: Progress, started: float, error: NightshiftError) -> ExpiredTable:
    return ExpiredTable(
        table=table,
        status=Status.FAILED,
        **progress.facts(),
        seconds=time.monotonic() - started,
        error=error,
    )
