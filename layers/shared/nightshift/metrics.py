"""Metrics in CloudWatch's embedded format: a log line that CloudWatch turns into numbers, so no call and no permission.

Namespace `nightshift`, dimension `service` = the job. Written only where somebody collects them: on Lambda.
"""

from __future__ import annotations

from collections.abc import Mapping

from nightshift.errors import NotifyError
from nightshift.results import CleanupResult, JobResult, Status, TableResult

NAMESPACE = "nightshift"


def emit(environ: Mapping[str, str], job: str, *, result: JobResult | None, error: Exception | None) -> None:
    """Write a run's metrics.

    Args:
        environ: tells whether we are on Lambda.
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
        metrics.add_metric("RunRefused", MetricUnit.Count, int(result.status is Status.REFUSED))
        metrics.add_metric("RunPartial", MetricUnit.Count, int(result.status is Status.PARTIAL))
    if isinstance(result, CleanupResult):
        metrics.add_metric("ArchivedRows", MetricUnit.Count, sum(t.archived_rows for t in result.tables))
        metrics.add_metric("ArchivedBytes", MetricUnit.Bytes, sum(t.bytes for t in result.tables))
        metrics.add_metric(
            "OldestOverdueSeconds", MetricUnit.Seconds, max(map(_overdue_seconds, result.tables), default=0)
        )
    metrics.flush_metrics()


def _overdue_seconds(table: TableResult) -> float:
    """How far past its cutoff the oldest row is that a run left behind; 0 where it left none."""
    if table.cutoff is None or table.oldest_overdue is None:
        return 0.0
    return (table.cutoff - table.oldest_overdue).total_seconds()
