"""The counting S3 answers boto3 as S3 does, and counts what it was told."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import boto3
import pytest
from botocore.exceptions import ClientError

from local.counting_s3 import CountingS3, Counts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ODD = ["a&b<c>.pdf", "이력서 1.pdf", "quo\"te's.pdf", "plus+%2E space.pdf", "</Key><Quiet>true</Quiet>"]


@pytest.fixture(scope="module")
def running() -> Iterator[CountingS3]:
    with CountingS3() as server:
        yield server


@pytest.fixture
def server(running: CountingS3) -> CountingS3:
    running.refuse(None)
    running.reset()
    return running


@pytest.fixture
def client(server: CountingS3, clean_environment: pytest.MonkeyPatch) -> Iterator[S3Client]:
    for name, value in server.env.items():
        clean_environment.setenv(name, value)
    client = boto3.Session().client("s3")
    yield client
    client.close()


def delete(client: S3Client, keys: list[str], bucket: str = "uploads", *, quiet: bool = False) -> list[list[str]]:
    """The keys that S3 says are gone, and those that it refused."""
    answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys], "Quiet": quiet})
    refused = answer.get("Errors", [])
    assert {error["Code"] for error in refused} <= {"AccessDenied"}
    return [[entry["Key"] for entry in answer.get("Deleted", [])], [entry["Key"] for entry in refused]]


def test_each_key_is_answered_for_and_counted_by_bucket(server: CountingS3, client: S3Client) -> None:
    keys = [f"jobs/{number}.pdf" for number in range(1000)]
    assert delete(client, keys) == [keys, []]
    assert delete(client, keys[:10]) == [keys[:10], []]
    assert delete(client, ODD, "other") == [ODD, []]
    assert server.counts() == {
        "uploads": Counts(requests=2, deleted=1010, distinct=1000),
        "other": Counts(requests=1, deleted=5, distinct=5),
    }
    server.reset()
    assert server.counts() == {}


def test_quiet_names_only_what_was_refused(server: CountingS3, client: S3Client) -> None:
    server.refuse(r"^이력서|<c>")
    assert delete(client, ODD, quiet=True) == [[], ODD[:2]]
    assert server.counts() == {"uploads": Counts(requests=1, deleted=3, distinct=3, refused=2)}


def test_a_refused_key_goes_once_the_rule_is_lifted(server: CountingS3, client: S3Client) -> None:
    server.refuse(r"2\.pdf$")
    assert delete(client, ["1.pdf", "2.pdf", "3.pdf"]) == [["1.pdf", "3.pdf"], ["2.pdf"]]
    server.refuse(None)
    assert delete(client, ["2.pdf"]) == [["2.pdf"], []]
    assert server.counts() == {"uploads": Counts(requests=2, deleted=3, distinct=3, refused=1)}


def test_more_keys_than_s3_takes_are_refused_as_a_whole(server: CountingS3, client: S3Client) -> None:
    with pytest.raises(ClientError, match="MalformedXML"):
        delete(client, [str(number) for number in range(1001)])
    assert server.counts() == {}


def test_a_body_without_a_checksum_is_refused(server: CountingS3) -> None:
    body = b"<Delete><Object><Key>k</Key></Object></Delete>"
    request = urllib.request.Request(f"{server.endpoint}/uploads?delete", body)
    with pytest.raises(HTTPError, match="400") as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
    with refused.value:
        assert b"InvalidRequest" in refused.value.read()
    assert server.counts() == {}


def test_what_it_does_not_speak_it_says(server: CountingS3, client: S3Client) -> None:
    with pytest.raises(ClientError, match="NotImplemented"):
        client.put_object(Bucket="uploads", Key="k", Body=b"v")
    with pytest.raises(ClientError, match="NotImplemented"):
        client.list_objects(Bucket="uploads")
    with pytest.raises(ClientError, match="NotImplemented"):
        client.delete_object(Bucket="uploads", Key="k")
    assert delete(client, ["k"]) == [["k"], []]
    (found,) = client.list_objects_v2(Bucket="uploads", Prefix="a & b/키", MaxKeys=1)["Contents"]
    assert found["Key"] == "a & b/키"
