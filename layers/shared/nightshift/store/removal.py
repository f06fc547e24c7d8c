"""Deletes files of the application in any bucket, and counts only the files that S3 confirms as deleted.

In quiet mode S3 answers DeleteObjects with the keys that it did *not* delete, and the reasons (S3 API reference). The
quiet mode takes half the time of a full list of a thousand deleted keys. A key that never existed counts as deleted.
If S3 asks to retry a key later (`SlowDown`, `InternalError`), the key is sent again, each time after a longer pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from nightshift.store.client import DELETE_BATCH, code_of, is_listed, sending_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TRIES = 4
PAUSE_S = 0.5
"""Seconds of pause before the second try. The pause doubles before each further try."""

_AGAIN = {"SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted", "RequestTimeout", "Throttling"}
_UNANSWERED = "NotConfirmed"
_NO_KEY = "NoKey"

_NO_CONTENT = 204
"""Status of S3's answer to DeleteObject."""

_FAILURES = (ClientError, BotoCoreError, ResponseParserError)


@dataclass(slots=True)
class RemovalResult:
    """Result of deleting some keys of one bucket.

    Attributes:
        gone: keys that S3 confirms as deleted.
        failed: key → S3's error code. If S3 did not answer, the value is the kind of failure.
        untried: keys that were not sent.
        silent: a whole request failed without an answer, or with a server error. No further request is sent.
    """

    gone: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    silent: bool = False


def remove_objects(
    client: S3Client, bucket: str, keys: Sequence[str], *, versions: bool, deadline: float
) -> RemovalResult:
    """Delete files, and return the outcome for each key.

    Args:
        keys: any number of distinct keys.
        versions: delete all versions of each file, not only the current version.
        deadline: `time.monotonic()` value after which no request is sent.
    """
    removal = RemovalResult()
    remover = _Remover(client, bucket, deadline, removal)
    # A DELETE request with an empty key would delete the bucket itself.
    removal.failed |= dict.fromkeys((key for key in keys if not key), _NO_KEY)
    keys = [key for key in keys if key]
    with sending_until(deadline):
        for start in range(0, len(keys), DELETE_BATCH):
            batch = keys[start : start + DELETE_BATCH]
            if removal.silent:
                removal.untried += batch
            elif versions:
                remover.delete_one_by_one(_every_version, batch)
            else:
                remover.delete_batch(batch)
    return removal


@dataclass(frozen=True, slots=True)
class _Remover:
    """Sends the delete requests, and records the answers in the result."""

    client: S3Client
    bucket: str
    deadline: float
    result: RemovalResult

    def delete_batch(self, keys: Sequence[str]) -> None:
        """Delete up to 1,000 keys. Keys that S3 asks to retry are sent again, up to `TRIES` times in all."""
        pause, left = PAUSE_S, list(keys)
        for attempt in range(1, TRIES + 1):
            try:
                wanted: Any = {"Objects": [{"Key": key} for key in left], "Quiet": True}
                answer = self.client.delete_objects(Bucket=self.bucket, Delete=wanted)
            except _FAILURES as exc:
                if _is_about_a_key(exc):
                    return self.delete_one_by_one(_the_key, left)
                return _refused_whole(exc, left, self.result)
            left = _sorted_out(answer, left, self.result)
            again = [key for key in left if self.result.failed[key] in _AGAIN]
            if not again or attempt == TRIES or time.monotonic() + pause > self.deadline:
                return None
            time.sleep(pause)
            pause *= 2
            left = again
        return None

    def delete_one_by_one(self, delete: Callable[[S3Client, str, str], str | None], keys: Sequence[str]) -> None:
        """Delete keys one after the other, as long as S3 answers and the deadline has not passed.

        Args:
            delete: deletes one key. It returns the reason why the key was not deleted; None: the key was deleted.
        """
        result = self.result
        for key in keys:
            if result.silent or time.monotonic() > self.deadline:
                result.untried.append(key)
                continue
            try:
                refusal = delete(self.client, self.bucket, key)
            except _FAILURES as exc:
                _refused_whole(exc, [key], result)
                continue
            result.failed.pop(key, None)
            if refusal is None:
                result.gone.append(key)
            else:
                result.failed[key] = refusal


def _sorted_out(answer: Any, keys: Sequence[str], removal: RemovalResult) -> list[str]:
    """Record S3's answer for each key, and return the keys that S3 did not delete."""
    refused = {entry.get("Key", ""): entry.get("Code", _UNANSWERED) for entry in answer.get("Errors", ())}
    if refused and not refused.keys() <= set(keys):
        # The answer names keys that were not sent. The answer is unreliable, so no key counts as deleted.
        refused = dict.fromkeys(keys, _UNANSWERED)
    if removal.failed:
        for key in keys:
            removal.failed.pop(key, None)
    removal.gone += [key for key in keys if key not in refused] if refused else keys
    removal.failed |= refused
    return list(refused)


def _the_key(client: S3Client, bucket: str, key: str) -> str | None:
    """Delete one key with DeleteObject, whose URL contains the key. Some keys cannot be written in XML."""
    answer = client.delete_object(Bucket=bucket, Key=key)
    return None if answer["ResponseMetadata"]["HTTPStatusCode"] == _NO_CONTENT else _UNANSWERED


def _refused_whole(exc: Exception, keys: Sequence[str], removal: RemovalResult) -> None:
    """Record that a whole request failed. `silent` is set unless the bucket, its name or the parameters are wrong."""
    removal.failed |= dict.fromkeys(keys, code_of(exc))
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(exc, ClientError) else 0
    removal.silent = not (300 <= status < 500 or isinstance(exc, ParamValidationError))


def _is_about_a_key(exc: Exception) -> bool:
    """Returns whether one unusable key may have made S3 refuse the whole request."""
    return code_of(exc) in ("MalformedXML", "InvalidRequest", "KeyTooLongError", "InvalidURI")


def _every_version(client: S3Client, bucket: str, key: str) -> str | None:
    """Delete all versions and delete markers of one file. Returns S3's error code, or None if all were deleted."""
    versions = _versions_of(client, bucket, key)
    for start in range(0, len(versions), DELETE_BATCH):
        batch: Any = [{"Key": key, "VersionId": version} for version in versions[start : start + DELETE_BATCH]]
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": batch})
        deleted = {entry.get("VersionId") for entry in answer.get("Deleted", ())}
        if not deleted >= {entry["VersionId"] for entry in batch}:
            errors = answer.get("Errors", ())
            return errors[0].get("Code", _UNANSWERED) if errors else _UNANSWERED
    return None


def _versions_of(client: S3Client, bucket: str, key: str) -> list[str]:
    versions: list[str] = []
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        entries: list[Any] = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        versions += [entry["VersionId"] for entry in entries if entry["Key"] == key]
        # A listing is ordered by key. After the first other key, no version of `key` follows.
        if any(entry["Key"] != key for entry in entries):
            break
    return versions


def has_object(client: S3Client, bucket: str, key: str, deadline: float) -> bool | str:
    """Returns whether an object exists, by a listing. If the listing fails, returns S3's error code.

    Args:
        deadline: `time.monotonic()` value after which no request is sent.
    """
    try:
        with sending_until(deadline):
            return is_listed(client, bucket, key)
    except (ClientError, BotoCoreError) as exc:
        return code_of(exc)
