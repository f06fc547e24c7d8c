"""Parses the event keys of `reembed`.

The event `FeedbackThresholdExceeded` has all keys except the last two. The job copies the keys into the events that it
sends. An operator may omit every key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection, insert, select

from nightshift.database.tables import embedding_decision, table_exists
from nightshift.run import JobRun

Scope = Literal["disliked", "stale", "all"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReembedWindow(_Part):
    """The votes that were counted: those in `[start, end)`."""

    start: AwareDatetime
    end: AwareDatetime
    zone: str = Field(default="UTC", max_length=100)

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end should be later than start")
        return self


class ReembedRequest(_Part):
    """The event's keys.

    Attributes:
        decision: names what `feedback` decided; what is finished for a decision is not done again for it.
        table, window, likes, dislikes, total, ratio, threshold, interval, worst: what `feedback` counted.
        scope: which documents are looked at: those behind `disliked` answers of the window, those that are `stale`, or
            `all`, whatever their `updated_at` says. None: `disliked` where that can be told, else `stale`.
        continuation: how many runs have gone before this one.
    """

    decision: str | None = Field(default=None, min_length=1, max_length=512)
    table: str | None = Field(default=None, max_length=512)
    window: ReembedWindow | None = None
    likes: int | None = None
    dislikes: int | None = None
    total: int | None = None
    ratio: float | None = None
    threshold: float | None = None
    interval: dict[str, float] | None = None
    worst: list[dict[str, Any]] | None = Field(default=None, max_length=100)
    scope: Scope | None = None
    continuation: int = Field(default=0, ge=0, le=1_000_000)

    def next_request(self, scope: Scope, *, force: bool) -> dict[str, Any]:
        """Returns the keys of the event that starts the next run of the series."""
        detail = self.model_dump(mode="json", exclude_none=True)
        detail |= {"scope": scope, "continuation": self.continuation + 1}
        return {**detail, "force": True} if force else detail


def is_finished(connection: Connection, decision: str) -> bool:
    """Returns whether an earlier run has finished the decision: its event may be delivered twice."""
    if not table_exists(connection, embedding_decision):
        return False
    statement = select(embedding_decision.c.run_id).where(embedding_decision.c.decision == decision)
    return connection.execute(statement).first() is not None


def mark_decision_completed(connection: Connection, decision: str, run: JobRun, now: datetime) -> None:
    """Record that the decision is finished, and commit."""
    if not is_finished(connection, decision):
        values = {"decision": decision, "run_id": run.run_id, "finished_at": now}
        connection.execute(insert(embedding_decision).values(values))
    connection.commit()
