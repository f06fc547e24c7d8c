"""Rules on the event bus: who listens gets what is sent, nothing is lost on the way, and no loop is without end.

The detail types are those that the code sends: an event of another name would start nothing, and nobody would notice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nightshift.event_bus import SOURCE
from tests.template.cloudformation import Stack
from tests.template.iam import grants_of, listed

KINDS = ("FeedbackThresholdExceeded", "ReembedUnfinished")
"""What `feedback` and `reembed` send; the tests of the handlers hold them to it."""


def rules_deliver(stack: Stack) -> Iterator[str]:
    """From a bus of the stack's own, our events, with retries, a queue for what is not delivered, and leave to call."""
    for name, rule in stack.of_type("AWS::Events::Rule"):
        if stack.named_by(rule.get("EventBusName")).get("Type") != "AWS::Events::EventBus":
            yield f"{name} listens to a bus that is not the stack's"
        pattern = rule.get("EventPattern", {})
        if pattern.get("source") != [SOURCE]:
            yield f"{name} hears of others than {SOURCE}"
        yield from (f"{name} never hears of {kind}" for kind in KINDS if kind not in pattern.get("detail-type", ()))
        for target in rule["Targets"]:
            if int(target.get("RetryPolicy", {}).get("MaximumRetryAttempts", 0)) < 1:
                yield f"{name} is delivered once or never"
            if "Input" in target or "InputPath" in target or "InputTransformer" in target:
                yield f"{name} changes the event, and its time is lost"
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            if stack.named_by(queue).get("Type") != "AWS::SQS::Queue":
                yield f"{name} has no queue for undelivered events"
            elif not _may_send(stack, f"<{name}.Arn>", queue):
                yield f"{name} may not send to its queue for undelivered events"
            if not _may_invoke(stack, f"<{name}.Arn>", target["Arn"]):
                yield f"{name} may not invoke its function"


def loops_end(stack: Stack) -> Iterator[str]:
    """Lambda stops functions that call themselves; all but one that goes on by its own events, as it is meant to."""
    listening = {target["Arn"] for _, rule in stack.of_type("AWS::Events::Rule") for target in rule["Targets"]}
    for name, function in stack.of_type("AWS::Lambda::Function"):
        sends = any(grant.action == "events:PutEvents" for grant in grants_of(stack, function["Role"], {}))
        goes_on = sends and f"<{name}.Arn>" in listening
        if goes_on and function.get("RecursiveLoop") != "Allow":
            yield f"{name} may be stopped before it is through"
        if not goes_on and function.get("RecursiveLoop") != "Terminate":
            yield f"{name} may call itself for ever"


def _may_send(stack: Stack, rule: str, queue: Any) -> bool:
    """A rule sends to a queue by the queue's policy, not by a role; to this rule alone."""
    return any(
        statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "events.amazonaws.com"}
        and listed(statement["Action"]) == ["sqs:SendMessage"]
        and statement["Resource"] == queue
        and statement.get("Condition") == {"ArnEquals": {"aws:SourceArn": rule}}
        for _, policy in stack.of_type("AWS::SQS::QueuePolicy")
        if queue.replace(".Arn", "") in policy["Queues"]
        for statement in policy["PolicyDocument"]["Statement"]
    )


def _may_invoke(stack: Stack, rule: str, function: str) -> bool:
    return any(
        permission["Action"] == "lambda:InvokeFunction"
        and permission["Principal"] == "events.amazonaws.com"
        and permission["SourceArn"] == rule
        and f"<{str(permission['FunctionName']).strip('<>').removesuffix('.Arn')}.Arn>" == function
        for _, permission in stack.of_type("AWS::Lambda::Permission")
    )
