"""Checks that an object of the application exists, in any bucket, without the right to read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from nightshift.store.client import sending_until
from nightshift.store.store_errors import code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def has_object(client: S3Client, bucket: str, key: str, deadline: float) -> bool | str:
    """Returns whether an object exists, or S3's error code where it does not say; lists, and reads no object.

    Args:
        deadline: `time.monotonic()` value after which nothing is sent.
    """
    try:
        with sending_until(deadline):
            found = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except (ClientError, BotoCoreError) as exc:
        return code_of(exc)
    # Of the keys that begin with it, it would be the first.
    return any(entry["Key"] == key for entry in found.get("Contents", ()))
