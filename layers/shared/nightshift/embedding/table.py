"""One policy's turn: look everything up, switch to another model where the settings name one, embed what is stale.

Which model readers see is kept in the database, place by place. Where there were vectors before we came, nobody knows
by which model they were made: then all of them are replaced, as in a switch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.events import ChunkEvent, Listener, Step, ignore
from nightshift.archive.table_guards import repeated
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database, refused_statement
from nightshift.embedders import Embedder
from nightshift.embedding.batch import Batcher
from nightshift.embedding.guards import Refused, fitting
from nightshift.embedding.postgresql import PostgresqlSession
from nightshift.embedding.progress import Progress
from nightshift.embedding.request import Scope
from nightshift.embedding.session import Session
from nightshift.embedding.source import Source, look_up
from nightshift.embedding.sqlite import SqliteSession
from nightshift.embedding.sweep import PAGE, Sweep
from nightshift.embedding.switch import Switch
from nightshift.embedding.terms import Choice, Model, Shelf, Standing
from nightshift.embedding.troubles import is_out_of_time
from nightshift.errors import NightshiftError
from nightshift.policy.embedding import Embedding
from nightshift.results import EmbeddedTable, Status
from nightshift.run import JobRun
from nightshift.settings import Settings

WRITING_SECONDS = 3.0
"""What is kept of the run's time for what comes after the model's last answer."""
LOCKED = "the switch to another model waits: somebody holds locks on the table, or there was no time left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one policy's turn needs."""

    run: JobRun
    settings: Settings
    database: Database
    embedder: Embedder
    policy: Embedding
    scope: Scope
    round: str
    """Names the run, or the series of runs, that this one belongs to."""
    among: Callable[[Connection], str] | None = None
    """Gives the query for the ids of the documents that `scope` means; None: it means all."""
    now: Callable[[], datetime]
    listener: Listener = ignore
    seen: set[TableName] = field(default_factory=set)
    """Tables that earlier policies of the run were about."""

    @property
    def model(self) -> Model:
        return Model(self.embedder.model, self.embedder.dimension, self.round)


@dataclass(slots=True)
class _Ended:
    """How a turn ended, as far as counts do not tell."""

    scope: Scope
    in_time: bool = True
    warnings: tuple[str, ...] = ()


def reembed_table(turn: Turn) -> EmbeddedTable:
    """Embed what is to be embedded.

    A failure does not raise: it is part of the result, together with what was written before it.
    """
    started = time.monotonic()
    progress, ended = Progress(), _Ended(turn.scope)
    table, error = turn.policy.table, None
    try:
        with turn.database.connect() as connection:
            source = _aim(connection, turn)
            table = source.table.label
            if turn.run.dry_run:
                _rehearse(connection, turn, source, progress, ended)
            else:
                _work(connection, turn, source, progress, ended)
    except Refused as refused:
        return EmbeddedTable(table=table, status=Status.REFUSED, scope=turn.scope, refusal=refused.refusal)
    except DBAPIError as exc:
        error = refused_statement(exc)
    except NightshiftError as exc:
        error = exc
    return EmbeddedTable(
        table=table,
        status=_status(turn, progress, ended, error),
        model=turn.embedder.model,
        dimension=turn.embedder.dimension,
        scope=ended.scope,
        **progress.facts(),
        moved=progress.moved,
        seconds=time.monotonic() - started,
        warnings=(*progress.warnings(), *ended.warnings),
        error=error,
    )


def _status(turn: Turn, progress: Progress, ended: _Ended, error: NightshiftError | None) -> Status:
    if error is not None:
        return Status.FAILED
    if turn.run.dry_run:
        return Status.DRY_RUN
    if progress.left or not ended.in_time:
        return Status.PARTIAL
    return Status.OK if progress.moved else Status.NOTHING


def _aim(connection: Connection, turn: Turn) -> Source:
    """Look everything up; raises `Refused`."""
    source = look_up(connection, turn.policy, turn.embedder.dimension)
    connection.rollback()
    if source.table in turn.seen:
        refusal = repeated(turn.policy.table)
        raise Refused(refusal.guard, refusal.message, refusal.hint)
    turn.seen.add(source.table)
    return source


