"""Tables from template.yaml: functions, parameters, alarms, outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tools.cloudformation import read_template
from tools.docs import markdown

OPERATORS = {"GreaterThanOrEqualToThreshold": "≥", "GreaterThanThreshold": ">"}


@cache
def load_template() -> Mapping[str, Any]:
    """Returns template.yaml."""
    return read_template()


def functions() -> Mapping[str, Mapping[str, Any]]:
    """Returns each job's function, by the job's name, in the order of the template."""
    found = {}
    for resource in load_template()["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            properties = resource["Properties"]
            found[properties["Handler"].split(".")[0]] = properties
    return found


def refs(node: Any) -> Iterator[str]:
    """Yields the name of every `!Ref` within a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Ref" and isinstance(value, str):
                yield value
            else:
                yield from refs(value)
    elif isinstance(node, list):
        for item in node:
            yield from refs(item)


@cache
def parameters_by_variable() -> Mapping[str, tuple[str, ...]]:
    """Returns the parameters that set each environment variable; none where the stack sets it."""
    template = load_template()
    variables = dict(template["Globals"]["Function"]["Environment"]["Variables"])
    for function in functions().values():
        for name, value in function["Environment"]["Variables"].items():
            variables.setdefault(name, value)
    known = template["Parameters"]
    return {name: tuple(dict.fromkeys(ref for ref in refs(value) if ref in known)) for name, value in variables.items()}


def parameter_table(label: str) -> str:
    """Returns the parameters of a group of the template that set no environment variable."""
    (group,) = [
        group
        for group in load_template()["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        if group["Label"]["default"] == label
    ]
    wired = {name for names in parameters_by_variable().values() for name in names}
    rows = [_parameter_row(name) for name in group["Parameters"] if name not in wired]
    return markdown.table(("Parameter", "Default", "Meaning"), rows)


def _parameter_row(name: str) -> tuple[str, str, str]:
    spec = load_template()["Parameters"][name]
    default = str(spec.get("Default", ""))
    return markdown.code(name), markdown.code(default) if default else "–", spec["Description"].strip()


def function_table() -> str:
    """Returns each function's layers and memory."""
    defaults = load_template()["Parameters"]
    rows = []
    for job, function in functions().items():
        memory = function["MemorySize"]["Ref"]
        layers = ", ".join(layer["Ref"].removesuffix("Layer").lower() for layer in function["Layers"])
        rows.append((markdown.code(job), layers, f"`{memory}`, {defaults[memory]['Default']} MB"))
    return markdown.table(("Function", "Layers", "Memory"), rows)


def alarm_table() -> str:
    """Returns the alarms, with the metric that each watches."""
    rows = []
    for resource in load_template()["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            alarm = resource["Properties"]
            name = alarm["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
            threshold = alarm["Threshold"]
            limit = f"`{threshold['Ref']}`" if isinstance(threshold, dict) else str(threshold)
            metric = alarm.get("MetricName") or alarm["Metrics"][0]["Label"]
            watched = f"{metric} {OPERATORS[alarm['ComparisonOperator']]} {limit}"
            rows.append((markdown.code(name), watched, alarm["AlarmDescription"].strip()))
    return markdown.table(("Alarm", "Fires at", "Meaning"), rows)


def output_table() -> str:
    """Returns the stack's outputs."""
    outputs = load_template()["Outputs"].items()
    return markdown.table(("Output", "Use"), [(markdown.code(name), spec["Description"]) for name, spec in outputs])
