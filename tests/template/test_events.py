"""The schedule, the files in events/, and the handlers fit together."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from nightshift.feedback import evaluation
from nightshift.job_spec import load_object, load_spec
from nightshift.run import parse_event
from reembed import job as reembed
from tests.template.bus import KINDS
from tests.template.cloudformation import ROOT, Stack
from tests.template.conftest import BEDROCK
from tests.template.iam import Call, grants_of, listed

EVENTS = sorted((ROOT / "events").glob("*.json"))
NOW = datetime.now(UTC)


def job_of(function: dict[str, Any]) -> str:
    return str(function["Handler"]).split(".", 1)[0]


def request_of(job: str) -> type[BaseModel] | None:
    """The model of the event keys that only this job has."""
    request = load_spec(job).request
    return load_object(request) if request else None


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: str(path.name))
def test_every_event_is_understood(path: Path) -> None:
    job = path.name.split(".", 1)[0]
    run = parse_event(job, json.loads(path.read_bytes()), None, now=NOW, request=request_of(job))
    assert run.as_of <= NOW
    assert run.dry_run is path.name.endswith(".dry_run.json")


def test_every_schedule_ends_in_a_handler_that_understands_it(stack: Stack) -> None:
    """Schedule, function, module, handler, event: one chain, each link looked up from the one before."""
    for name, schedule in stack.of_type("AWS::Scheduler::Schedule"):
        function = stack.named_by(schedule["Target"]["Arn"])["Properties"]
        job = job_of(function)
        sent = json.loads(schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", "2025-10-13T00:00:00Z"))
        assert parse_event(job, sent, None, now=NOW, request=request_of(job)).job == job, name
        kept = json.loads((ROOT / "events" / f"{job}.json").read_bytes())
        assert sent.keys() == kept.keys(), name


def test_every_rule_ends_in_a_handler_that_understands_what_it_lets_through(stack: Stack) -> None:
    """As the kept event has it, which is what `feedback` sends; and as the job itself sends it, to go on."""
    for name, rule in stack.of_type("AWS::Events::Rule"):
        (target,) = rule["Targets"]
        job = job_of(stack.named_by(target["Arn"])["Properties"])
        kept = json.loads((ROOT / "events" / f"{job}.json").read_bytes())
        assert {kept["source"]} == set(rule["EventPattern"]["source"]), name
        assert kept["detail-type"] in rule["EventPattern"]["detail-type"], name
        first = parse_event(job, kept, None, now=NOW, request=request_of(job))
        assert (first.as_of.isoformat(), first.request.continuation) == ("2025-10-17T00:00:00+00:00", 0)
        again = {**kept, "detail-type": "ReembedUnfinished", "detail": first.request.next_request("stale", force=False)}
        assert parse_event(job, again, None, now=NOW, request=request_of(job)).request.continuation == 1


def test_the_rules_let_through_what_the_jobs_send() -> None:
    assert {evaluation.KIND, reembed.UNFINISHED} == set(KINDS)


def test_every_handler_can_be_imported_and_called(stack: Stack) -> None:
    for name, function in stack.of_type("AWS::Lambda::Function"):
        module, _, handler = function["Handler"].rpartition(".")
        found = import_module(module)
        assert Path(str(found.__file__)).is_relative_to(ROOT / "functions"), name
        inspect.signature(getattr(found, handler)).bind("event", "context")
        assert function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == job_of(function), name


def test_every_job_has_a_function_and_an_event(stack: Stack) -> None:
    deployed = {job_of(function) for _, function in stack.of_type("AWS::Lambda::Function")}
    for app in (ROOT / "functions").glob("*/app.py"):
        assert app.parent.name in deployed
        assert (ROOT / "events" / f"{app.parent.name}.json").exists()


def test_a_function_reaches_everything_it_is_told_to_use(stack: Stack) -> None:
    """What the environment names, the role allows, and nothing that was left out."""
    for name, function in stack.of_type("AWS::Lambda::Function"):
        variables = function["Environment"]["Variables"]
        statements = [
            statement
            for policy in stack.named_by(function["Role"])["Properties"]["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
        ]
        secrets = {s["Resource"] for s in statements if s["Action"] == "secretsmanager:GetSecretValue"}
        assert secrets == {arn for key, arn in variables.items() if key.endswith("SECRET_ARN") and arn}, name
        keys = {s["Resource"] for s in statements if "kms:GenerateDataKey" in s["Action"]}
        assert keys == {variables.get("ARCHIVE_KMS_KEY", ""), variables.get("BACKUP_KMS_KEY", "")} - {""}, name
        buses = {s["Resource"] for s in statements if s["Action"] == "events:PutEvents"}
        assert buses == ({"<EventBus.Arn>"} if variables.get("EVENT_BUS") == "<EventBus>" else set()), name
        logins = [s["Resource"] for s in statements if s["Action"] == "rds-db:connect"]
        assert bool(logins) is (variables["DATABASE_IAM_AUTH"] == "on"), name
        policy = variables.get("NIGHTSHIFT_CONFIG", "")
        readable = [s["Resource"] for s in statements if s["Action"] in ("ssm:GetParameter", "s3:GetObject")]
        assert [str(arn).split(":", 5)[5] for arn in readable if str(arn).startswith("arn:")] == {
            "": [],
            "ssm:/nightshift/retention": ["parameter/nightshift/retention"],
            "s3://config.example.com/nightshift/retention.toml": ["config.example.com/nightshift/retention.toml"],
        }[policy], name


def test_files_are_deleted_where_the_function_is_told_to_and_never_read(stack: Stack) -> None:
    (function,) = (f for _, f in stack.of_type("AWS::Lambda::Function") if job_of(f) == "expire_jobs")
    variables = function["Environment"]["Variables"]
    granted = {
        action: (statement["Resource"], statement.get("Condition", {}))
        for policy in stack.resources["ExpireJobsRole"]["Properties"]["Policies"]
        if policy["PolicyName"] == "files"
        for statement in policy["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
    }
    bucket, versions = variables["EXPIRE_FILES_BUCKET"], variables["EXPIRE_FILE_VERSIONS"] == "on"
    arn = f"arn:aws:s3:::{bucket}"
    if not bucket:
        assert granted == {}
    elif not versions:
        listing = {"s3:ListBucket": (arn, {"StringLike": {"s3:prefix": "*"}})}
        assert granted == {"s3:DeleteObject": (f"{arn}/*", {}), **listing}
    else:
        assert granted == {
            "s3:DeleteObjectVersion": (f"{arn}/jobs/*", {}),
            "s3:ListBucket": (arn, {"StringLike": {"s3:prefix": "jobs/*"}}),
            "s3:ListBucketVersions": (arn, {"StringLike": {"s3:prefix": "jobs/*"}}),
        }


def test_files_are_never_what_is_nightshift_s_own(stack: Stack) -> None:
    """Whatever else allows it: no backup, and no version of an archived object; and what it has not written itself."""
    allowed, denied = (list(grants_of(stack, "ExpireJobsRole", {}, effect)) for effect in ("Allow", "Deny"))

    def may(action: str, place: str) -> bool:
        call = Call(f"s3:{action}", place)
        return any(grant.covers(call) for grant in allowed) and not any(denial.covers(call) for denial in denied)

    def must_not(action: str, place: str) -> bool:
        return any(denial.covers(Call(f"s3:{action}", place)) for denial in denied)

    archive, backup = "<ArchiveBucket.Arn>/archive/x", "<BackupBucket.Arn>/backup/x"
    archives = may("PutObject", archive)
    assert may("DeleteObject", archive) is may("GetObject", archive) is archives
    assert must_not("DeleteObject", archive) is not archives
    assert must_not("DeleteObjectVersion", archive)
    assert must_not("DeleteObject", backup) and must_not("DeleteObjectVersion", backup)


def test_no_two_functions_share_a_database_secret_where_each_has_its_own(stack: Stack) -> None:
    functions = [function["Environment"]["Variables"] for _, function in stack.of_type("AWS::Lambda::Function")]
    arns = [variables["DATABASE_SECRET_ARN"] for variables in functions]
    assert len(set(arns)) == (len(functions) if arns[0] else 1)


def test_one_model_is_invoked_as_it_is_named(stack: Stack) -> None:
    """By its name, in the stack's region; or by an ARN, and what is behind an inference profile through it alone."""
    (function,) = (f for _, f in stack.of_type("AWS::Lambda::Function") if job_of(f) == "reembed")
    model = function["Environment"]["Variables"]["EMBEDDING_MODEL"]
    granted = [
        (statement["Resource"], statement.get("Condition"))
        for policy in stack.resources["ReembedRole"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "bedrock:InvokeModel"
    ]
    titan = f"{BEDROCK}::foundation-model/amazon.titan-embed-text-v2:0"
    if model.startswith("arn:"):
        through = {"StringEquals": {"bedrock:InferenceProfileArn": model}}
        assert granted == [(model, None), ([titan], through)]
    else:
        assert granted == [(titan, None)]


def test_a_restore_reads_the_archive_and_can_change_nothing_in_it(stack: Stack) -> None:
    (policy,) = (p for p in stack.resources["RestoreRole"]["Properties"]["Policies"] if p["PolicyName"] == "archive")
    reads, lists, *decrypts = policy["PolicyDocument"]["Statement"]
    assert reads == {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:GetObjectVersion"],
        "Resource": "<ArchiveBucket.Arn>/archive/*",
    }
    assert lists == {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": "<ArchiveBucket.Arn>",
        "Condition": {"StringLike": {"s3:prefix": "archive/*"}},
    }
    encryption = stack.resources["ArchiveBucket"]["Properties"]["BucketEncryption"]
    default = encryption["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
    assert [(s["Action"], s["Resource"]) for s in decrypts] == [
        ("kms:Decrypt", key) for key in (default.get("KMSMasterKeyID"),) if key
    ]
    others = [
        s["Action"]
        for p in stack.resources["RestoreRole"]["Properties"]["Policies"]
        if p is not policy
        for s in p["PolicyDocument"]["Statement"]
    ]
    assert not [action for action in others if str(action).startswith("s3:")]


def test_log_groups_are_read_as_they_are_named(stack: Stack) -> None:
    variables, granted = _backup(stack)
    names = [name for name in variables["BACKUP_LOG_GROUPS"].split(",") if name]
    groups = [f"arn:*:logs:*:*:log-group:{name}:*" for name in names]
    wanted = {"logs:FilterLogEvents": groups} if groups else {}
    if variables["BACKUP_LOG_RETENTION_DAYS"]:
        everywhere = "arn:aws:logs:ap-northeast-2:123456789012:log-group:*"
        wanted |= {"logs:PutRetentionPolicy": groups, "logs:DescribeLogGroups": [everywhere]}
    reads = {action: resources for action, resources in granted.items() if action.startswith("logs:")}
    for lambdas_own in ("logs:CreateLogStream", "logs:PutLogEvents"):
        del reads[lambdas_own]
    assert reads == wanted


def test_backups_are_locked_where_that_is_asked_for_and_nobody_may_lift_it(stack: Stack) -> None:
    variables, granted = _backup(stack)
    locked = bool(variables["BACKUP_OBJECT_LOCK_DAYS"])
    assert stack.resources["BackupBucket"]["Properties"].get("ObjectLockEnabled", False) is locked
    assert ("s3:PutObjectRetention" in granted, "s3:DeleteObjectVersion" in granted) == (locked, locked)
    assert ("s3:DeleteObject" in granted) is not locked
    assert "s3:BypassGovernanceRetention" not in granted
    days = int(variables["BACKUP_OBJECT_LOCK_DAYS"] or 0)
    locks = [grant for grant in grants_of(stack, "BackupRole", {}) if grant.action == "s3:PutObjectRetention"]
    for mode, asked in (("GOVERNANCE", days), ("GOVERNANCE", days + 1), ("COMPLIANCE", days), ("COMPLIANCE", 1)):
        context = {("s3:object-lock-mode", mode), ("s3:object-lock-remaining-retention-days", str(asked))}
        call = Call("s3:PutObjectRetention", "<BackupBucket.Arn>/backup/x", frozenset(context))
        assert any(lock.covers(call) for lock in locks) is (locked and (mode, asked) == ("GOVERNANCE", days))


def _backup(stack: Stack) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The variables of `backup`, and its role's actions with their resources."""
    (function,) = (f for _, f in stack.of_type("AWS::Lambda::Function") if job_of(f) == "backup")
    granted: dict[str, list[str]] = {}
    for policy in stack.resources["BackupRole"]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            for action in listed(statement["Action"]):
                granted.setdefault(action, []).extend(listed(statement["Resource"]))
    return function["Environment"]["Variables"], granted
