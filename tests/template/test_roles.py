"""The roles as they are written: none but the functions' and the schedules', and every wildcard has its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.template.cloudformation import ROOT, Stack, Template, alter, load
from tests.template.iam import Grant, grants_of

STATEMENTS = "Properties.Policies.1.PolicyDocument.Statement"


def test_a_schedule_may_start_its_function_and_keep_what_it_could_not_deliver(stack: Stack) -> None:
    """And with the functions' own, these are all the roles that there are."""
    roles = {function["Role"] for _, function in stack.of_type("AWS::Lambda::Function")}
    for _, schedule in stack.of_type("AWS::Scheduler::Schedule"):
        target = schedule["Target"]
        assert set(grants_of(stack, target["RoleArn"], {})) == {
            Grant("lambda:InvokeFunction", target["Arn"]),
            Grant("sqs:SendMessage", target["DeadLetterConfig"]["Arn"]),
        }
        roles.add(target["RoleArn"])
    assert {f"<{name}.Arn>" for name, _ in stack.of_type("AWS::IAM::Role")} == roles


def test_every_wildcard_is_explained() -> None:
    """A resource with `*`, or a policy of AWS's own that holds one, stands in the decisions as it is written."""
    decisions = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    assert [wide for wide in wildcards(load()) if f"`{wide}`" not in decisions] == []


def test_a_wildcard_without_a_reason_is_noticed(template: Template) -> None:
    alter(template, f"Resources.CleanupRole.{STATEMENTS}.0.Resource", {"Fn::Sub": "${ArchiveBucket.Arn}/*"})
    alter(template, f"Resources.RestoreRole.{STATEMENTS}.1.Resource", "*")
    assert {"${ArchiveBucket.Arn}/*", "*"} <= set(wildcards(template))


def wildcards(template: Template) -> list[str]:
    """Resources with a `*` that any role may use, and managed policies, as they are written."""
    roles = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    statements = [s for role in roles for s in found(role["Policies"], "Resource")]
    managed = [text for role in roles for text in texts(role.get("ManagedPolicyArns", ()))]
    return [text for s in statements for text in texts(s["Resource"]) if "*" in text] + [
        text.rpartition("/")[2] for text in managed if ":policy/" in text
    ]


def found(node: Any, key: str) -> Iterator[Any]:
    """Every mapping that has the key, at any depth."""
    if isinstance(node, dict) and key in node:
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from found(value, key)


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from texts(value)
