"""Least privilege, measured: what the functions ask of AWS is what their roles allow, no less and no more."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import boto3
import pytest

from local.bedrock import BedrockServer
from local.event_bus import EventBusServer
from local.loopback import REGION
from local.postgres import EmbeddedPostgres
from local.s3 import EmbeddedS3
from local.slack import CHANNEL, SlackServer
from local.titan import MODEL
from tests.support.house import SLACK_TOKEN, House
from tests.support.logs_server import LogsServer
from tests.template.cloudformation import SamTransform, alter, deploy, load
from tests.template.conftest import BEDROCK, KEY
from tests.template.deployed import VOTES_ARE_IN, Deployed
from tests.template.iam import Call, Grant, denials_of, grants_of
from tests.template.midnights import make_bucket, midnights, sundays
from tests.template.recorder import Recorder
from tests.template.ways import PROFILE, REPLICA, SECRETS_KEY, USER, ways

NOT_OURS = {
    "logs:CreateLogStream": "Lambda writes the function's log in its name",
    "logs:PutLogEvents": "Lambda writes the function's log in its name",
    "sqs:SendMessage": "Lambda sends a run that failed after its retries to the queue in the function's name",
}
"""Granted, and used by Lambda itself in the role's name: no run of ours can be seen to call it. Why it is there."""


