"""Facts of runs, one of each outcome, and how they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from textwrap import dedent
from zoneinfo import ZoneInfo

from nightshift.errors import StoreError
from nightshift.results import (
    Attachment,
    CleanupResult,
    DamagedObject,
    Estimate,
    JobResult,
    Refusal,
    RestoreResult,
    Status,
    TableResult,
)
from nightshift.slack.blocks import Report, as_text, render
from nightshift.slack.texts import Language

SEOUL = ZoneInfo("Asia/Seoul")
AS_OF = datetime(2025, 10, 15, tzinfo=UTC)
CUTOFF = datetime(2025, 9, 15, tzinfo=SEOUL)
KEY = "archive/table=public.conversation_log/dt=2025-09-14/0198.parquet"

DONE = TableResult(
    table="public.conversation_log",
    status=Status.OK,
    cutoff=CUTOFF,
    archived_rows=124,
    deleted_rows=124,
    objects=3,
    bytes=13_210,
    seconds=0.8,
    keys=(KEY, KEY, KEY),
)
NOTHING = TableResult(table="public.conversation_log", status=Status.NOTHING, cutoff=CUTOFF)
PARTIAL = replace(DONE, status=Status.PARTIAL, seconds=845, oldest_overdue=CUTOFF - timedelta(days=1), objects=1)
REFUSED = TableResult(
    table="public.conversation_log",
    status=Status.REFUSED,
    cutoff=CUTOFF,
    refusal=Refusal(guard="abnormal_volume", message="98 % of the rows are due", hint="check keep_days, or `force`"),
)
PREVIEW = TableResult(
    table="public.conversation_log",
    status=Status.DRY_RUN,
    cutoff=CUTOFF,
    estimate=Estimate(rows=1234, bytes=5_000_000, objects=2, seconds=72, share=0.1234, usd=0.00123),
)
CSV = Attachment(
    filename="conversation_log_backup_20250915.csv", content=b"", rows=124, total_rows=124, table=DONE.table
)
RESTORED = RestoreResult(
    status=Status.OK,
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
    report = Report(
        job=job,
        as_of=AS_OF,
        dry_run=dry_run,
        duration_ms=1234,
        result=done if isinstance(outcome, Exception) else outcome,
        error=outcome if isinstance(outcome, Exception) else None,
        attempt=attempt,
        request_id=request_id,
    )
    return as_text(render(report, language, SEOUL))


def cleaned(*tables: TableResult, attachments: tuple[Attachment, ...] = (), orphans: int = 0) -> CleanupResult:
    return CleanupResult(tables=tables, attachments=attachments, orphans_removed=orphans)


def lines(text: str) -> list[str]:
    return dedent(text).strip().splitlines()
