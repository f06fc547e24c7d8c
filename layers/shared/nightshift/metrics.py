"""Writes metrics in CloudWatch's embedded metric format: log lines from which CloudWatch extracts the metrics.

This format needs no API call and no permission. The namespace is `nightshift`, and the dimension `service` is the job.
The module writes metrics only on Lambda, because only Lambda's logs go to CloudWatch.
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
    """Writes a run's metrics.

    Args:
        environ: the process's environment. On Lambda, AWS_LAMBDA_FUNCTION_NAME is set.
        error: the error of the run. A `NotifyError` counts as `NotifyFailed`, every other error as `RunFailed`.
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
