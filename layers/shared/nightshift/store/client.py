"""boto3's S3 client, as everything here uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DELETE_BATCH = 1000
"""DeleteObjects takes 1,000 keys a call (S3 API reference)."""


def make_client(*, connections: int = 16) -> S3Client:
    """An S3 client from the environment (region, role, `AWS_ENDPOINT_URL`), with retries for 500, 503 and time-outs."""
    config = Config(
        connect_timeout=5,
        read_timeout=15,
        max_pool_connections=connections,
        retries={"mode": "standard", "max_attempts": 4},
        # Every byte that is read back is compared with what was sent: a checksum over it would prove nothing more.
        response_checksum_validation="when_required",
        user_agent_extra="nightshift",
    )
    # A session of its own: the default one must not be used by two threads at once.
    client: S3Client = boto3.session.Session().client("s3", config=config)
    return client