def _work(connection: Connection, turn: Turn, source: Source, progress: Progress, ended: _Ended) -> None:
    """The turn itself; what it has done is in `progress` and `ended`, even where it raises."""
    session = _session(connection, source, turn.model)
    standing = session.standing()
    _fits(session, standing)
    if source.place.missing:
        session.make_place()
        source = source.made()
        session = _session(connection, source, turn.model)
    if standing is None:
        session.claim(None if session.occupied() else turn.model)
        standing = session.standing() or Standing()
    switch = Switch(session, turn.database)
    if (standing.model, standing.dimension) == (turn.model.name, turn.model.dimension):
        if standing.next_model is not None:
            switch.abandon()
        _embed_stale(turn, session, progress, ended)
        return
    ended.scope = "all"
    switch.prepare(standing)
    ended.in_time = _staged(turn, session, progress)
    if not ended.in_time:
        return
    _tell(turn, session, Step.PLANNED)
    if not switch.swap(turn.now(), lambda: _tell(turn, session, Step.COMMITTING)):
        ended.in_time, ended.warnings = False, (LOCKED,)
        return
    progress.switched = True
    _tell(turn, session, Step.SETTLED)
    session = _session(connection, look_up(connection, turn.policy, turn.model.dimension), turn.model)
    connection.rollback()
    ended.in_time = _sweep(turn, session, progress).run(Shelf.READERS, Choice(), counted=False)


def _embed_stale(turn: Turn, session: Session, progress: Progress, ended: _Ended) -> None:
    """Embed for the model that readers see."""
    choice = Choice(trusting=turn.scope != "all", force=turn.run.force)
    if turn.among is not None:
        choice = replace(choice, among=turn.among(session.connection))
        session.connection.rollback()
    ended.in_time = _sweep(turn, session, progress).run(Shelf.READERS, choice, counted=True)
    if ended.in_time and turn.among is None:
        turn.database.renew(session.connection)
        try:
            progress.removed = session.remove_vanished()
        except DBAPIError as exc:
            session.connection.rollback()
            if not is_out_of_time(exc):
                raise
            ended.in_time = False


def _staged(turn: Turn, session: Session, progress: Progress) -> bool:
    """Fill the stage until it is all but up to date; returns whether there was time."""
    counted = True
    while True:
        sweep = _sweep(turn, session, progress)
        if not sweep.run(Shelf.STAGE, Choice(), counted=counted):
            return False
        if sweep.stale <= turn.settings.embedding_batch:
            return True
        counted = False


def _rehearse(connection: Connection, turn: Turn, source: Source, progress: Progress, ended: _Ended) -> None:
    """Count what would be embedded; nothing is written."""
    session = _session(connection, source, turn.model)
    standing = session.standing()
    _fits(session, standing)
    wanted = (turn.model.name, turn.model.dimension)
    choice, shelf = Choice(trusting=turn.scope != "all", force=turn.run.force), Shelf.READERS
    if session.occupied() if standing is None else (standing.model, standing.dimension) != wanted:
        staged = standing is not None and (standing.next_model, standing.next_dimension) == wanted
        session = _session(connection, source, turn.model, staged=staged)
        ended.scope, choice, shelf = "all", Choice(), Shelf.STAGE
    elif turn.among is not None:
        choice = replace(choice, among=turn.among(connection))
        connection.rollback()
    after = None
    while True:
        page = session.page(shelf, choice, after, PAGE)
        progress.looked_at += page.looked_at
        progress.embedded += len(page.stale)
        progress.unchanged += page.looked_at - len(page.stale)
        if page.last is None:
            return
        after = page.last


def _fits(session: Session, standing: Standing | None) -> None:
    place, known = session.place, standing.dimension if standing else None
    fitting(place.label, place.declared, session.model.dimension, known, place.fixed)


def _session(connection: Connection, source: Source, model: Model, *, staged: bool = True) -> Session:
    kind = PostgresqlSession if connection.dialect.name == "postgresql" else SqliteSession
    return kind(connection, source, model, staged=staged)


def _sweep(turn: Turn, session: Session, progress: Progress) -> Sweep:
    deadline = turn.database.deadline - WRITING_SECONDS
    batcher = Batcher(session, turn.embedder, progress, deadline=deadline, now=turn.now, listener=turn.listener)
    batch, renew = turn.settings.embedding_batch, partial(turn.database.renew, session.connection)
    return Sweep(session, batcher, progress, batch=batch, deadline=deadline, renew=renew)


def _tell(turn: Turn, session: Session, step: Step) -> None:
    turn.listener(ChunkEvent(step=step, table=session.source.table.label))
