"""The template as CloudFormation would deploy it: read, transformed by SAM, conditions and parameters put in.

What exists only in AWS becomes a token: `<ArchiveBucket>` for a `!Ref`, `<ArchiveBucket.Arn>` for a `!GetAtt`.
"""

from __future__ import annotations

import copy
import functools
import json
import operator
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from tools.cloudformation import read_template

ROOT = Path(__file__).resolve().parents[2]
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "ap-northeast-2",
    "AWS::StackName": "teststack",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()
REMOVED = object()
"""For `alter`."""

Json = Any
Template = dict[str, Any]


def load() -> Template:
    """Returns a copy of the template as it is written, intrinsic functions in their long form."""
    return copy.deepcopy(_read_once())


_read_once = functools.cache(read_template)  # 0.2 s of CPU; a copy takes 5 ms


def alter(template: Template, where: str, what: Json) -> None:
    """Put `what` at a dotted path of the template, or take away what is there (`REMOVED`)."""
    *way, last = (int(part) if part.isdecimal() else part for part in where.split("."))
    owner = functools.reduce(operator.getitem, way, cast(Any, template))
    if what is REMOVED:
        del owner[last]
    else:
        owner[last] = what


class SamTransform:
    """The SAM transform of `.venv-sam`, kept running while the context lasts."""

    def __enter__(self) -> Self:
        python = ROOT / ".venv-sam" / "bin" / "python"
        assert python.exists(), "the SAM tools are not installed: make sam"
        self._process = subprocess.Popen(
            [python, ROOT / "tools" / "sam" / "transform.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "AWS_DEFAULT_REGION": PSEUDO["AWS::Region"]},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def __call__(self, template: Template, parameters: Mapping[str, str]) -> Template:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"template": template, "parameters": dict(parameters)}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        transformed: Template = answer["template"]
        return transformed


@dataclass(frozen=True)
class Stack:
    """What one deployment would create.

    Attributes:
        resources: logical id → the resource, with everything resolved that can be.
        template: as it was before SAM.
    """

    resources: Mapping[str, dict[str, Any]]
    template: Template

    def of_type(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and properties of every resource of a type."""
        for name, resource in self.resources.items():
            if resource["Type"] == kind:
                yield name, resource.get("Properties", {})

    def named_by(self, token: object) -> dict[str, Any]:
        """The resource that a token such as `<Queue.Arn>` stands for; empty where it stands for none here."""
        found = re.fullmatch(r"<(\w+)(\.\w+)?>", str(token))
        return self.resources.get(found[1], {}) if found else {}


def deploy(transform: SamTransform, template: Template, **parameters: str) -> Stack:
    """The stack that these parameters give; the others take their defaults."""
    values = _values(template, parameters)
    transformed = transform(template, values)
    resolve = _Resolver(transformed, _lists_split(template, values))
    resources = {
        name: resolve({key: value for key, value in resource.items() if key != "Condition"})
        for name, resource in transformed["Resources"].items()
        if "Condition" not in resource or resolve.condition(resource["Condition"])
    }
    return Stack(resources, template)


def complaints(template: Template, **parameters: str) -> list[str]:
    """What the template's rules say against these parameters, before anything is created."""
    resolve = _Resolver(template, _lists_split(template, _values(template, parameters)))
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if resolve(rule.get("RuleCondition", True))
        for assertion in rule["Assertions"]
        if not resolve(assertion["Assert"])
    ]


def _values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Every parameter's value: as given, or its default."""
    return {name: str(given.get(name, spec.get("Default", ""))) for name, spec in template["Parameters"].items()}


def _lists_split(template: Template, values: Mapping[str, str]) -> dict[str, Json]:
    lists = {name for name, spec in template["Parameters"].items() if spec["Type"] == "CommaDelimitedList"}
    return {name: value.split(",") if name in lists else value for name, value in values.items()}


_PURE: Mapping[str, Callable[[Json], Json]] = {
    "And": all,
    "Contains": lambda given: given[1] in given[0],
    "Equals": lambda given: str(given[0]) == str(given[1]),
    "GetAtt": lambda given: f"<{'.'.join(given)}>",
    "Join": lambda given: given[0].join(given[1]),
    "Not": lambda given: not given[0],
    "Or": any,
    "Select": lambda given: given[1][int(given[0])] if int(given[0]) < len(given[1]) else "",
    "Split": lambda given: given[1].split(given[0]),
}
"""Functions of nothing but their resolved argument."""


class _Resolver:
    """CloudFormation's intrinsic functions, as far as the template uses them."""

    def __init__(self, template: Template, parameters: Mapping[str, Json]) -> None:
        self._conditions = template.get("Conditions", {})
        self._parameters = parameters

    def __call__(self, node: Json) -> Json:
        if isinstance(node, list):
            return [value for value in map(self, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name in ("Ref", "Condition") and isinstance(argument, str):
                return self._ref(argument) if name == "Ref" else self.condition(argument)
            if name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        resolved = {key: self(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def condition(self, name: str) -> bool:
        return bool(self(self._conditions[name]))

    def _ref(self, name: str) -> Json:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self._parameters.get(name, PSEUDO.get(name, f"<{name}>"))

    def _function(self, name: str, argument: Json) -> Json:
        if name == "If":
            return self(argument[1] if self.condition(argument[0]) else argument[2])
        if name == "Sub":
            return self._sub(argument)
        if name not in _PURE:
            raise NotImplementedError(name)
        return _PURE[name](self(argument))

    def _sub(self, argument: Json) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else (argument[0], self(argument[1]))

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in own:
                return str(own[name])
            return f"<{name}>" if "." in name else str(self._ref(name))

        return re.sub(r"\$\{([\w:.]+)\}", value, text)
