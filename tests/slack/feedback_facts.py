"""Facts of runs of `feedback` and `reembed`, one of each outcome, and how they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nightshift.results.common import GuardRefusal, JobResult, RunStatus
from nightshift.results.feedback import (
    ConfidenceInterval,
    FeedbackReason,
    FeedbackResult,
    FeedbackState,
    GroupVotes,
    VoteTotals,
)
from nightshift.results.reembed import EmbeddedTable, ReembedResult, RejectedDocument
from nightshift.slack.phrases.forms import Language
from nightshift.slack.renderer import ReportFrame, SlackMessage, as_text, render_result
from tests.slack.facts import SEOUL

AS_OF = datetime(2025, 10, 17, tzinfo=UTC)
START = datetime(2025, 10, 16, tzinfo=SEOUL)
DASHBOARD = "https://example.com/board?from=a&to=<b>|c"

HEALTHY = FeedbackResult(
    table="public.conversation_log",
    start=START,
    end=START + timedelta(days=1),
    votes=VoteTotals(likes=87, dislikes=13),
    interval=ConfidenceInterval(low=0.0776, high=0.2098, confidence=0.95),
    state=FeedbackState.HEALTHY,
    reason=FeedbackReason.WITHIN,
    dashboard_url=DASHBOARD,
)
BAD = replace(
    HEALTHY,
    votes=VoteTotals(likes=59, dislikes=41),
    interval=ConfidenceInterval(low=0.3187, high=0.5081, confidence=0.95),
    state=FeedbackState.RETRAINING,
    reason=FeedbackReason.CERTAIN,
    previous=VoteTotals(likes=80, dislikes=20),
    week=VoteTotals(likes=616, dislikes=84),
    late=5,
    comments=9,
    worst=(
        GroupVotes(group="가격", votes=VoteTotals(likes=12, dislikes=28)),
        GroupVotes(group="면접", votes=VoteTotals(likes=20, dislikes=11)),
    ),
    decision="0199f3a2",
    started=True,
)
EMPTY = replace(
    HEALTHY,
    votes=VoteTotals(),
    interval=None,
    state=FeedbackState.TOO_FEW,
    reason=FeedbackReason.NO_VOTES,
    dashboard_url=None,
)
REFUSED = replace(
    EMPTY,
    refusal=GuardRefusal(guard="unknown_column", message='there is no column "rating"', hint="set FEEDBACK_RATING"),
)

DOCUMENTS = EmbeddedTable(
    table="public.document",
    status=RunStatus.OK,
    model="amazon.titan-embed-text-v2:0",
    dimension=1024,
    scope="disliked",
    looked_at=20_000,
    embedded=412,
    unchanged=19_588,
    tokens=120_400,
    seconds=34.2,
)
CURRENT = EmbeddedTable(table="public.document", status=RunStatus.NOTHING, looked_at=20_000, unchanged=20_000)
POISONED = RejectedDocument(id="doc-17", reason="ValidationException: too many input tokens")


def embedded(*tables: EmbeddedTable, decision: str | None = "0199f3a2", continues: bool = False) -> ReembedResult:
    return ReembedResult(tables=tables, decision=decision, continues=continues)


def message(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    attempt: int = 1,
    done: JobResult | None = None,
    job: str = "feedback",
) -> SlackMessage:
    error = outcome if isinstance(outcome, Exception) else None
    result = done if isinstance(outcome, Exception) else outcome
    return render_result(ReportFrame(job, AS_OF, dry_run, 1234, result, error, attempt), language, SEOUL)


def told(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    attempt: int = 1,
    done: JobResult | None = None,
    job: str = "feedback",
) -> str:
    return as_text(message(outcome, language, dry_run=dry_run, attempt=attempt, done=done, job=job))
