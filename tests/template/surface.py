"""Rules on what a stack shows to the outside: names in the account, parameters, outputs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from tests.template.cloudformation import PSEUDO, Stack

STACK = PSEUDO["AWS::StackName"]
NAMES_OF_OTHERS = {"MetricName"}
"""Properties that end in `Name` and name no resource."""
TOLD = {
    "AWS::Events::EventBus",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
}
"""What an operator asks for by name."""


def names_are_the_stacks_own(stack: Stack) -> Iterator[str]:
    """A second stack in the account must not collide with the first, whatever it is called."""
    rests: dict[str, dict[str, str]] = {}
    for name, key, value in _explicit_names(stack):
        if STACK not in value:
            yield f"{name}: {key} {value} is the same in every stack"
        elif key == "BucketName" and PSEUDO["AWS::AccountId"] not in value:
            yield f"{name}: {key} {value} may be taken, in somebody else's account"
        elif key != "LogGroupName" and not value.startswith(STACK):
            yield f"{name}: {key} {value} does not begin with the stack's name"
        else:
            rests.setdefault(stack.resources[name]["Type"], {})[name] = value.split(STACK, 1)[1]
    for same_type in rests.values():
        for (name, rest), (other, end) in permutations(same_type.items(), 2):
            if rest.endswith(end):
                yield f"{name}: {STACK}{rest} is {other} of the stack {STACK}{rest.removesuffix(end)}"
    for name, output in stack.template.get("Outputs", {}).items():
        if "Export" in output and "AWS::StackName" not in str(output["Export"]):
            yield f"{name} is exported under one name by every stack"


def _explicit_names(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Logical id, property and value of each name that CloudFormation does not make up itself."""
    for name, resource in stack.resources.items():
        for key, value in resource.get("Properties", {}).items():
            if key.endswith("Name") and key not in NAMES_OF_OTHERS and not str(value).startswith("<"):
                yield name, key, str(value)


def parameters_are_guarded(stack: Stack) -> Iterator[str]:
    """Explained, with a default, and no value taken that would only fail later."""
    for name, spec in stack.template["Parameters"].items():
        if not spec.get("Description"):
            yield f"{name} is not explained"
        if "Default" not in spec:
            yield f"{name} has no default"
        if not ("AllowedValues" in spec or "AllowedPattern" in spec or {"MinValue", "MaxValue"} <= spec.keys()):
            yield f"{name} takes anything"
        if "AllowedPattern" in spec and not spec.get("ConstraintDescription"):
            yield f"{name} does not say what it wants"


def outputs_tell_the_names(stack: Stack) -> Iterator[str]:
    """Everything that an operator invokes, reads or empties by hand is named, and every output is explained."""
    outputs = stack.template.get("Outputs", {})
    for name, output in outputs.items():
        if not output.get("Description"):
            yield f"{name} is not explained"
    told = [output["Value"].get("Ref") for output in outputs.values()]
    for name, resource in stack.resources.items():
        if resource["Type"] in TOLD and name not in told:
            yield f"nothing tells the name of {name}"
