"""Writes metrics in CloudWatch's embedded format: log lines that CloudWatch parses, so no call and no permission.

Namespace `nightshift`, dimension `service` = the job. Written only on Lambda, where they are collected.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from nightshift.errors import NotifyError
from nightshift.results.common import JobResult, RunStatus

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
        for metric in result.list_metrics(as_of):
            metrics.add_metric(metric.name, metric.unit, metric.value)
    metrics.flush_metrics()
