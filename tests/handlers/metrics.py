"""What a function writes for CloudWatch, and what the template's alarms look at."""

from __future__ import annotations

import json
from typing import Any

from local.lambda_runtime import InvokeResult
from tests.template.cloudformation import load

NAMESPACE = "nightshift/teststack"
"""What the template would put into POWERTOOLS_METRICS_NAMESPACE."""


def measured(environment: dict[str, str]) -> dict[str, str]:
    """An environment in which metrics are written."""
    own = {name: value for name, value in environment.items() if name != "POWERTOOLS_METRICS_DISABLED"}
    return {**own, "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE}


def written(result: InvokeResult) -> list[dict[str, Any]]:
    """The metrics of an invocation, each line of them parsed."""
    return [json.loads(line) for line in result.logs.splitlines() if line.startswith('{"_aws"')]


def names(job: str, lines: list[dict[str, Any]]) -> set[str]:
    """Names of all metrics in these lines, which are where the alarms of a job look for them."""
    descriptions = [line["_aws"]["CloudWatchMetrics"][0] for line in lines]
    assert {one["Namespace"] for one in descriptions} == {NAMESPACE}
    assert {line["service"] for line in lines} == {job}
    assert all(one["Dimensions"] == [["service"]] for one in descriptions)
    return {metric["Name"] for one in descriptions for metric in one["Metrics"]}


def alarmed(job: str) -> set[str]:
    """Names of the job's own metrics that the template's alarms look at."""
    alarms = [r["Properties"] for r in load()["Resources"].values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    inner = [entry["MetricStat"]["Metric"] for a in alarms for entry in a.get("Metrics", ()) if "MetricStat" in entry]
    service = {"Name": "service", "Value": job}
    return {metric["MetricName"] for metric in (*alarms, *inner) if service in metric.get("Dimensions", ())}
