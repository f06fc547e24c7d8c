"""Processes one policy: resolves it, migrates to another model if the settings name one, embeds stale documents.

The database records the model that readers see, for each target. If a target has vectors from before nightshift's first
run, their model is unknown, and a migration replaces all vectors.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from nightshift.archive.table_guards import duplicate_policy_refusal
from nightshift.database.catalog import TableName
from nightshift.database.connect import Database, is_timeout, refused_statement
from nightshift.embedders.text_embedder import TextEmbedder
from nightshift.embedding.batch import BatchEmbedder
from nightshift.embedding.document_scan import PAGE, DocumentScan
from nightshift.embedding.document_store import DocumentStore
from nightshift.embedding.guards import check_dimension
from nightshift.embedding.model_migration import ModelMigration
from nightshift.embedding.models import DocumentFilter, EmbeddingModel, EmbeddingStats, ModelState, VectorStore
from nightshift.embedding.postgresql import PostgresqlDocumentStore
from nightshift.embedding.request import Scope
from nightshift.embedding.source import DocumentSource, resolve_policy
from nightshift.embedding.sqlite import SqliteDocumentStore
from nightshift.errors import NightshiftError
from nightshift.guards import GuardRefused
from nightshift.policy.embedding import EmbeddingPolicy
from nightshift.progress_events import Listener, ProgressEvent, ProgressStep, ignore_events
from nightshift.results.common import RunStatus
from nightshift.results.reembed import EmbeddedTable
from nightshift.run import JobRun
from nightshift.settings import Settings

WRITING_SECONDS = 3.0
"""Time of a run that is reserved for the work after the model's last answer."""
LOCKED = "the switch to another model waits: somebody holds locks on the table, or there was no time left"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingContext:
    """Inputs for processing one policy."""

    run: JobRun
    settings: Settings
    database: Database
    embedder: TextEmbedder
    policy: EmbeddingPolicy
    scope: Scope
    round: str
    """Name of the run, or of the series of runs to which the run belongs."""
    among: Callable[[Connection], str] | None = None
    """Function that returns a query for the ids of the documents in `scope`; None for all documents."""
    now: Callable[[], datetime]
    listener: Listener = ignore_events
    seen: set[TableName] = field(default_factory=set)
    """Documents' tables of earlier policies of the run."""

    @property
    def target_model(self) -> EmbeddingModel:
        return EmbeddingModel(self.embedder.model, self.embedder.dimension, self.round)


@dataclass(slots=True, kw_only=True)
class _RunState(EmbeddingStats):
    scope: Scope
    in_time: bool = True
    is_locked: bool = False


def reembed_table(turn: EmbeddingContext) -> EmbeddedTable:
    """Embed a policy's stale documents.

    A failure is not raised: the result contains the failure and the counts of the work before it.
    """
    started, progress = time.monotonic(), _RunState(scope=turn.scope)
    table, error = turn.policy.table, None
    try:
        with turn.database.connect() as connection:
            session = _open_store(turn, connection, _aim(connection, turn))
            table = session.source.table.label
            standing = session.load_state()
            known, place = standing.dimension if standing else None, session.place
            check_dimension(place.table_label, place.declared_type, session.model.dimension, known, place.fixed)
            if turn.run.dry_run:
                _dry_run(turn, session, standing, progress)
            else:
                _work(turn, session, standing, progress)
    except GuardRefused as refused:
        return EmbeddedTable(table=table, status=RunStatus.REFUSED, scope=turn.scope, refusal=refused.refusal)
    except DBAPIError as exc:
        error = refused_statement(exc)
    except NightshiftError as exc:
        error = exc
    return EmbeddedTable(
        table=table,
        status=_status(turn, progress, error),
        model=turn.embedder.model,
        dimension=turn.embedder.dimension,
        scope=progress.scope,
        **progress.result_facts(),
        moved=progress.has_moved,
        seconds=time.monotonic() - started,
        warnings=(*progress.warnings(), *([LOCKED] if progress.is_locked else [])),
        error=error,
    )


def _status(turn: EmbeddingContext, progress: _RunState, error: NightshiftError | None) -> RunStatus:
    if error is not None:
        return RunStatus.FAILED
    if turn.run.dry_run:
        return RunStatus.DRY_RUN
    if progress.left or not progress.in_time:
        return RunStatus.PARTIAL
    return RunStatus.OK if progress.has_moved else RunStatus.NOTHING


def _aim(connection: Connection, turn: EmbeddingContext) -> DocumentSource:
    """Look up the policy's documents and target; raises `GuardRefused`."""
    source = resolve_policy(connection, turn.policy, turn.embedder.dimension)
    connection.rollback()
    if source.table in turn.seen:
        raise GuardRefused.from_refusal(duplicate_policy_refusal(turn.policy.table))
    turn.seen.add(source.table)
    return source


