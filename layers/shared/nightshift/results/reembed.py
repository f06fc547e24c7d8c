"""Result of `reembed`: the documents that were embedded again, and the documents that the model rejected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from nightshift.errors import NightshiftError
from nightshift.results.common import (
    HIDDEN,
    MILLISECONDS,
    OPTIONAL,
    GuardRefusal,
    JobResult,
    JsonFacts,
    Metric,
    RunStatus,
    worst_status,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedDocument(JsonFacts):
    """A document that the model rejected. Later runs skip the document until its text changes.

    Attributes:
        id: the document's key, as text.
        reason: the model's error, e.g. `ValidationException: too many tokens`.
    """

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedTable(JsonFacts):
    """Result for one policy's documents.

    Attributes:
        table: `schema.table`, as in the database.
        model, dimension: the embedding model, and the number of dimensions of its vectors.
        scope: the documents that the run examined: `disliked`, `stale` or `all`.
        looked_at: documents whose text was compared with the text of their embedding.
        embedded: documents with a new embedding; in a dry run, documents that would get a new embedding.
        unchanged: documents with the same text and model as before, for which the model was not called.
        removed: deleted embeddings of documents that no longer exist.
        poisoned: number of documents that the model rejected in this run.
        left: documents that are not embedded yet; the next invocation continues with these documents.
        switched: whether readers now see the embeddings of another model.
        moved: whether the run made progress, so that the next run has less to do.
        tokens: number of tokens that the model reports; 0 if the model reports none.
    """

    table: str
    status: RunStatus
    model: str = ""
    dimension: int = 0
    scope: str = "stale"
    looked_at: int = 0
    embedded: int = 0
    unchanged: int = 0
    removed: int = 0
    poisoned: int = 0
    examples: tuple[RejectedDocument, ...] = field(default=(), metadata=OPTIONAL)
    left: int = 0
    switched: bool = False
    moved: bool = field(default=False, metadata=HIDDEN)
    tokens: int = field(default=0, metadata=OPTIONAL)
    seconds: float = field(default=0.0, metadata=MILLISECONDS)
    refusal: GuardRefusal | None = field(default=None, metadata=OPTIONAL)
    warnings: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    error: NightshiftError | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReembedResult(JobResult):
    """Result of one run of `reembed`.

    Attributes:
        decision: ID of the decision of `feedback` that started the run; None: another cause started the run.
        done_before: whether an earlier run has finished this decision, so that this run did nothing.
        continues: whether the run sent an event that starts the next invocation.
    """

    tables: tuple[EmbeddedTable, ...] = ()
    decision: str | None = None
    done_before: bool = False
    continues: bool = False

    @property
    def status(self) -> RunStatus:
        return worst_status(table.status for table in self.tables)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        """Yields the job's metrics. Tables of a dry run do not count."""
        done = [table for table in self.tables if table.status is not RunStatus.DRY_RUN]
        yield Metric("DocumentsEmbedded", sum(table.embedded for table in done))
        yield Metric("DocumentsPoisoned", sum(table.poisoned for table in done))
        yield Metric("DocumentsLeft", sum(table.left for table in done))
