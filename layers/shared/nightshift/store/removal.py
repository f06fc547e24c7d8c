"""Deletes files of the application, in any bucket, and counts only those that S3 confirms.

S3 answers DeleteObjects in its quiet mode with the keys that it did *not* delete, and why (S3 API reference): half of
the work of a list of a thousand that it did. A key that never existed counts as deleted, as it should. Keys
that S3 asks to send again later (`SlowDown`, `InternalError`) are sent again, each time after a longer pause.
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
"""Before the second try; twice as long before each further one."""

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
        failed: key → S3's code, or the kind of failure where S3 did not answer.
        untried: keys that were not sent.
        silent: S3 as a whole did not answer, or asked for patience longer than ours: sending more makes no sense now.
    """

    gone: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    untried: list[str] = field(default_factory=list)
    silent: bool = False


def remove_objects(
    client: S3Client, bucket: str, keys: Sequence[str], *, versions: bool, deadline: float
) -> RemovalResult:
    """Delete files.

    Args:
        keys: any number; each one once.
        versions: all versions of each file, not only the one that readers see.
        deadline: `time.monotonic()` value after which nothing is sent.
    """
    removal = RemovalResult()
    remover = _Remover(client, bucket, deadline, removal)
    # Without a key, a request to delete would be about the bucket itself.
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
    """Sends requests to delete, and sorts the answers into the result."""

    client: S3Client
    bucket: str
    deadline: float
    result: RemovalResult

    def delete_batch(self, keys: Sequence[str]) -> None:
        """Up to 1,000 keys, sent again as long as S3 asks for it."""
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
        """Keys in turn, as long as S3 answers and there is time.

        Args:
            delete: returns why a key could not be deleted; None: it is gone.
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
    """Take S3's word for each key; returns those that are not gone."""
    refused = {entry.get("Key", ""): entry.get("Code", _UNANSWERED) for entry in answer.get("Errors", ())}
    if refused and not refused.keys() <= set(keys):
        # It speaks of keys that we did not send: then we do not know of which it does not speak.
        refused = dict.fromkeys(keys, _UNANSWERED)
    if removal.failed:
        for key in keys:
            removal.failed.pop(key, None)
    removal.gone += [key for key in keys if key not in refused] if refused else keys
    removal.failed |= refused
    return list(refused)


def _the_key(client: S3Client, bucket: str, key: str) -> str | None:
    """By DeleteObject, which has the key in its URL: for keys that XML cannot carry, among others."""
    answer = client.delete_object(Bucket=bucket, Key=key)
    return None if answer["ResponseMetadata"]["HTTPStatusCode"] == _NO_CONTENT else _UNANSWERED


def _refused_whole(exc: Exception, keys: Sequence[str], removal: RemovalResult) -> None:
    """S3 took none of them: for a reason that lies in the bucket or its name, or because it is not there."""
    removal.failed |= dict.fromkeys(keys, code_of(exc))
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if isinstance(exc, ClientError) else 0
    removal.silent = not (300 <= status < 500 or isinstance(exc, ParamValidationError))


def _is_about_a_key(exc: Exception) -> bool:
    """Returns whether one key may have spoiled the request for all."""
    return code_of(exc) in ("MalformedXML", "InvalidRequest", "KeyTooLongError", "InvalidURI")


def _every_version(client: S3Client, bucket: str, key: str) -> str | None:
    """All versions of one file, delete markers too."""
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
        # Listings are by key: behind the first other one there is none of ours.
        if any(entry["Key"] != key for entry in entries):
            break
    return versions


def has_object(client: S3Client, bucket: str, key: str, deadline: float) -> bool | str:
    """Returns whether an object exists, or S3's error code where it does not say; lists, and reads no object.

    Args:
        deadline: `time.monotonic()` value after which nothing is sent.
    """
    try:
        with sending_until(deadline):
            return is_listed(client, bucket, key)
    except (ClientError, BotoCoreError) as exc:
        return code_of(exc)