def _work(turn: EmbeddingContext, session: DocumentStore, standing: ModelState | None, progress: _RunState) -> None:
    """Process the policy, and count the work in `progress`, even if an error is raised."""
    connection = session.connection
    if session.place.missing:
        session.make_place()
        existing = replace(session.place, missing=False)
        session = _open_store(turn, connection, replace(session.source, place=existing))
    if standing is None:
        session.claim_vectors(None if session.has_vectors() else turn.target_model)
        standing = session.load_state() or ModelState()
    switch = ModelMigration(session, turn.database)
    if (standing.model, standing.dimension) == (turn.target_model.name, turn.target_model.dimension):
        if standing.next_model is not None:
            switch.abandon_staging()
        _embed_stale(turn, session, progress)
        return
    progress.scope = "all"
    switch.prepare_staging(standing)
    progress.in_time = _staged(turn, session, progress)
    if not progress.in_time:
        return
    _tell(turn, session, ProgressStep.PLANNED)
    if not switch.cut_over(turn.now(), lambda: _tell(turn, session, ProgressStep.COMMITTING)):
        progress.in_time, progress.is_locked = False, True
        return
    progress.switched = True
    _tell(turn, session, ProgressStep.SETTLED)
    session = _open_store(turn, connection, resolve_policy(connection, turn.policy, turn.target_model.dimension))
    connection.rollback()
    scan = _document_scan(turn, session, progress)
    progress.in_time = scan.scan_documents(VectorStore.READERS, DocumentFilter(), counted=False)


def _embed_stale(turn: EmbeddingContext, session: DocumentStore, progress: _RunState) -> None:
    """Embed stale documents with the model that readers see, and delete orphaned embeddings."""
    choice = _choice(turn, session.connection)
    progress.in_time = _document_scan(turn, session, progress).scan_documents(VectorStore.READERS, choice, counted=True)
    if progress.in_time and turn.among is None:
        turn.database.refresh_timeouts(session.connection)
        try:
            progress.removed = session.delete_orphaned_embeddings()
        except DBAPIError as exc:
            session.connection.rollback()
            if not is_timeout(exc):
                raise
            progress.in_time = False


def _staged(turn: EmbeddingContext, session: DocumentStore, progress: EmbeddingStats) -> bool:
    """Fill the stage until at most one batch of documents was stale; returns False if the time did not suffice."""
    counted = True
    while True:
        scan = _document_scan(turn, session, progress)
        if not scan.scan_documents(VectorStore.STAGE, DocumentFilter(), counted=counted):
            return False
        if scan.stale <= turn.settings.embedding_batch:
            return True
        counted = False


def _dry_run(turn: EmbeddingContext, session: DocumentStore, standing: ModelState | None, progress: _RunState) -> None:
    """Count the documents that a run would embed, without writing."""
    wanted = (turn.target_model.name, turn.target_model.dimension)
    if session.has_vectors() if standing is None else (standing.model, standing.dimension) != wanted:
        staged = standing is not None and (standing.next_model, standing.next_dimension) == wanted
        session = _open_store(turn, session.connection, session.source, staged=staged)
        progress.scope, choice, store = "all", DocumentFilter(), VectorStore.STAGE
    else:
        choice, store = _choice(turn, session.connection), VectorStore.READERS
    after = None
    while True:
        page = session.read_page(store, choice, after, PAGE)
        progress.looked_at += page.looked_at
        progress.embedded += len(page.stale)
        progress.unchanged += page.looked_at - len(page.stale)
        if page.last is None:
            return
        after = page.last


def _choice(turn: EmbeddingContext, connection: Connection) -> DocumentFilter:
    """Returns the filter for the run's scope, and ends the transaction."""
    among = None if turn.among is None else turn.among(connection)
    connection.rollback()
    return DocumentFilter(among, trusting=turn.scope != "all", force=turn.run.force)


def _open_store(
    turn: EmbeddingContext, connection: Connection, source: DocumentSource, *, staged: bool = True
) -> DocumentStore:
    kind = PostgresqlDocumentStore if connection.dialect.name == "postgresql" else SqliteDocumentStore
    return kind(connection, source, turn.target_model, staged=staged)


def _document_scan(turn: EmbeddingContext, session: DocumentStore, progress: EmbeddingStats) -> DocumentScan:
    deadline = turn.database.deadline - WRITING_SECONDS
    batcher = BatchEmbedder(session, turn.embedder, progress, deadline, turn.now, turn.listener)
    renew = partial(turn.database.refresh_timeouts, session.connection)
    return DocumentScan(session, batcher, progress, turn.settings.embedding_batch, deadline, renew)


def _tell(turn: EmbeddingContext, session: DocumentStore, step: ProgressStep) -> None:
    turn.listener(ProgressEvent(step=step, table=session.source.table.label))
