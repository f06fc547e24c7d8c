"""IAM, as far as the template uses it: what a role grants, what the bucket denies, and which calls fall under it.

Source: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition operators". Whatever the
template does not use (NotAction, other operators) is an error here, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.template.cloudformation import Stack

Context = frozenset[tuple[str, str]]
"""Condition keys of a request with their values."""


@dataclass(frozen=True, order=True)
class Call:
    """Something that AWS asks IAM about before it does it.

    Attributes:
        action: IAM's name of it, e.g. `s3:GetObject`.
        resource: ARN.
        context: the condition keys that the request carries.
    """

    action: str
    resource: str
    context: Context = frozenset()


@dataclass(frozen=True)
class Grant:
    """One action on one resource, as a role allows it, or as a bucket's policy denies it to everybody.

    Attributes:
        conditions: operator, key and the values of which one must match.
    """

    action: str
    resource: str
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    def covers(self, call: Call) -> bool:
        """Returns whether this is about the call."""
        return (
            matches(self.action.lower(), call.action.lower())
            and matches(self.resource, call.resource)
            and all(_holds(*condition, context=dict(call.context)) for condition in self.conditions)
        )


def grants_of(stack: Stack, role: object, known: Mapping[str, str], effect: str = "Allow") -> Iterator[Grant]:
    """What a role allows by policies of the stack's own, or denies.

    Args:
        role: its logical id, or the token of its ARN.
        known: tokens such as `<ArchiveBucket.Arn>`, and what they are in this deployment.
        effect: `Allow` or `Deny`.
    """
    resource = stack.resources.get(str(role)) or stack.named_by(role)
    for policy in resource["Properties"].get("Policies", ()):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement.keys() <= {"Effect", "Action", "Resource", "Condition"}, statement
            assert statement["Effect"] in ("Allow", "Deny"), statement
            if statement["Effect"] == effect:
                yield from _grants(statement, known)


def denials_of(stack: Stack, known: Mapping[str, str]) -> Iterator[Grant]:
    """What the policies of the stack's buckets deny to everybody; `known` as in `grants_of`."""
    for _, policy in stack.of_type("AWS::S3::BucketPolicy"):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement.keys() <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, statement
            assert (statement["Effect"], statement["Principal"]) == ("Deny", "*"), statement
            yield from _grants(statement, known)


def _grants(statement: Mapping[str, Any], known: Mapping[str, str]) -> Iterator[Grant]:
    conditions = tuple(
        (operator, key, tuple(map(str, listed(values))))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )
    for action in listed(statement["Action"]):
        for arn in listed(statement["Resource"]):
            yield Grant(action, _known(arn, known), conditions)


def matches(pattern: str, text: str) -> bool:
    """`*` stands for any characters, slashes included, `?` for one."""
    parts = ({"*": ".*", "?": "."}.get(piece, re.escape(piece)) for piece in re.split(r"([*?])", pattern))
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def listed(value: Any) -> list[str]:
    """IAM takes one or a list of them everywhere."""
    return [value] if isinstance(value, str) else list(value)


def lists_all(statement: Mapping[str, Any]) -> bool:
    """Returns whether it allows a listing that no prefix bounds."""
    lists = any(action.startswith("s3:ListBucket") for action in listed(statement["Action"]))
    return lists and "s3:prefix" not in statement.get("Condition", {}).get("StringLike", {})


def _holds(operator: str, key: str, patterns: tuple[str, ...], context: Mapping[str, str]) -> bool:
    if operator.endswith("IfExists") and key not in context:
        return True
    match operator.removesuffix("IfExists"):
        case "StringEquals" | "Bool":
            return context.get(key) in patterns
        case "StringNotEquals" | "ArnNotEquals":
            return context.get(key) not in patterns
        case "Null":
            return patterns == (str(key not in context).lower(),)
        case "NumericLessThanEquals":
            return key in context and any(float(context[key]) <= float(most) for most in patterns)
        case "StringLike":
            return key in context and any(matches(pattern, context[key]) for pattern in patterns)
    raise NotImplementedError(operator)


def _known(arn: str, known: Mapping[str, str]) -> str:
    for token, value in known.items():
        arn = arn.replace(token, value)
    return arn
