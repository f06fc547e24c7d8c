"""The embedded S3 and the proxy that makes it misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.loopback import REGION
from local.s3 import EmbeddedS3
from tests.support import s3_faults as faults
from tests.support.s3_proxy import S3Proxy

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = bytes(range(256)) * 4096


@pytest.fixture
def proxy(s3: EmbeddedS3) -> Iterator[S3Proxy]:
    with S3Proxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: S3Proxy) -> Iterator[S3Client]:
    """A client that asks once and waits a second."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=1)
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)
    client = session.client("s3", endpoint_url=proxy.endpoint, config=config)
    yield client
    client.close()


def test_objects_are_kept_as_they_are_sent_and_forgotten_on_reset() -> None:
    with EmbeddedS3() as server:
        server.create_bucket("archive", versioned=True)
        first = server.client().put_object(Bucket="archive", Key="a/ü 1+.bin", Body=BODY)
        second = server.client().put_object(Bucket="archive", Key="a/ü 1+.bin", Body=b"")
        assert first["VersionId"] != second["VersionId"]
        assert server.objects("archive") == {"a/ü 1+.bin": b""}
        server.reset()
        assert server.client().list_buckets()["Buckets"] == []


def test_the_environment_alone_leads_boto3_here(
    s3: EmbeddedS3, bucket: str, clean_environment: pytest.MonkeyPatch
) -> None:
    for name, value in s3.env.items():
        clean_environment.setenv(name, value)
    client = boto3.Session().client("s3")
    client.put_object(Bucket=bucket, Key="k", Body=b"v")
    client.close()
    assert s3.objects(bucket) == {"k": b"v"}


def test_the_proxy_is_faithful_until_told_otherwise(
    s3: EmbeddedS3, bucket: str, proxy: S3Proxy, client: S3Client
) -> None:
    client.put_object(Bucket=bucket, Key="a/ü 1+.bin", Body=BODY, ChecksumAlgorithm="SHA256")
    assert s3.objects(bucket) == {"a/ü 1+.bin": BODY}
    assert client.get_object(Bucket=bucket, Key="a/ü 1+.bin")["Body"].read() == BODY
    assert client.head_object(Bucket=bucket, Key="a/ü 1+.bin")["ContentLength"] == len(BODY)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=bucket, Key="other")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a/ü 1+.bin"}]})
    assert s3.keys(bucket) == []
    assert [method for method, _ in proxy.seen] == ["PUT", "GET", "HEAD", "GET", "POST"]


@pytest.mark.parametrize(
    ("fault", "error", "stored"),
    [
        (faults.slow_down, "SlowDown", None),
        (faults.internal_error, "InternalError", None),
        (faults.access_denied, "AccessDenied", None),
        (faults.no_such_bucket, "NoSuchBucket", None),
        (faults.precondition_failed, "PreconditionFailed", None),
        (faults.disconnect, "Connection was closed", None),
        (faults.store_then_disconnect, "Connection was closed", True),
        (faults.corrupt_stored, None, False),
    ],
)
def test_each_fault_does_to_a_put_what_it_says(
    s3: EmbeddedS3,
    bucket: str,
    proxy: S3Proxy,
    client: S3Client,
    fault: Callable[[], faults.Action],
    error: str | None,
    stored: bool | None,
) -> None:
    injected = proxy.inject(fault(), method="PUT", target="k.bin")
    if error is None:
        client.put_object(Bucket=bucket, Key="k.bin", Body=BODY)
    else:
        with pytest.raises((ClientError, BotoCoreError), match=error):
            client.put_object(Bucket=bucket, Key="k.bin", Body=BODY)
    assert injected.fired == 1
    found = s3.objects(bucket).get("k.bin")
    assert (None if found is None else found == BODY) is stored
    client.put_object(Bucket=bucket, Key="k.bin", Body=BODY)
    assert s3.objects(bucket) == {"k.bin": BODY}


def test_a_stalled_answer_is_a_time_out_after_the_object_was_stored(
    s3: EmbeddedS3, bucket: str, proxy: S3Proxy, client: S3Client
) -> None:
    release = threading.Event()
    injected = proxy.inject(faults.store_then_stall(release), method="PUT")
    with pytest.raises(BotoCoreError, match="Read timeout"):
        client.put_object(Bucket=bucket, Key="k", Body=b"v")
    release.set()
    assert injected.happened.is_set()
    assert s3.objects(bucket) == {"k": b"v"}


@pytest.mark.parametrize("fault", [faults.corrupt_returned, faults.truncate_returned])
def test_bytes_that_change_on_the_way_back_are_noticed_by_the_client(
    s3: EmbeddedS3, bucket: str, proxy: S3Proxy, client: S3Client, fault: Callable[[], faults.Action]
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="SHA256")
    injected = proxy.inject(fault(), method="GET")
    with pytest.raises(BotoCoreError):
        client.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert injected.fired == 1
    assert s3.objects(bucket) == {"k": BODY}


def test_faults_choose_by_method_target_and_turn(bucket: str, proxy: S3Proxy, client: S3Client) -> None:
    third = proxy.inject(faults.access_denied(), method="PUT", target="/hit", skip=2)
    outcomes = []
    for key in ("hit-1", "miss-1", "hit-2", "hit-3", "hit-4"):
        try:
            client.put_object(Bucket=bucket, Key=key, Body=b"")
            outcomes.append(True)
        except ClientError:
            outcomes.append(False)
    assert outcomes == [True, True, True, False, True]
    assert third.fired == 1


def test_hooks_run_before_and_after_the_store_has_the_object(
    s3: EmbeddedS3, bucket: str, proxy: S3Proxy, client: S3Client
) -> None:
    seen: list[list[str]] = []
    proxy.inject(faults.call_before(lambda _: seen.append(s3.keys(bucket))), method="PUT", target="first")
    proxy.inject(faults.call_after(lambda _: seen.append(s3.keys(bucket))), method="PUT", target="second")
    client.put_object(Bucket=bucket, Key="first", Body=b"")
    client.put_object(Bucket=bucket, Key="second", Body=b"")
    assert seen == [[], ["first", "second"]]


def test_headers_can_lie(bucket: str, proxy: S3Proxy, client: S3Client) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=BODY)
    proxy.inject(faults.alter_headers({"Content-Length": "5", "ETag": None}), method="HEAD")
    head = client.head_object(Bucket=bucket, Key="k")
    assert head["ContentLength"] == 5
    assert "ETag" not in head
