"""What every deployment of the template must hold and no linter looks at.

A rule takes a stack and yields one sentence for each problem. `test_rules.py` holds the template to all of them, and
breaks a copy of it once for each sentence to see that the rule bites.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from nightshift.errors import InvalidEvent
from nightshift.run import parse_event
from tests.template import cron
from tests.template.bus import loops_end, rules_deliver
from tests.template.cloudformation import PSEUDO, Stack
from tests.template.iam import listed, lists_all
from tests.template.surface import names_are_the_stacks_own, outputs_tell_the_names, parameters_are_guarded

RUNTIME = "python3.13"
ARCHITECTURES = ("arm64", "x86_64")
TWO_WEEKS_S = 1_209_600
"""The longest that SQS keeps a message."""
NETWORK_INTERFACES = "arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"
OBJECTS = "arn:aws:s3:::"
STAMP = re.compile(r"<\w+\.Arn>/[^*]+/\*/proven\.json")
"""A rehearsal's, in whichever backup's folder."""
LOG_GROUP = re.compile(r"arn:\*:logs:\*:\*:log-group:[^*:]+:\*")
"""A log group that is named, as far as CloudFormation can name each of a list; its policy has to hold the region."""
IN_THIS_REGION = {"StringEquals": {"aws:RequestedRegion": PSEUDO["AWS::Region"]}}
ANY_LOG_GROUP = f"arn:aws:logs:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}:log-group:*"
"""What DescribeLogGroups wants: IAM is asked about no group by its name."""
Problems = Iterator[str]
Rule = Callable[[Stack], Problems]


def functions_run_on_lambda(stack: Stack) -> Problems:
    """Runtime, processor, limits: `sam validate --lint` lets wrong ones pass on serverless functions."""
    processors = {
        a for _, layer in stack.of_type("AWS::Lambda::LayerVersion") for a in layer["CompatibleArchitectures"]
    }
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if function.get("Runtime") != RUNTIME:
            yield f"{name} runs on {function.get('Runtime')}, the layers are built for {RUNTIME}"
        if function.get("Architectures") not in [[one] for one in ARCHITECTURES]:
            yield f"{name} has no one known architecture: {function.get('Architectures')}"
        elif set(function["Architectures"]) != processors:
            yield f"{name} runs on {function['Architectures']}, its layers on {sorted(processors)}"
        for key, low, high in (("Timeout", 1, 900), ("MemorySize", 128, 10_240)):
            if not low <= int(function.get(key, 0)) <= high:
                yield f"{name}: {key} {function.get(key)} is not within {low} to {high}"
        if not 512 <= int(function.get("EphemeralStorage", {}).get("Size", 512)) <= 10_240:
            yield f"{name}: /tmp of {function['EphemeralStorage']['Size']} MB is not within 512 to 10240"
        if len(function.get("Layers", ())) > 5:
            yield f"{name} has more than five layers"


def functions_keep_their_logs(stack: Stack) -> Problems:
    """A log group of the stack's own, with a retention; JSON; no level that drops the metrics."""
    for name, function in stack.of_type("AWS::Lambda::Function"):
        logging = function.get("LoggingConfig", {})
        group = stack.named_by(logging.get("LogGroup"))
        if group.get("Type") != "AWS::Logs::LogGroup":
            yield f"{name} has no log group of its own"
        elif int(group["Properties"].get("RetentionInDays", 0)) < 1:
            yield f"{name} keeps its logs for ever"
        if logging.get("LogFormat") != "JSON":
            yield f"{name} does not log JSON"
        if logging.get("ApplicationLogLevel", "INFO") not in ("DEBUG", "INFO"):
            yield f"{name} logs above INFO only, which drops its metrics"


def failed_runs_are_kept(stack: Stack) -> Problems:
    """Retries, then a queue: the event and the error of a run that failed for good."""
    configured = {c["FunctionName"]: c for _, c in stack.of_type("AWS::Lambda::EventInvokeConfig")}
    for name, function in stack.of_type("AWS::Lambda::Function"):
        invoke = configured.get(f"<{name}>", {})
        if int(invoke.get("MaximumRetryAttempts", 0)) < 1:
            yield f"{name} is not tried again"
        target = invoke.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if stack.named_by(target).get("Type") != "AWS::SQS::Queue":
            yield f"{name} has no queue for failed runs"
        elif not _allows(stack, function.get("Role"), "sqs:SendMessage", target):
            yield f"{name} may not send to its queue for failed runs"


