"""Facts of runs of `expire_jobs`, one of each outcome, and how they are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from nightshift.results.common import GuardRefusal, JobResult, RunStatus
from nightshift.results.expiry import ExpiredTable, ExpiryResult, FileFailures, FilesResult
from nightshift.slack.phrases.forms import Language
from tests.slack import facts
from tests.slack.facts import AS_OF

EXPIRED = ExpiredTable(
    table="public.job",
    status=RunStatus.OK,
    expired=124,
    deleted_rows={
        "public.payment_failure": 4,
        "public.payment": 124,
        "public.job_file": 496,
        "public.sms_log": 300,
        "public.phone_verification_attempt": 40,
        "public.report_knowledge": 400,
        "public.report": 124,
        "public.job": 124,
    },
    seconds=0.8,
)
NOTHING_EXPIRED = ExpiredTable(table="public.job", status=RunStatus.NOTHING)
FILES_DELETED = FilesResult(queued=496, deleted=496)
NO_FILES = FilesResult()
DENIED = FileFailures(bucket="job-files", code="AccessDenied", count=12, example="users/kim/face.png")
SLOW = FileFailures(bucket="job-thumbs", code="SlowDown", count=1, example="b.png")
STUCK = FilesResult(queued=496, deleted=480, failed=13, waiting=20, failures=(DENIED, SLOW))
CART = ExpiredTable(table="shop.cart", status=RunStatus.OK, expired=3, deleted_rows={"shop.cart": 3})
PARTIAL = replace(
    EXPIRED,
    status=RunStatus.PARTIAL,
    busy=3,
    failed=2,
    oldest_overdue=AS_OF - timedelta(hours=3, minutes=12),
    warnings=("`job`: a trigger refused 2 rows",),
)
REFUSED = ExpiredTable(
    table="session",
    status=RunStatus.REFUSED,
    refusal=GuardRefusal(
        guard="unexpected_cascade", message="public.invoice would lose rows", hint="name it in `cascade`"
    ),
)


def swept(*tables: ExpiredTable, files: FilesResult = FILES_DELETED) -> ExpiryResult:
    return ExpiryResult(tables=tables, files=files)


def told(
    outcome: JobResult | Exception,
    language: Language = "ko",
    *,
    dry_run: bool = False,
    attempt: int = 1,
    done: JobResult | None = None,
) -> str:
    return facts.told(outcome, language, dry_run=dry_run, attempt=attempt, done=done, job="expire_jobs")
