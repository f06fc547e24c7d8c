"""Least privilege, measured: what the functions ask of AWS is what their roles allow, no less and no more."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.postgres import EmbeddedPostgres
from local.s3 import REGION, EmbeddedS3
from local.slack import CHANNEL, SlackServer
from tests.support.house import SLACK_TOKEN, House
from tests.template.cloudformation import ROOT, SamTransform, Template, deploy, load
from tests.template.conftest import KEY
from tests.template.deployed import POLICIES, Deployed
from tests.template.iam import Call, Grant, grants_of, listed, matches
from tests.template.recorder import Recorder
from tests.template.rules import NETWORK_INTERFACES

SECRETS_KEY = KEY.replace("11111111", "99999999")
USER = "db-ABCDEFGH/nightshift"

NOT_OURS = {
    "logs:CreateLogStream": "Lambda writes the function's log in its name",
    "logs:PutLogEvents": "Lambda writes the function's log in its name",
    "sqs:SendMessage": "Lambda sends a run that failed after its retries to the queue in the function's name",
}
"""Granted, and used by Lambda itself in the role's name: no run of ours can be seen to call it. Why it is there."""


@pytest.fixture(scope="module", params=["plain", "secrets", "tokens"])
def deployed(
    request: pytest.FixtureRequest,
    transform: SamTransform,
    postgres: EmbeddedPostgres,
    s3: EmbeddedS3,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    """One way to deploy, after its nights and its bad days."""
    url, bucket = postgres.create_database(f"permissions_{request.param}"), f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(bucket, versioned=True)
    keys: dict[str, str] = {}
    with (
        pytest.MonkeyPatch.context() as patch,
        SlackServer(token=SLACK_TOKEN) as slack,
        Recorder(s3.endpoint, keys) as recorder,
    ):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        parameters = {"SlackChannel": CHANNEL, "SlackApiUrl": slack.url, **_ways(s3, url, keys)[request.param]}
        stack = deploy(transform, load(), **parameters)
        directory = tmp_path_factory.mktemp("permissions")
        house = House({"DATABASE_URL": url, "ARCHIVE_BUCKET": bucket}, s3, slack, directory)
        built = Deployed(stack, house, recorder)
        try:
            built.nights()
            built.bad_days()
            if request.param == "tokens":
                built.logins(USER.split("/")[0])
            yield built
        finally:
            house.close()
            postgres.drop_database(f"permissions_{request.param}")


def _ways(s3: EmbeddedS3, url: str, keys: dict[str, str]) -> dict[str, dict[str, str]]:
    """Parameters of three deployments that have between them every permission that the template can give.

    Args:
        keys: receives the key that each secret is encrypted with.
    """
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    unique = uuid.uuid4().hex[:8]
    secrets = session.client("secretsmanager", endpoint_url=s3.endpoint)
    arns = [
        secrets.create_secret(Name=f"nightshift/{name}-{unique}", SecretString=value, KmsKeyId=SECRETS_KEY)["ARN"]
        for name, value in (("database", url), ("slack", json.dumps({"token": SLACK_TOKEN})))
    ]
    keys.update(dict.fromkeys(arns, SECRETS_KEY))
    s3.create_bucket(f"config-{unique}")
    s3.client().put_object(Bucket=f"config-{unique}", Key="nightshift/retention.toml", Body=POLICIES.encode())
    name = f"/nightshift/retention-{unique}"
    session.client("ssm", endpoint_url=s3.endpoint).put_parameter(Name=name, Value=POLICIES, Type="SecureString")
    return {
        "plain": {"DatabaseUrl": url, "SlackBotToken": SLACK_TOKEN},
        "secrets": {
            "ArchiveKmsKeyArn": KEY,
            "DatabaseSecretArn": arns[0],
            "PolicyFile": f"s3://config-{unique}/nightshift/retention.toml",
            "SecretsKmsKeyArn": SECRETS_KEY,
            "SlackSecretArn": arns[1],
        },
        "tokens": {
            "ArchivePrefix": "deep/archive",
            "ArchiveProof": "head",
            "DatabaseIamAuth": "on",
            "DatabaseIamUser": USER,
            "DatabaseUrl": url,
            "PolicyFile": f"ssm:{name}",
            "SecurityGroupIds": "sg-1",
            "SlackBotToken": SLACK_TOKEN,
            "SubnetIds": "subnet-1",
        },
    }


def test_whatever_a_function_calls_its_role_allows(deployed: Deployed) -> None:
    for job in ("cleanup", "restore"):
        assert denied(deployed, job) == []


def test_whatever_a_role_allows_its_function_calls(deployed: Deployed) -> None:
    for job in ("cleanup", "restore"):
        assert unused(deployed, job) == []


def denied(deployed: Deployed, job: str) -> list[Call]:
    """Calls that were made and that no grant covers."""
    grants = _grants(deployed, job)
    return sorted(call for call in deployed.calls[job] if not any(grant.covers(call) for grant in grants))


def unused(deployed: Deployed, job: str) -> list[Grant]:
    """Grants that cover no call that was made."""
    return [
        grant
        for grant in _grants(deployed, job)
        if grant.action not in NOT_OURS and not any(grant.covers(call) for call in deployed.calls[job])
    ]


def _grants(deployed: Deployed, job: str) -> list[Grant]:
    return list(grants_of(deployed.stack, deployed.function(job)["Role"], deployed.known))
