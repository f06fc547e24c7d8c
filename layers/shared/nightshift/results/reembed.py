"""Result of `reembed`: the documents that were embedded again, and those that could not be."""

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
    """A document that the model does not take; it is set aside until its text changes.

    Attributes:
        id: its key, as text.
        reason: the model's word, e.g. `ValidationException: too many tokens`.
    """

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedTable(JsonFacts):
    """Result for one policy's documents.

    Attributes:
        table: `schema.table`, as the database has it.
        model, dimension: what they are embedded with.
        scope: `disliked`, `stale` or `all`: which documents were looked at.
        looked_at: documents that were compared with what they were embedded from.
        embedded: documents that have a new embedding; in a dry run, that would get one.
        unchanged: documents whose text and model are as before: they cost nothing.
        removed: embeddings of documents that are gone.
        poisoned: how many are set aside by this run, `examples` the first of them.
        left: documents still to be done; the next invocation goes on with them.
        switched: readers see the embeddings of another model from now on.
        moved: the next run will find less to do.
        tokens: what the model counted, where it says so.
        error: what a `failed` table failed with.
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
        decision: the decision of `feedback` that asked for it; None: somebody else did.
        done_before: an earlier run has finished this decision; nothing was done again.
        continues: an event was sent that has the next invocation go on.
    """

    tables: tuple[EmbeddedTable, ...] = ()
    decision: str | None = None
    done_before: bool = False
    continues: bool = False

    @property
    def status(self) -> RunStatus:
        return worst_status(table.status for table in self.tables)

    def list_metrics(self, as_of: datetime) -> Iterator[Metric]:  # noqa: ARG002 - as of any result
        """A table of a preview embeds nothing, and does not count."""
        done = [table for table in self.tables if table.status is not RunStatus.DRY_RUN]
        yield Metric("DocumentsEmbedded", sum(table.embedded for table in done))
        yield Metric("DocumentsPoisoned", sum(table.poisoned for table in done))
        yield Metric("DocumentsLeft", sum(table.left for table in done))
