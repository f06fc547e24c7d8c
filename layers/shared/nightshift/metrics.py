"""Writes metrics in CloudWatch's embedded format: log lines that CloudWatch parses, so no call and no permission.

Namespace `nightshift`, dimension `service` = the job. Written only on Lambda, where they are collected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nightshift.errors import NotifyError
from nightshift.results.common import JobResult, RunStatus

if TYPE_CHECKING:
    from aws_lambda_powertools import Metrics

    from nightshift.results.backup import BackupResult, RestoredBackup
    from nightshift.results.cleanup import CleanupResult, TableResult
    from nightshift.results.expiry import ExpiryResult
    from nightshift.results.feedback import FeedbackResult
    from nightshift.results.reembed import ReembedResult

NAMESPACE = "nightshift"


def emit_metrics(
    environ: Mapping[str, str], job: str, *, as_of: datetime, result: JobResult | None, error: Exception | None
) -> None:
    """Write a run's metrics.

    Args:
        environ: tells whether we are on Lambda.
        as_of: aware; the time that the run stands for.
        error: a `NotifyError` counts as `NotifyFailed`, any other as `RunFailed`.
    """
    if not environ.get("AWS_LAMBDA_FUNCTION_NAME"):
        return
    from aws_lambda_powertools import Metrics
    from aws_lambda_powertools.metrics import MetricUnit

    metrics = Metrics(namespace=environ.get("POWERTOOLS_METRICS_NAMESPACE") or NAMESPACE, service=job)
    if isinstance(error, NotifyError):
        metrics.add_metric("NotifyFailed", MetricUnit.Count, 1)
    else:
        metrics.add_metric("RunFailed", MetricUnit.Count, int(error is not None))
    if result is not None:
        metrics.add_metric("RunRefused", MetricUnit.Count, int(result.status is RunStatus.REFUSED))
        metrics.add_metric("RunPartial", MetricUnit.Count, int(result.status is RunStatus.PARTIAL))
    add = _OF_JOBS.get(type(result).__name__)
    if add is not None:
        add(metrics, result, as_of)
    metrics.flush_metrics()


def _add_cleanup(metrics: Metrics, result: CleanupResult, _as_of: datetime) -> None:
    metrics.add_metric("ArchivedRows", "Count", sum(t.archived_rows for t in result.tables))
    metrics.add_metric("ArchivedBytes", "Bytes", sum(t.bytes for t in result.tables))
    metrics.add_metric("OldestOverdueSeconds", "Seconds", max(map(_overdue_seconds, result.tables), default=0))


def _add_expiry(metrics: Metrics, result: ExpiryResult, as_of: datetime) -> None:
    """Of a preview that failed, nothing counts as gone."""
    gone = [table for table in result.tables if table.status is not RunStatus.DRY_RUN]
    metrics.add_metric("ExpiredRows", "Count", sum(table.expired for table in gone))
    metrics.add_metric("DeletedRows", "Count", sum(sum(table.deleted_rows.values()) for table in gone))
    metrics.add_metric("FilesDeleted", "Count", result.files.deleted)
    metrics.add_metric("FilesFailed", "Count", result.files.failed)
    metrics.add_metric("FilesWaiting", "Count", result.files.waiting)
    overdue = (as_of - result.oldest_overdue).total_seconds() if result.oldest_overdue else 0.0
    metrics.add_metric("OldestOverdueSeconds", "Seconds", overdue)


def _add_feedback(metrics: Metrics, result: FeedbackResult, _as_of: datetime) -> None:
    """A window without votes has no ratio, and one that nobody could count has no votes either."""
    if result.refusal is None:
        metrics.add_metric("Votes", "Count", result.votes.total)
        metrics.add_metric("Dislikes", "Count", result.votes.dislikes)
    if result.votes.ratio is not None:
        metrics.add_metric("NegativeRatio", "Percent", 100 * result.votes.ratio)
    metrics.add_metric("FeedbackRetraining", "Count", int(result.started))


def _add_reembed(metrics: Metrics, result: ReembedResult, _as_of: datetime) -> None:
    """Adds the document counts, without those of previews, which embed nothing."""
    done = [table for table in result.tables if table.status is not RunStatus.DRY_RUN]
    metrics.add_metric("DocumentsEmbedded", "Count", sum(table.embedded for table in done))
    metrics.add_metric("DocumentsPoisoned", "Count", sum(table.poisoned for table in done))
    metrics.add_metric("DocumentsLeft", "Count", sum(table.left for table in done))


def _add_backup(metrics: Metrics, result: BackupResult, as_of: datetime) -> None:
    """Of a backup that is not whole there is no size: it would look like one that shrank."""
    metrics.add_metric("BackupMade", "Count", int(result.status is RunStatus.OK))
    metrics.add_metric("BackupsPruned", "Count", 0 if result.dry_run else len(result.pruned))
    if result.status is RunStatus.OK:
        metrics.add_metric("BackupBytes", "Bytes", result.bytes)
        metrics.add_metric("BackupRows", "Count", result.rows)
        metrics.add_metric("BackupLogEvents", "Count", result.log_events)
        metrics.add_metric("BackupMissing", "Count", len(result.missing))
        metrics.add_metric("BackupShrunk", "Count", int(result.shrunk))
    proven = result.proven_at or result.unproven_since  # where none ever was, its age is that of them all
    if proven is not None:
        metrics.add_metric("ProvenAgeSeconds", "Seconds", max(0.0, (as_of - proven).total_seconds()))


def _add_restored_backup(metrics: Metrics, result: RestoredBackup, _as_of: datetime) -> None:
    """A preview restores nothing, and proves nothing."""
    metrics.add_metric("RestoredRows", "Count", 0 if result.dry_run else result.rows)
    metrics.add_metric("RestoreDifferences", "Count", len(result.differences))
    metrics.add_metric("BackupProven", "Count", int(result.proven))


def _overdue_seconds(table: TableResult) -> float:
    """Returns the seconds from the oldest row that a run left behind to the cutoff; 0 where it left none."""
    if table.cutoff is None or table.oldest_overdue is None:
        return 0.0
    return (table.cutoff - table.oldest_overdue).total_seconds()


_OF_JOBS: Mapping[str, Callable[[Metrics, Any, datetime], None]] = {
    "BackupResult": _add_backup,
    "CleanupResult": _add_cleanup,
    "ExpiryResult": _add_expiry,
    "FeedbackResult": _add_feedback,
    "ReembedResult": _add_reembed,
    "RestoredBackup": _add_restored_backup,
}
"""By name: no function loads the results of another."""
