"""Writes, verifies, reads and deletes objects of one bucket.

`put_object` sends the body's SHA-256, so that S3 refuses a body that does not match. `put_object` also sends
`If-None-Match: *`, so that S3 refuses to overwrite. `verify_object` then checks the bytes that S3 *holds*. By default
`verify_object` compares every byte with the bytes in memory. The comparison costs one GET per object within an AWS
region, and about 3 % of a run on the loopback interface. The comparison does not rely on a checksum header.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from nightshift.errors import ArchiveMismatch, KeyTaken, ObjectAbsent, StoreError
from nightshift.store.client import DELETE_BATCH, code_of, error_context, is_denied, is_listed, store_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Proof = Literal["full", "head"]

PARQUET = "application/vnd.apache.parquet"

_READ_SIZE = 1 << 20
_FOOTER_TAIL = 8
"""A Parquet file ends with the footer's length (4 bytes) and `PAR1`."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that S3 has accepted.

    Attributes:
        sha256: hex digest of the bytes sent.
        existed: S3 answered that the key exists already. Either an earlier try of nightshift, whose answer was lost,
            or another program wrote the object. `verify_object` distinguishes the two cases.
    """

    key: str
    size: int
    sha256: str
    version_id: str | None
    existed: bool = False


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object that S3 reports. `etag` changes when the bytes change. An object from a listing has no version ID."""

    key: str
    size: int
    etag: str
    version_id: str | None = None


