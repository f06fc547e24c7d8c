"""Ways to deploy the template that have between them every permission that it can give."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import boto3

from local.loopback import REGION
from local.s3 import EmbeddedS3
from local.titan import MODEL
from tests.support.house import SLACK_TOKEN
from tests.template.conftest import BEDROCK, KEY
from tests.template.deployed import POLICIES
from tests.template.midnights import DAYS

SECRETS_KEY = KEY.replace("11111111", "99999999")
BACKUP_KEY = KEY.replace("11111111", "77777777")
USER = "db-ABCDEFGH/nightshift"
REPLICA = "db-IJKLMNOP"
PROFILE = f"{BEDROCK}:123456789012:application-inference-profile/abc123"


def ways(s3: EmbeddedS3, url: str, restored: str, keys: dict[str, str], directory: Path) -> dict[str, dict[str, str]]:
    """Parameters of three deployments.

    Args:
        url, restored: of the database, and of the empty one that a backup is restored to.
        keys: receives the key that each secret is encrypted with.
        directory: for a policy file.
    """
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    unique = uuid.uuid4().hex[:8]
    secrets = session.client("secretsmanager", endpoint_url=s3.endpoint)

    def keep(name: str, value: str) -> str:
        made = secrets.create_secret(Name=f"nightshift/{name}-{unique}", SecretString=value, KmsKeyId=SECRETS_KEY)
        keys[made["ARN"]] = SECRETS_KEY
        return made["ARN"]

    s3.create_bucket(f"config-{unique}")
    s3.client().put_object(Bucket=f"config-{unique}", Key="nightshift/retention.toml", Body=POLICIES.encode())
    name, path = f"/nightshift/retention-{unique}", directory / "policies.toml"
    path.write_text(POLICIES)
    session.client("ssm", endpoint_url=s3.endpoint).put_parameter(Name=name, Value=POLICIES, Type="SecureString")
    archives = {"ExpireArchive": "on"}
    open_to_read = {**archives, "DatabaseUrl": url, "RestoreDatabaseUrl": restored, "SlackBotToken": SLACK_TOKEN}
    return {
        "plain": {**open_to_read, "PolicyFile": str(path)},
        "secrets": {
            **archives,
            "ArchiveKmsKeyArn": KEY,
            "BackupKmsKeyArn": BACKUP_KEY,
            "BackupLogGroups": "/ecs/api,/ecs/worker",
            "BackupLogRetentionDays": str(DAYS),
            "BackupObjectLockDays": "14",
            "DatabaseSecretArns": ",".join(keep(f"database-{n}", url) for n in range(8)),
            "EmbeddingModel": PROFILE,
            "EmbeddingProfileModels": f"{BEDROCK}::foundation-model/{MODEL}",
            "ExpireFileVersions": "on",
            "ExpireFilesPrefix": "jobs/",
            "PolicyFile": f"s3://config-{unique}/nightshift/retention.toml",
            "SecretsKmsKeyArn": SECRETS_KEY,
            "RehearseDatabaseSecretArn": keep("rehearsal", url),
            "RestoreDatabaseSecretArn": keep("restored", restored),
            "SlackSecretArn": keep("slack", json.dumps({"token": SLACK_TOKEN})),
        },
        "tokens": {
            **open_to_read,
            "ArchivePrefix": "deep/archive",
            "ArchiveProof": "head",
            "BackupLogGroups": "/ecs/api",
            "BackupPrefix": "deep/backup",
            "DatabaseIamAuth": "on",
            "DatabaseIamUser": USER,
            "BackupReplicaResourceId": REPLICA,
            "ExpireFilesPrefix": "uploads/jobs/",
            "PolicyFile": f"ssm:{name}",
            "SecurityGroupIds": "sg-1",
            "SubnetIds": "subnet-1",
        },
    }