def functions_are_started(stack: Stack) -> Problems:
    """By a schedule of its own or a rule, or declared to be started by hand; never both, never neither."""
    started = {schedule["Target"]["Arn"] for _, schedule in stack.of_type("AWS::Scheduler::Schedule")}
    started |= {target["Arn"] for _, rule in stack.of_type("AWS::Events::Rule") for target in rule["Targets"]}
    for name, _ in stack.of_type("AWS::Lambda::Function"):
        by_hand = stack.resources[name].get("Metadata", {}).get("StartedBy") == "hand"
        if by_hand and f"<{name}.Arn>" in started:
            yield f"{name} is to be started by hand, and has a schedule"
        if not by_hand and f"<{name}.Arn>" not in started:
            yield f"nothing starts {name}"


def schedules_deliver(stack: Stack) -> Problems:
    """A real clock, a legal expression, a queue for what could not be delivered, and an input that the frame reads."""
    for name, schedule in stack.of_type("AWS::Scheduler::Schedule"):
        target = schedule["Target"]
        try:
            ZoneInfo(schedule["ScheduleExpressionTimezone"])
        except (KeyError, ValueError, OSError):
            yield f"{name}: {schedule.get('ScheduleExpressionTimezone')} is no time zone"
        try:
            cron.check(schedule["ScheduleExpression"])
        except ValueError as exc:
            yield f"{name}: {exc}"
        if int(target.get("RetryPolicy", {}).get("MaximumRetryAttempts", 0)) < 1:
            yield f"{name} is delivered once or never"
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if stack.named_by(queue).get("Type") != "AWS::SQS::Queue":
            yield f"{name} has no queue for undelivered events"
        elif not _allows(stack, target["RoleArn"], "sqs:SendMessage", queue):
            yield f"{name} may not send to its queue for undelivered events"
        if not _allows(stack, target["RoleArn"], "lambda:InvokeFunction", target["Arn"]):
            yield f"{name} may not invoke its function"
        yield from _input_problems(name, target.get("Input"))


def queues_hold_what_they_get(stack: Stack) -> Problems:
    """Encrypted, as long as SQS can, and somebody is told."""
    watched = {
        str(dimension["Value"]).split(".")[0].strip("<>")
        for _, alarm in stack.of_type("AWS::CloudWatch::Alarm")
        for dimension in alarm.get("Dimensions", ())
        if alarm.get("MetricName") == "ApproximateNumberOfMessagesVisible"
    }
    for name, queue in stack.of_type("AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"
        if queue.get("MessageRetentionPeriod") != TWO_WEEKS_S:
            yield f"{name} forgets before two weeks are over"
        if name not in watched:
            yield f"nobody is told of messages in {name}"


def functions_are_watched(stack: Stack) -> Problems:
    """An alarm on each function's errors; alarms on our own metrics look where the function writes them."""
    alarms = [alarm for _, alarm in stack.of_type("AWS::CloudWatch::Alarm")]
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if not any(
            alarm.get("MetricName") == "Errors"
            and {"Name": "FunctionName", "Value": f"<{name}>"} in alarm["Dimensions"]
            for alarm in alarms
        ):
            yield f"nobody is told of errors in {name}"
        variables = function["Environment"]["Variables"]
        for metric in _own_metrics(alarms):
            if metric["Namespace"] != variables["POWERTOOLS_METRICS_NAMESPACE"]:
                yield f"an alarm looks at {metric['Namespace']}, {name} writes elsewhere"
    told = "AlarmTopic" in stack.resources
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm"):
        if told and alarm.get("AlarmActions") != ["<AlarmTopic>"]:
            yield f"{name} tells nobody"
        if alarm.get("TreatMissingData") != "notBreaching":
            yield f"{name} cries where nothing ran"


def roles_are_narrow(stack: Stack) -> Problems:
    """No wildcard action, no resource that is not named, no policy of somebody else's making."""
    for name, role in stack.of_type("AWS::IAM::Role"):
        for statement in _statements(role):
            wild = [action for action in listed(statement["Action"]) if "*" in action]
            wide = [resource for resource in listed(statement["Resource"]) if not _is_narrow(resource, statement)]
            yield from (f"{name}: wildcard action {action}" for action in wild)
            if lists_all(statement):
                yield f"{name} may list all of a bucket"
            yield from (f"{name}: {statement['Action']} on {resource}" for resource in wide)
        for arn in role.get("ManagedPolicyArns", ()):
            # A network interface has no ARN before it exists: the one case for AWS's own policy, and only in a VPC.
            if arn != NETWORK_INTERFACES or not any(
                "VpcConfig" in f for _, f in stack.of_type("AWS::Lambda::Function")
            ):
                yield f"{name}: managed policy {arn}"
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            if set(statement["Principal"]) != {"Service"}:
                yield f"{name} can be assumed by {statement['Principal']}"


def buckets_are_safe(stack: Stack) -> Problems:
    """They outlive the stack, keep versions, are closed to the world, encrypted, and tidied."""
    for name, bucket in stack.of_type("AWS::S3::Bucket"):
        resource = stack.resources[name]
        if {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} != {"Retain"}:
            yield f"{name} goes with its stack"
        if bucket.get("VersioningConfiguration") != {"Status": "Enabled"}:
            yield f"{name} keeps no versions"
        closed = bucket.get("PublicAccessBlockConfiguration", {})
        if len(closed) != 4 or not all(value is True for value in closed.values()):
            yield f"{name} is not closed to the public"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} obeys ACLs"
        yield from _encryption_problems(name, bucket)
        rules = [r for r in bucket.get("LifecycleConfiguration", {}).get("Rules", ()) if r["Status"] == "Enabled"]
        for needed in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration", "ExpiredObjectDeleteMarker"):
            if not any(needed in rule for rule in rules):
                yield f"{name} never tidies up: {needed}"
        if any(key in rule for rule in rules for key in ("ExpirationInDays", "ExpirationDate")):
            yield f"{name} deletes what it is to keep"
        if not any(_demands_tls(p, name) for _, p in stack.of_type("AWS::S3::BucketPolicy")):
            yield f"{name} answers without TLS"