@dataclass(slots=True)
class ObjectStore:
    """One bucket.

    Attributes:
        connect: returns boto3's S3 client, which is thread-safe. Each request calls `connect`; nothing else does.
        kms_key: SSE-KMS key for new objects. If None, the bucket's default encryption applies.
    """

    connect: Callable[[], S3Client]
    bucket: str
    kms_key: str | None = None
    proof: Proof = "full"
    _extra: dict[str, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.kms_key:
            self._extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}

    @property
    def client(self) -> S3Client:
        return self.connect()

    def put_object(
        self, key: str, body: bytes, *, content_type: str = PARQUET, overwrite: bool = False
    ) -> StoredObject:
        """Write a whole object. Unless `overwrite` is set, the key must not exist yet.

        Raises:
            StoreError: S3 refused the object, or did not answer within the retries.
        """
        digest = hashlib.sha256(body)
        answer: Any = {}
        existed = False
        condition: dict[str, Any] = {} if overwrite else {"IfNoneMatch": "*"}
        with error_context("S3 did not take an object", self.bucket, key):
            try:
                answer = self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentLength=len(body),
                    ContentType=content_type,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    **condition,
                    **self._extra,
                )
            except ClientError as exc:
                existed = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412
                if not existed:
                    raise
        return StoredObject(key, len(body), digest.hexdigest(), answer.get("VersionId"), existed)

    def verify_object(self, stored: StoredObject, body: bytes) -> StoredObject:
        """Check that the object in S3 equals `body`.

        Returns:
            `stored`. If the answer to the PUT was lost, the version ID is filled in.

        Raises:
            ArchiveMismatch: S3 holds other bytes under the key.
            KeyTaken: S3 holds other bytes under the key, and nightshift did not write them.
            StoreError: the object could not be read.
        """
        with error_context("an object could not be read back", self.bucket, stored.key):
            version = self._compare(stored, body) if self.proof == "full" else self._check_head(stored, body)
        return replace(stored, version_id=stored.version_id or version)

    def _compare(self, stored: StoredObject, body: bytes) -> str | None:
        answer = self.client.get_object(Bucket=self.bucket, Key=stored.key, **_version(stored.version_id))
        sent, at = memoryview(body), 0
        with answer["Body"] as stream:
            while chunk := stream.read(_READ_SIZE):
                if sent[at : at + len(chunk)] != chunk:
                    raise _mismatch(self.bucket, stored, f"bytes differ after offset {at}")
                at += len(chunk)
        if at != len(body):
            raise _mismatch(self.bucket, stored, f"S3 holds {at} bytes, {len(body)} were sent")
        return answer.get("VersionId")

    def _check_head(self, stored: StoredObject, body: bytes) -> str | None:
        """Check the size and S3's checksum, then read and compare the footer. Without a checksum, compare all bytes."""
        where: Any = {"Bucket": self.bucket, "Key": stored.key, **_version(stored.version_id)}
        answer = self.client.head_object(ChecksumMode="ENABLED", **where)
        if answer["ContentLength"] != len(body):
            raise _mismatch(self.bucket, stored, f"S3 holds {answer['ContentLength']} bytes, {len(body)} were sent")
        checksum: str | None = answer.get("ChecksumSHA256")
        if checksum is None:
            return self._compare(stored, body)
        if base64.b64decode(checksum).hex() != stored.sha256:
            raise _mismatch(self.bucket, stored, "S3's SHA-256 differs")
        footer = int.from_bytes(body[-_FOOTER_TAIL:-4], "little") + _FOOTER_TAIL
        tail = self.client.get_object(Range=f"bytes={len(body) - footer}-", **where)
        if tail["Body"].read() != body[-footer:]:
            raise _mismatch(self.bucket, stored, "the Parquet footer differs")
        return answer.get("VersionId")

    def get_object(self, key: str, version_id: str | None = None) -> bytes:
        """Returns the bytes of a small object, e.g. of a policy file.

        Raises:
            StoreError: the object cannot be read.
        """
        with self._asking("an object could not be read", key):
            return self.client.get_object(Bucket=self.bucket, Key=key, **_version(version_id))["Body"].read()

    def get_or_none(self, key: str, version_id: str | None = None) -> bytes | None:
        """Returns the bytes of an object, or None if the object does not exist.

        Raises:
            StoreError: S3 did not answer, or refused the request.
        """
        try:
            return self.get_object(key, version_id)
        except ObjectAbsent:
            return None

    def list_objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Returns the objects whose keys begin with `prefix`, in the order of their keys: current versions only.

        Raises:
            StoreError: S3 did not answer, or refused the request.
        """
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        with error_context("objects could not be listed", self.bucket, prefix):
            for page in pages:
                yield from (
                    ObjectInfo(entry["Key"], entry["Size"], entry["ETag"]) for entry in page.get("Contents", ())
                )

    def head_object(self, key: str, version_id: str | None = None) -> ObjectInfo | None:
        """Returns S3's facts about an object, or None if the object does not exist.

        Args:
            version_id: None: the current version.

        Raises:
            StoreError: S3 did not answer, or refused the request.
        """
        try:
            with self._asking("an object could not be looked up", key):
                answer = self.client.head_object(Bucket=self.bucket, Key=key, **_version(version_id))
        except ObjectAbsent:
            return None
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"], answer.get("VersionId"))

    @contextmanager
    def _asking(self, message: str, key: str) -> Iterator[None]:
        """Like `error_context`. If S3 answers 403, the method also checks whether the object exists.

        If a role may list only the keys below a prefix, S3 answers 403 for a missing object, too: a request for an
        object contains no prefix. The check therefore lists the keys that begin with the object's key.
        """
        try:
            with error_context(message, self.bucket, key):
                yield
        except StoreError as exc:
            try:
                absent = is_denied(exc.__cause__) and not is_listed(self.client, self.bucket, key)
            except (ClientError, BotoCoreError):
                absent = False
            if not absent:
                raise
            raise ObjectAbsent(f"{message}: NoSuchKey", detail=exc.detail, hint=exc.hint) from exc

    def delete_if_unchanged(self, info: ObjectInfo) -> None:
        """Delete one object, unless the object was overwritten since it was looked up (`If-Match`).

        Raises:
            StoreError: the object was overwritten, or S3 refused for another reason.
        """
        with error_context("an object could not be deleted", self.bucket, info.key):
            self.client.delete_object(Bucket=self.bucket, Key=info.key, IfMatch=info.etag)

    def lock_object(self, key: str, until: datetime) -> None:
        """Lock an object against deleting and overwriting until `until`, in GOVERNANCE mode.

        A role with the right to bypass GOVERNANCE mode can still delete the object.

        Raises:
            StoreError: S3 refused, e.g. because the bucket has no Object Lock.
        """
        with error_context("an object could not be locked", self.bucket, key):
            self.client.put_object_retention(
                Bucket=self.bucket, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
            )

    def delete_objects(self, keys: Iterable[str]) -> Iterator[str]:
        """Delete objects, up to 1,000 per request.

        Yields:
            each key that S3 reports as deleted. A key that S3 refuses to delete is left out.

        Raises:
            StoreError: a whole request failed.
        """
        wanted = list(keys)
        for start in range(0, len(wanted), DELETE_BATCH):
            batch = wanted[start : start + DELETE_BATCH]
            try:
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": False}
                )
            except (ClientError, BotoCoreError) as exc:
                if code_of(exc) != "NoSuchBucket":
                    raise store_error("objects could not be deleted", self.bucket, batch[0], exc) from exc
                # A bucket that does not exist holds no objects. The operator corrects its name for the next run.
                yield from batch
                continue
            yield from (entry["Key"] for entry in answer.get("Deleted", ()))


def _version(version_id: str | None) -> dict[str, Any]:
    return {"VersionId": version_id} if version_id else {}


def _mismatch(bucket: str, stored: StoredObject, what: str) -> ArchiveMismatch:
    kind = KeyTaken if stored.existed else ArchiveMismatch
    return kind(
        "what S3 holds is not what was sent",
        detail=f"s3://{bucket}/{stored.key}: {what}",
        hint="nothing was deleted from the database; if it happens again, look at what stands between us and S3",
    )
