"""The stacks that the template tests look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.artefact import FUNCTIONS
from nightshift.job_spec import list_jobs
from tests.template.cloudformation import SamTransform, Stack, Template, deploy, load

KEY = "arn:aws:kms:ap-northeast-2:123456789012:key/11111111-2222-3333-4444-555555555555"
BEDROCK = "arn:aws:bedrock:ap-northeast-2"
SECRET = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:nightshift/"

EVERYTHING = {
    "ArchiveKmsKeyArn": KEY,
    "AlarmEmail": "operator@example.com",
    "BackupKmsKeyArn": KEY,
    "BackupLogGroups": "/ecs/api,/ecs/worker",
    "BackupLogRetentionDays": "30",
    "BackupObjectLockDays": "14",
    "DatabaseIamAuth": "on",
    "DatabaseIamUser": "db-ABCDEFGH/nightshift",
    "BackupReplicaHost": "replica.example.com",
    "BackupReplicaResourceId": "db-REPLICA1",
    "DatabaseSecretArns": ",".join(f"{SECRET}database-{n}-AbCdEf" for n in range(len(list_jobs(FUNCTIONS)))),
    "ExpireArchive": "on",
    "ExpireFileVersions": "on",
    "ExpireFilesBucket": "uploads.example.com",
    "ExpireFilesPrefix": "jobs/",
    "EmbeddingModel": f"{BEDROCK}:123456789012:application-inference-profile/abc123",
    "EmbeddingProfileModels": f"{BEDROCK}::foundation-model/amazon.titan-embed-text-v2:0",
    "ExpireJobsState": "ENABLED",
    "FeedbackDocument": "document_id",
    "PolicyFile": "ssm:/nightshift/retention",
    "ReembedState": "ENABLED",
    "RehearseDatabaseSecretArn": f"{SECRET}rehearsal-AbCdEf",
    "RehearseDatabaseUrl": "postgresql://rehearsal@scratch.example.com/postgres",
    "RestoreDatabaseSecretArn": f"{SECRET}restored-AbCdEf",
    "RestoreDatabaseUrl": "postgresql://nightshift@db.example.com/restored",
    "SecretsKmsKeyArn": KEY,
    "SecurityGroupIds": "sg-1",
    "SlackSecretArn": f"{SECRET}slack-AbCdEf",
    "SubnetIds": "subnet-1,subnet-2",
}
"""Every optional part switched on."""

OTHERWISE = {
    "Architecture": "x86_64",
    "ArchiveColdAfterDays": "0",
    "BackupLogGroups": "/ecs/api",
    "BackupReservedConcurrency": "-1",
    "BackupState": "DISABLED",
    "CleanupReservedConcurrency": "-1",
    "DatabaseUrl": "postgresql://nightshift@db.example.com/app",
    "ExpireFilesBucket": "uploads.example.com",
    "ExpireJobsReservedConcurrency": "-1",
    "FeedbackReservedConcurrency": "-1",
    "FeedbackState": "DISABLED",
    "ReembedReservedConcurrency": "-1",
    "RehearseReservedConcurrency": "-1",
    "RehearseState": "DISABLED",
    "RestoreBackupReservedConcurrency": "-1",
    "RestoreReservedConcurrency": "-1",
    "PolicyFile": "s3://config.example.com/nightshift/retention.toml",
}
"""The other branch of what `EVERYTHING` and the defaults choose."""


@pytest.fixture(scope="session")
def transform() -> Iterator[SamTransform]:
    """The SAM transform, started once."""
    with SamTransform() as running:
        yield running


@pytest.fixture
def template() -> Template:
    """A copy of the template that the test may break."""
    return load()


@pytest.fixture(scope="session", params=[{}, EVERYTHING, OTHERWISE], ids=["defaults", "everything", "otherwise"])
def stack(request: pytest.FixtureRequest, transform: SamTransform) -> Stack:
    """The template as it is, deployed in each of three ways."""
    return deploy(transform, load(), **request.param)
