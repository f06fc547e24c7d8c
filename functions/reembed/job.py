"""The `reembed` job: processes every policy's documents in turn, in one or several runs.

A table that fails, or that a guard refuses, does not stop the other tables. The job raises the first failure after the
last table. If documents are left at the deadline, the run sends an event to EventBridge that starts another run of this
job. A run without any progress raises an error instead, because the next run would make no progress either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from nightshift.database.catalog import TableName
from nightshift.embedding.request import ReembedRequest, Scope, is_finished, mark_decision_completed
from nightshift.embedding.table import EmbeddingContext, reembed_table
from nightshift.errors import InvalidSettings, NightshiftError
from nightshift.feedback.source import disliked_documents
from nightshift.policy.embedding import EmbeddingPolicy
from nightshift.policy.file import load_policies
from nightshift.results.common import RunStatus
from nightshift.results.reembed import EmbeddedTable, ReembedResult
from nightshift.run import JobRun
from nightshift.run_services import RunServices

UNFINISHED = "ReembedUnfinished"
"""Type of the event with which a run starts the next run."""


def reembed(run: JobRun, services: RunServices) -> ReembedResult:
    """Embeds stale documents, documents of disliked answers, or all documents; see `ReembedRequest.scope`.

    Raises:
        InvalidSettings: there is no policy of embedding, or the settings of the embedder are invalid.
        NightshiftError: the failure of the first failed table, after all tables. `result` has the completed work. Or:
            documents are left, and the run made no progress.
    """
    request: ReembedRequest = run.request or ReembedRequest()
    policies = _policies(services)
    decision = _noted(request, run)
    if decision is not None:
        with services.database.connect() as connection:
            if is_finished(connection, decision):
                return ReembedResult(decision=request.decision, done_before=True)
    scope, among = _documents(request, services)
    seen: set[TableName] = set()
    tables = tuple(
        reembed_table(
            EmbeddingContext(
                run=run,
                settings=services.settings,
                database=services.database,
                embedder=services.wiring.embedder,
                policy=policy,
                scope=scope,
                round=decision or run.as_of.isoformat(),
                among=among,
                now=services.now,
                listener=services.listener,
                seen=seen,
            )
        )
        for policy in policies
    )
    return _ended(run, services, request, scope, ReembedResult(tables=tables, decision=request.decision))


def _policies(services: RunServices) -> tuple[EmbeddingPolicy, ...]:
    policies = load_policies(services.settings, services.fetch_text).embedding
    if policies:
        return policies
    raise InvalidSettings(
        "no policy says what is embedded",
        detail=f"NIGHTSHIFT_CONFIG: {services.settings.nightshift_config or 'is not set'}: no [[embedding]] entry",
        hint='write [[embedding]] with table = "document", text = "content" and into = "document_embedding"',
    )


def _documents(request: ReembedRequest, services: RunServices) -> tuple[Scope, Callable[[Connection], str] | None]:
    """Returns the scope, and for `disliked` the function that returns the query for the documents' ids."""
    settings, window = services.settings, request.window
    telling = settings.feedback_document is not None and window is not None
    scope: Scope = request.scope or ("disliked" if telling else "stale")
    if scope != "disliked":
        return scope, None
    if window is None:
        raise InvalidSettings(
            "disliked documents of no window",
            detail="scope: disliked, and the event has no window",
            hint='send "window": {"start": …, "end": …}, or another scope',
        )
    return scope, lambda connection: disliked_documents(connection, settings, window.start, window.end)


def _noted(request: ReembedRequest, run: JobRun) -> str | None:
    """Returns the decision's name in the record of finished decisions; None: the event names no decision.

    A run with `force` has a name of its own, because `force` does more work than the decision asked for.
    """
    if request.decision is None:
        return None
    return f"{request.decision} (forced)" if run.force else request.decision


def _ended(
    run: JobRun, services: RunServices, request: ReembedRequest, scope: Scope, result: ReembedResult
) -> ReembedResult:
    """Raises the first table's failure; otherwise starts the next run, or records that the decision is finished."""
    for table in result.tables:
        if table.error is not None:
            table.error.result = result
            raise table.error
    decision = _noted(request, run)
    if any(table.status is RunStatus.PARTIAL for table in result.tables):
        if not any(table.moved for table in result.tables):
            error = NightshiftError(
                "nothing was embedded in the time of a run",
                detail="\n".join(map(_held_up, result.tables)),
                hint="a larger Timeout, a smaller EMBEDDING_BATCH, or a higher quota of the model",
            )
            error.result = result
            raise error
        services.wiring.bus.put_events(UNFINISHED, request.next_request(scope, force=run.force), time=run.as_of)
        return replace(result, continues=True)
    if decision is not None and result.complete and not run.dry_run:
        with services.database.connect() as connection:
            mark_decision_completed(connection, decision, run, services.now())
    return result


def _held_up(table: EmbeddedTable) -> str:
    return "; ".join([f"{table.table}: {table.left} documents are left", *table.warnings])