RULES: tuple[Rule, ...] = (
    functions_run_on_lambda,
    functions_keep_their_logs,
    failed_runs_are_kept,
    functions_are_started,
    loops_end,
    schedules_deliver,
    rules_deliver,
    queues_hold_what_they_get,
    functions_are_watched,
    roles_are_narrow,
    buckets_are_safe,
    names_are_the_stacks_own,
    parameters_are_guarded,
    outputs_tell_the_names,
)


def problems(stack: Stack) -> list[str]:
    """What any rule finds."""
    return [problem for rule in RULES for problem in rule(stack)]


def _input_problems(name: str, given: object) -> Problems:
    text = str(given).replace("<aws.scheduler.scheduled-time>", "2025-10-13T00:00:00Z")
    text = text.replace("<aws.scheduler.schedule-arn>", "arn:aws:scheduler:ap-northeast-2:123456789012:schedule/d/n")
    if "<aws.scheduler.execution-id>" in text:
        yield f"{name}: the execution id differs from one attempt to the next"
    try:
        run = parse_event("cleanup", json.loads(text), None, now=datetime(2025, 10, 13, 0, 1, tzinfo=UTC))
    except (ValueError, InvalidEvent) as exc:
        yield f"{name}: the input is not understood: {exc}"
        return
    if run.as_of != datetime(2025, 10, 13, tzinfo=UTC):
        yield f"{name} does not carry its scheduled time"


def _own_metrics(alarms: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for alarm in alarms:
        inner = [entry["MetricStat"]["Metric"] for entry in alarm.get("Metrics", ()) if "MetricStat" in entry]
        yield from (metric for metric in (alarm, *inner) if not metric.get("Namespace", "AWS/").startswith("AWS/"))


def _allows(stack: Stack, role: object, action: str, resource: object) -> bool:
    statements = _statements(stack.named_by(role).get("Properties", {}))
    return any(action in listed(s["Action"]) and resource in listed(s["Resource"]) for s in statements)


def _statements(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for policy in role.get("Policies", ()):
        yield from policy["PolicyDocument"]["Statement"]


def _is_narrow(resource: str, statement: dict[str, Any]) -> bool:
    """Named to the end, or what lies below a prefix of a bucket: of ours, or of one that the operator named."""
    if STAMP.fullmatch(resource):
        return True
    if LOG_GROUP.fullmatch(resource):
        return bool(statement.get("Condition") == IN_THIS_REGION)
    if resource == ANY_LOG_GROUP:
        return bool(statement["Action"] == "logs:DescribeLogGroups")
    ours = resource.startswith("<")
    named, _, rest = resource.partition("/") if ours or resource.startswith(OBJECTS) else (resource, "", "")
    below = rest.endswith("/*") or (rest == "*" and not ours)
    return "*" not in named and (not rest or "*" not in rest or (below and "*" not in rest[:-1]))


def _encryption_problems(name: str, bucket: dict[str, Any]) -> Problems:
    configured = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [{}])[0]
    default = configured.get("ServerSideEncryptionByDefault", {})
    if default.get("SSEAlgorithm") not in ("AES256", "aws:kms"):
        yield f"{name} is not encrypted"
    if default.get("SSEAlgorithm") == "aws:kms":
        if not str(default.get("KMSMasterKeyID", "")).startswith("arn:"):
            yield f"{name} is encrypted by a key that nobody named"
        if configured.get("BucketKeyEnabled") is not True:
            yield f"{name} asks KMS once for every object"


def _demands_tls(policy: dict[str, Any], bucket: str) -> bool:
    return policy["Bucket"] == f"<{bucket}>" and any(
        statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Action"] == "s3:*"
        and set(statement["Resource"]) == {f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"}
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in policy["PolicyDocument"]["Statement"]
    )