@pytest.fixture(
    scope="module",
    params=["secrets", pytest.param("plain", marks=pytest.mark.slow), pytest.param("tokens", marks=pytest.mark.slow)],
)
def deployed(
    request: pytest.FixtureRequest,
    transform: SamTransform,
    postgres: EmbeddedPostgres,
    s3: EmbeddedS3,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    """One way to deploy, after its nights and its bad days."""
    restored = postgres.create_database(f"permissions_{request.param}_restored")
    url, bucket = postgres.create_database(f"permissions_{request.param}"), f"test-{uuid.uuid4().hex[:12]}"
    files, backups = bucket.replace("test", "files"), bucket.replace("test", "backups")
    for name in (bucket, files):
        s3.create_bucket(name, versioned=True)
    keys: dict[str, str] = {}
    with (
        pytest.MonkeyPatch.context() as patch,
        SlackServer(token=SLACK_TOKEN) as slack,
        EventBusServer() as bus,
        BedrockServer(models=(MODEL, PROFILE)) as bedrock,
        LogsServer() as logs,
        Recorder(s3.endpoint, keys) as recorder,
        Recorder(bus.origin, keys) as bus_recorder,
        Recorder(bedrock.origin, keys) as bedrock_recorder,
        Recorder(logs.origin, keys) as logs_recorder,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        directory = tmp_path_factory.mktemp("permissions")
        parameters = {
            "SlackChannel": CHANNEL,
            "SlackApiUrl": slack.url,
            "ExpireFilesBucket": files,
            **VOTES_ARE_IN,
            **ways(s3, url, restored, keys, directory)[request.param],
        }
        stack = deploy(transform, load(), **parameters)
        house = House({"DATABASE_URL": url, "ARCHIVE_BUCKET": bucket}, s3, slack, directory)
        make_bucket(s3, backups, parameters)
        built = Deployed(
            stack,
            parameters,
            house,
            backups,
            recorder,
            bus=bus,
            bus_recorder=bus_recorder,
            bedrock=bedrock,
            bedrock_recorder=bedrock_recorder,
            logs=logs,
            logs_recorder=logs_recorder,
        )
        try:
            happen(built)
            if request.param == "tokens":
                built.logins(USER.partition("/")[0], REPLICA)
            yield built
        finally:
            house.close()
            for name in ("", "_restored"):
                postgres.drop_database(f"permissions_{request.param}{name}")


def happen(deployed: Deployed) -> None:
    """All that happens to a deployment."""
    deployed.nights()
    deployed.bad_days()
    deployed.hours()
    deployed.mornings()
    midnights(deployed)
    sundays(deployed)


JOBS = ("cleanup", "restore", "expire_jobs", "feedback", "reembed", "backup", "rehearse", "restore_backup")


def test_whatever_a_function_calls_its_role_allows(deployed: Deployed) -> None:
    assert [call for job in JOBS for call in denied(deployed, job)] == []


def test_whatever_a_role_allows_its_function_calls(deployed: Deployed) -> None:
    assert [grant for job in JOBS for grant in unused(deployed, job)] == []


def test_without_any_one_of_its_grants_a_function_is_denied_something(deployed: Deployed) -> None:
    """No two grants say the same, and the two tests above can fail."""
    for job in JOBS:
        grants = grants_for(deployed, job)
        for number, grant in enumerate(grants):
            if grant.action not in NOT_OURS:
                assert denied(deployed, job, grants[:number] + grants[number + 1 :]), grant


ARCHIVE = "Properties.Policies.1.PolicyDocument.Statement"
CLEANUP, RESTORE = (f"Resources.{job}Role.{ARCHIVE}" for job in ("Cleanup", "Restore"))
EXPIRY = "Resources.ExpireJobsRole.Properties.Policies.2.Fn::If.1.PolicyDocument.Statement"
BACKUP, REHEARSE, RESTORE_BACKUP = (f"Resources.{job}Role.{ARCHIVE}" for job in ("Backup", "Rehearse", "RestoreBackup"))
FEEDBACK, REEMBED = (f"Resources.{job}Role.Properties.Policies" for job in ("Feedback", "Reembed"))
STATEMENT = "PolicyDocument.Statement.0"
MODEL_ARN = {"Fn::If": ["ModelIsArn", {"Ref": "EmbeddingModel"}, f"{BEDROCK}::foundation-model/{MODEL}"]}
OTHER_BUS = f"{BEDROCK.replace('bedrock', 'events')}:123456789012:event-bus/default"
EXPIRED_FILES = "Resources.ExpireJobsRole.Properties.Policies.3.Fn::If.1.PolicyDocument.Statement.0"
OTHER_BUCKET = {"Fn::Sub": "arn:aws:s3:::another/${ArchivePrefix}/*"}
STAMPS, MANIFESTS = (
    {"Fn::Sub": f"${{BackupBucket.Arn}}/${{BackupPrefix}}/*/{name}.json"} for name in ("proven", "manifest")
)

TOO_FEW: tuple[tuple[str, Any, str], ...] = (
    (f"{CLEANUP}.0.Action", ["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject"], "s3:PutObject"),
    (f"{CLEANUP}.0.Action", ["s3:PutObject", "s3:GetObjectVersion", "s3:DeleteObject"], "s3:GetObject"),
    (f"{CLEANUP}.0.Action", ["s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"], "s3:DeleteObject"),
    (f"{CLEANUP}.0.Resource", OTHER_BUCKET, "s3:PutObject"),
    (f"{EXPIRY}.0.Resource", OTHER_BUCKET, "s3:PutObject"),
    (f"{RESTORE}.0.Action", "s3:GetObject", "s3:GetObjectVersion"),
    (f"{RESTORE}.1.Action", "s3:ListBucketVersions", "s3:ListBucket"),
    ("Resources.ArchiveBucketPolicy.Properties.PolicyDocument.Statement.1.Condition", {}, "s3:PutObject"),
    (f"{RESTORE}.1.Condition", {"StringLike": {"s3:prefix": "other/*"}}, "s3:ListBucket"),
    (f"{FEEDBACK}.1.{STATEMENT}.Resource", OTHER_BUS, "events:PutEvents"),
    (f"{REEMBED}.1.{STATEMENT}.Resource", OTHER_BUS, "events:PutEvents"),
    (f"{REEMBED}.2.{STATEMENT}.Resource", f"{BEDROCK}::foundation-model/another", "bedrock:InvokeModel"),
    (f"{BACKUP}.0.Action.0", "s3:GetObject", "s3:PutObject"),
    (f"{BACKUP}.2.Condition", {"StringLike": {"s3:prefix": "archive/*"}}, "s3:ListBucket"),
    (f"{REHEARSE}.2.Resource", MANIFESTS, "s3:PutObject"),
    (f"{RESTORE_BACKUP}.0.Action", "s3:GetObjectVersion", "s3:GetObject"),
)
TOO_MANY: tuple[tuple[str, Any, str], ...] = (
    (f"{CLEANUP}.0.Action.3", "s3:DeleteObjectVersion", "s3:DeleteObjectVersion"),
    (f"{CLEANUP}.0.Resource", [{"Fn::Sub": "${ArchiveBucket.Arn}/${ArchivePrefix}/*"}, OTHER_BUCKET], "s3:PutObject"),
    (f"{EXPIRED_FILES}.Action", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject"], "s3:GetObject"),
    (f"{RESTORE}.0.Action", ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], "s3:PutObject"),
    (f"{RESTORE}.1.Action", ["s3:ListBucket", "s3:GetBucketLocation"], "s3:GetBucketLocation"),
    (f"{FEEDBACK}.1.{STATEMENT}.Action", ["events:PutEvents", "events:PutRule"], "events:PutRule"),
    (f"{REEMBED}.2.{STATEMENT}.Resource", [f"{BEDROCK}::foundation-model/a", MODEL_ARN], "bedrock:InvokeModel"),
    (f"{REHEARSE}.2.Resource", [STAMPS, MANIFESTS], "s3:PutObject"),
    (f"{RESTORE_BACKUP}.0.Action", ["s3:GetObject", "s3:PutObject"], "s3:PutObject"),
)


@pytest.mark.parametrize(("where", "what", "action"), TOO_FEW)
def test_a_permission_that_is_missing_is_noticed(
    deployed: Deployed, transform: SamTransform, where: str, what: Any, action: str
) -> None:
    broken = altered(deployed, transform, where, what)
    assert action in {call.action for job in JOBS for call in denied(broken, job)}


@pytest.mark.parametrize(("where", "what", "action"), TOO_MANY)
def test_a_permission_that_nobody_needs_is_noticed(
    deployed: Deployed, transform: SamTransform, where: str, what: Any, action: str
) -> None:
    broken = altered(deployed, transform, where, what)
    assert action in {grant.action for job in JOBS for grant in unused(broken, job)}


def test_files_that_are_out_of_reach_are_noticed(deployed: Deployed, transform: SamTransform) -> None:
    """Other keys of the bucket than the template's prefix, and other buckets."""
    files = f"arn:aws:s3:::{deployed.parameters['ExpireFilesBucket']}/"
    deletions = {call for call in deployed.calls["expire_jobs"] if call.resource.startswith(files)}
    for elsewhere in ("${ExpireFilesBucket}/elsewhere/*", "another/*"):
        place = {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{elsewhere}"}
        broken = altered(deployed, transform, f"{EXPIRED_FILES}.Resource", place)
        assert set(denied(broken, "expire_jobs")) == deletions


def test_a_call_that_nobody_knows_is_denied(deployed: Deployed) -> None:
    """A new service, or another operation of a known one, must not pass for want of a name."""
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    endpoint = deployed.recorder.endpoint
    session.client("s3", endpoint_url=endpoint).get_bucket_location(Bucket=deployed.house.bucket)
    session.client("ssm", endpoint_url=endpoint).describe_parameters()
    session.client("sts", endpoint_url=endpoint).get_caller_identity()
    asked = deployed.recorder.take()
    assert [call.action for call in asked] == ["unknown"] * 3
    assert not any(grant.covers(call) for grant in grants_for(deployed, "cleanup") for call in asked)


@pytest.mark.parametrize("name", ["Archive", "Backup"])
def test_a_bucket_denies_what_would_not_be_as_safe(deployed: Deployed, name: str) -> None:
    """Plain HTTP; a key that only the writer knows; and, where a key was chosen, any other encryption."""
    bucket, sse = deployed.known[f"<{name}Bucket.Arn>"], "s3:x-amz-server-side-encryption"
    denials = list(denials_of(deployed.stack, deployed.known))

    def denies(action: str, **context: str) -> bool:
        call = Call(f"s3:{action}", f"{bucket}/archive/x", frozenset(context.items()))
        return any(denial.covers(call) for denial in denials)

    key = deployed.parameters.get(f"{name}KmsKeyArn")
    assert not denies("PutObject") and not denies("GetObject")
    assert denies("GetObject", **{"aws:SecureTransport": "false"})
    assert denies("PutObject", **{f"{sse}-customer-algorithm": "AES256"})
    assert denies("PutObject", **{sse: "AES256"}) is bool(key)
    assert denies("PutObject", **{sse: "aws:kms", f"{sse}-aws-kms-key-id": SECRETS_KEY}) is bool(key)
    assert not denies("PutObject", **{sse: "aws:kms", f"{sse}-aws-kms-key-id": key or KEY})


def denied(deployed: Deployed, job: str, grants: Sequence[Grant] | None = None) -> list[Call]:
    """Calls that were made and that no grant covers, or that the bucket itself denies."""
    given = grants_for(deployed, job) if grants is None else grants
    denials = [
        *denials_of(deployed.stack, deployed.known),
        *grants_of(deployed.stack, deployed.function(job)["Role"], deployed.known, "Deny"),
    ]
    return [
        call
        for call in deployed.calls[job]
        if not any(grant.covers(call) for grant in given) or any(denial.covers(call) for denial in denials)
    ]


def unused(deployed: Deployed, job: str) -> list[Grant]:
    """Grants that cover no call that was made."""
    return [
        grant
        for grant in grants_for(deployed, job)
        if grant.action not in NOT_OURS and not any(grant.covers(call) for call in deployed.calls[job])
    ]


def grants_for(deployed: Deployed, job: str) -> list[Grant]:
    return list(grants_of(deployed.stack, deployed.function(job)["Role"], deployed.known))


def altered(deployed: Deployed, transform: SamTransform, where: str, what: Any) -> Deployed:
    """The same calls, beside a stack that was deployed from a broken template."""
    template = load()
    alter(template, where, what)
    return replace(deployed, stack=deploy(transform, template, **deployed.parameters))
