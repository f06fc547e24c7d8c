"""For an S3 that does not answer: the usual client would wait for half a minute, and ask six times."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from nightshift.run_services import RunWiring

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Impatient(RunWiring):
    """Waits a second for S3's answers, and asks twice."""

    @cached_property
    def s3_client(self) -> S3Client:
        config = Config(read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})
        return boto3.client("s3", endpoint_url=self.environ["AWS_ENDPOINT_URL"], config=config)
