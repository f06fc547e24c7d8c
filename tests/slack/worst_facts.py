"""Results with the worst text wherever text can stand: longer than anything that is shown, as often as asked."""

from __future__ import annotations

from datetime import UTC, date, datetime

from nightshift.errors import NightshiftError
from nightshift.results.backup import BackupResult, RestoredBackup
from nightshift.results.cleanup import CleanupResult, TableResult
from nightshift.results.common import GuardRefusal, MessageAttachment, RunStatus
from nightshift.results.expiry import ExpiredTable, ExpiryResult, FileFailures, FilesResult
from nightshift.results.feedback import DayVotes, FeedbackReason, FeedbackResult, FeedbackState, GroupVotes, VoteTotals
from nightshift.results.reembed import EmbeddedTable, ReembedResult, RejectedDocument
from nightshift.results.restore import DamagedObject, RestoreResult


def worst_cleanup(worst: str, status: RunStatus, count: int) -> CleanupResult:
    """`worst` wherever text can stand, in `count` tables."""
    table = TableResult(
        table=worst,
        status=status,
        refusal=GuardRefusal(guard=worst, message=worst, hint=worst),
        warnings=(worst,) * 20,
        keys=(worst,),
        objects=1,
        error=NightshiftError(worst, detail=worst, hint=worst),
    )
    csv = MessageAttachment(filename=worst, content=b"", rows=1, total_rows=2)
    return CleanupResult(tables=(table,) * count, attachments=(csv,))


def worst_restore(worst: str, status: RunStatus, count: int) -> RestoreResult:
    """`worst` wherever text can stand, `count` times."""
    return RestoreResult(
        status=status,
        table=worst,
        into=worst,
        columns=(worst,) * count,
        damaged=(DamagedObject(key=worst, damage=worst, what=worst),) * count,
        refusal=GuardRefusal(guard=worst, message=worst, hint=worst),
    )


def worst_expiry(worst: str, status: RunStatus, count: int) -> ExpiryResult:
    """`worst` wherever text can stand, in `count` tables."""
    table = ExpiredTable(
        table=worst,
        status=status,
        expired=1,
        deleted_rows={f"{n}{worst}": 10**9 for n in range(20)},
        busy=1,
        failed=1,
        oldest_overdue=datetime(1, 1, 1, tzinfo=UTC),
        refusal=GuardRefusal(guard=worst, message=worst, hint=worst),
        warnings=(worst,) * 20,
        error=NightshiftError(worst, detail=worst, hint=worst),
    )
    failure = FileFailures(bucket=worst, code=worst, count=1, example=worst)
    return ExpiryResult(tables=(table,) * count, files=FilesResult(failed=20, waiting=30, failures=(failure,) * 20))


def worst_feedback(worst: str, status: RunStatus, count: int) -> FeedbackResult:
    """`worst` wherever text can stand, `count` times."""
    refusal = GuardRefusal(guard=worst, message=worst, hint=worst) if status is RunStatus.REFUSED else None
    return FeedbackResult(
        table=worst,
        start=datetime(1, 1, 1, tzinfo=UTC),
        end=datetime(9999, 1, 1, tzinfo=UTC),
        votes=VoteTotals(likes=10**18, dislikes=10**18),
        state=FeedbackState.RETRAINING,
        reason=FeedbackReason.COOLING_DOWN,
        worst=(GroupVotes(group=worst, votes=VoteTotals(dislikes=1)),) * count,
        days=(DayVotes(day=date(1, 1, 1), votes=VoteTotals()),) * count,
        dashboard_url=f"https://x.test/{worst}",
        decision=worst,
        decided_before=True,
        refusal=refusal,
        warnings=(worst,) * count,
    )


def worst_reembed(worst: str, status: RunStatus, count: int) -> ReembedResult:
    """`worst` wherever text can stand, in `count` tables."""
    table = EmbeddedTable(
        table=worst,
        status=status,
        model=worst,
        embedded=1,
        poisoned=99,
        examples=(RejectedDocument(id=worst, reason=worst),) * 20,
        refusal=GuardRefusal(guard=worst, message=worst, hint=worst),
        warnings=(worst,) * 20,
        error=NightshiftError(worst, detail=worst, hint=worst),
    )
    return ReembedResult(tables=(table,) * count, decision=worst)


def worst_backup(worst: str, status: RunStatus, count: int) -> BackupResult:
    """`worst` wherever text can stand, `count` times."""
    return BackupResult(
        name=worst,
        location=worst,
        snapshot_time=datetime(1, 1, 1, tzinfo=UTC),
        tables=10**15,
        rows=10**18,
        bytes=10**15,
        left=10**9 if status is RunStatus.PARTIAL else 0,
        groups=10**9,
        log_events=10**15,
        previous_bytes=10**18,
        proven_name=worst,
        proven_at=datetime(1, 1, 1, tzinfo=UTC),
        pruned=(worst,) * count,
        missing=(worst,) * count,
        warnings=(worst,) * count,
        refusal=GuardRefusal(guard=worst, message=worst, hint=worst) if status is RunStatus.REFUSED else None,
        dry_run=status is RunStatus.DRY_RUN,
        already=status is RunStatus.NOTHING,
        seconds=10**9,
    )


def worst_restored_backup(worst: str, status: RunStatus, count: int) -> RestoredBackup:
    """`worst` wherever text can stand, `count` times."""
    return RestoredBackup(
        name=None if status is RunStatus.NOTHING else worst,
        target=worst,
        tables=10**15,
        rows=10**18,
        bytes=10**18,
        left_tables=10**9 if status is RunStatus.PARTIAL else 0,
        differences=() if status is RunStatus.OK else (worst,) * count,
        but_for=(worst,) * count,
        environment=(worst,) * count,
        warnings=(worst,) * count,
        scratch=True,
        refusal=GuardRefusal(guard=worst, message=worst, hint=worst) if status is RunStatus.REFUSED else None,
        dry_run=status is RunStatus.DRY_RUN,
        seconds=10**9,
    )
