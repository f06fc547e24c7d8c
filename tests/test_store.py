"""S3's only door, against an S3 server: written once, proven, read, deleted by the thousand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache

import pytest

from local.s3 import EmbeddedS3
from nightshift.errors import ArchiveMismatch, StoreError
from nightshift.store import ObjectStore, Proof, StoredObject, make_client

PARQUET = b"PAR1" + b"rows" * 1000 + b"footer" + (6).to_bytes(4, "little") + b"PAR1"
"""Not a Parquet file, but it ends like one: `prove` looks at the footer."""


@pytest.fixture
def store(clean_environment: pytest.MonkeyPatch, s3: EmbeddedS3, bucket: str) -> ObjectStore:
    for name, value in s3.env.items():
        clean_environment.setenv(name, value)
    return ObjectStore(cache(make_client), bucket)


def put(store: ObjectStore, key: str = "a/b.parquet", body: bytes = PARQUET) -> StoredObject:
    return store.put_object(key, body)


def test_what_is_put_is_what_lies_there(store: ObjectStore, s3: EmbeddedS3) -> None:
    stored = put(store)

    assert s3.objects(store.bucket) == {"a/b.parquet": PARQUET}
    assert (stored.size, stored.sha256) == (len(PARQUET), hashlib.sha256(PARQUET).hexdigest())
    assert stored.existed is False
    head = s3.client().head_object(Bucket=store.bucket, Key="a/b.parquet", ChecksumMode="ENABLED")
    assert head["ContentType"] == "application/vnd.apache.parquet"
    assert "ChecksumSHA256" in head


@pytest.mark.parametrize("proof", ["full", "head"])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_proof_of_any_size(store: ObjectStore, proof: Proof, size: int) -> None:
    store.proof = proof
    body = b"PAR1" + b"x" * size + PARQUET[-14:]
    stored = put(store, body=body)

    assert store.verify_object(stored, body) == stored
    assert store.get_object("a/b.parquet") == body


@pytest.mark.parametrize("proof", ["full", "head"])
@pytest.mark.parametrize(
    "other", [PARQUET[:-1] + b"2", PARQUET[:-1], PARQUET + b" ", b"PAR2" + PARQUET[4:], b" "], ids=range(5)
)
def test_other_bytes_are_noticed(store: ObjectStore, s3: EmbeddedS3, proof: Proof, other: bytes) -> None:
    store.proof = proof
    stored = put(store)
    s3.client().put_object(Bucket=store.bucket, Key=stored.key, Body=other, ChecksumAlgorithm="SHA256")

    with pytest.raises(ArchiveMismatch) as raised:
        store.verify_object(stored, PARQUET)

    assert stored.key in str(raised.value.detail)
    assert "look at what stands between us and S3" in str(raised.value.hint)


def test_a_key_is_written_once(store: ObjectStore, s3: EmbeddedS3) -> None:
    s3.client().put_object(Bucket=store.bucket, Key="a/b.parquet", Body=b"somebody else's")

    stored = put(store)

    assert stored.existed is True
    assert s3.objects(store.bucket) == {"a/b.parquet": b"somebody else's"}
    with pytest.raises(ArchiveMismatch):
        store.verify_object(stored, PARQUET)


def test_versions(store: ObjectStore, s3: EmbeddedS3) -> None:
    versioned = f"{store.bucket}-v"
    s3.create_bucket(versioned, versioned=True)
    store.bucket = versioned
    stored = put(store)
    assert stored.version_id is not None

    s3.client().put_object(Bucket=versioned, Key=stored.key, Body=b"a later version")

    assert store.verify_object(stored, PARQUET).version_id == stored.version_id
    assert store.get_object(stored.key, stored.version_id) == PARQUET
    assert store.get_object(stored.key) == b"a later version"


def test_a_lost_answer_s_version_is_found_by_the_proof(store: ObjectStore, s3: EmbeddedS3) -> None:
    versioned = f"{store.bucket}-v"
    s3.create_bucket(versioned, versioned=True)
    store.bucket = versioned
    version = s3.client().put_object(Bucket=versioned, Key="a/b.parquet", Body=PARQUET)["VersionId"]

    stored = put(store)

    assert (stored.existed, stored.version_id) == (True, None)
    assert store.verify_object(stored, PARQUET).version_id == version


def test_the_key_that_encrypts(store: ObjectStore, s3: EmbeddedS3) -> None:
    store = ObjectStore(store.connect, store.bucket, kms_key="arn:aws:kms:ap-northeast-2:123456789012:key/abc")
    put(store)

    head = s3.client().head_object(Bucket=store.bucket, Key="a/b.parquet")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", store.kms_key)


def test_delete_by_the_thousand(store: ObjectStore, s3: EmbeddedS3) -> None:
    keys = [f"k/{n:04d}" for n in range(1050)]
    for key in keys[::210]:
        s3.client().put_object(Bucket=store.bucket, Key=key, Body=b"x")
    s3.client().put_object(Bucket=store.bucket, Key="other", Body=b"x")

    assert sorted(store.delete_objects(keys)) == keys, "what is not there is gone as well"

    assert s3.keys(store.bucket) == ["other"]
    assert list(store.delete_objects([])) == []


@pytest.mark.parametrize("call", ["put", "get", "prove"])
def test_a_bucket_that_is_not_there(store: ObjectStore, call: str) -> None:
    stored = put(store)
    store.bucket = "nowhere-at-all"
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: put(store),
        "get": lambda: store.get_object("a"),
        "prove": lambda: store.verify_object(stored, PARQUET),
    }
    with pytest.raises(StoreError) as raised:
        calls[call]()

    assert "NoSuchBucket" in raised.value.message
    assert "s3://nowhere-at-all/" in str(raised.value.detail)
    assert "ARCHIVE_BUCKET" in str(raised.value.hint)


def test_an_object_that_is_not_there(store: ObjectStore) -> None:
    with pytest.raises(StoreError, match="NoSuchKey"):
        store.get_object("nothing")
