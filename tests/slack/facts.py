"""Facts of runs, one of each outcome, and how they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from textwrap import dedent
from zoneinfo import ZoneInfo

from nightshift.errors import StoreError
from nightshift.results.cleanup import CleanupEstimate, CleanupResult, TableResult
from nightshift.results.common import GuardRefusal, JobResult, MessageAttachment, RunStatus
from nightshift.results.restore import DamagedObject, RestoreResult
from nightshift.slack.phrases.forms import Language
from nightshift.slack.renderer import ReportFrame, as_text, render_result

SEOUL = ZoneInfo("Asia/Seoul")
AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
CUTOFF = datetime(2025, 9, 15, tzinfo=SEOUL)
KEY = "archive/table=public.conversation_log/dt=2025-09-14/0198.parquet"

DONE = TableResult(
    table="public.conversation_log",
    status=RunStatus.OK,
    cutoff=CUTOFF,
    archived_rows=124,
    deleted_rows=124,
    objects=3,
    bytes=13_210,
    seconds=0.8,
    keys=(KEY, KEY, KEY),
)
NOTHING = TableResult(table="public.conversation_log", status=RunStatus.NOTHING, cutoff=CUTOFF)
PARTIAL = replace(DONE, status=RunStatus.PARTIAL, seconds=845, oldest_overdue=CUTOFF - timedelta(days=1), objects=1)
REFUSED = TableResult(
    table="public.conversation_log",
    status=RunStatus.REFUSED,
    cutoff=CUTOFF,
    refusal=GuardRefusal(
        guard="abnormal_volume", message="98 % of the rows are due", hint="check keep_days, or `force`"
    ),
)
PREVIEW = TableResult(
    table="public.conversation_log",
    status=RunStatus.DRY_RUN,
    cutoff=CUTOFF,
    estimate=CleanupEstimate(rows=1234, bytes=5_000_000, objects=2, seconds=72, share=0.1234, usd=0.00123),
)
CSV = MessageAttachment(
    filename="conversation_log_backup_20250915.csv", content=b"", rows=124, total_rows=124, table=DONE.table
)
RESTORED = RestoreResult(
    status=RunStatus.OK,
    table="public.conversation_log",
    into="public.conversation_log_restored",
    rows=124,
    objects=3,
    bytes=13_210,
    seconds=0.8,
)
DAMAGED = DamagedObject(key=KEY, damage="altered", what="SHA-256 0a1b…, the ledger says 2c3d…")
LOST = StoreError("S3 is away", hint="wait")


def told(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    attempt: int = 1,
    request_id: str | None = None,
    job: str = "cleanup",
    done: JobResult | None = None,
) -> str:
    report = ReportFrame(
        job=job,
        as_of=AS_OF,
        dry_run=dry_run,
        duration_ms=1234,
        result=done if isinstance(outcome, Exception) else outcome,
        error=outcome if isinstance(outcome, Exception) else None,
        attempt=attempt,
        request_id=request_id,
    )
    return as_text(render_result(report, language, SEOUL))


def cleaned(*tables: TableResult, attachments: tuple[MessageAttachment, ...] = (), orphans: int = 0) -> CleanupResult:
    return CleanupResult(tables=tables, attachments=attachments, orphans_removed=orphans)


def lines(text: str) -> list[str]:
    return dedent(text).strip().splitlines()
