"""Builds the boto3 S3 client that all of nightshift uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from nightshift.aws_failures import hint_of, with_words
from nightshift.errors import ColdStorage, ObjectAbsent, StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DELETE_BATCH = 1000
"""DeleteObjects takes 1,000 keys a call (S3 API reference)."""

_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;", "\n": "&#xA;"})
"""A reader of XML takes a bare line end for a space, or a carriage return for a line feed."""

_patience = threading.local()


class S3DeadlineExceeded(BotoCoreError):
    """A request was not sent: it would have been too late."""

    fmt = "the time is over"


@contextmanager
def sending_until(deadline: float) -> Iterator[None]:
    """Let this thread's requests be sent, and sent again, before this `time.monotonic()` value alone.

    Raises:
        S3DeadlineExceeded: a request was held back, e.g. one that an environment gave up before it slept for an hour.
    """
    _patience.deadline = deadline
    try:
        yield
    finally:
        del _patience.deadline


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
        # S3 checks what it is sent; checking each of a thousand keys here takes an eighth of a request's time.
        parameter_validation=False,
    )
    # A session of its own: the default one must not be used by two threads at once.
    client: S3Client = boto3.session.Session().client("s3", config=config)
    client.meta.events.register("before-send.s3", _must_be_in_time)
    client.meta.events.register("before-parse.s3.DeleteObjects", _must_be_an_answer)
    client.meta.events.register("provide-client-params.s3.DeleteObjects", _set_keys_aside)  # type: ignore[arg-type]
    client.meta.events.register_first("before-call.s3.DeleteObjects", _write_keys)
    return client


def _set_keys_aside(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    """Keep a list of keys from boto3, which takes 4 ms to turn a thousand of them into XML; `_write_keys` takes 0.2."""
    context["nightshift_objects"] = params["Delete"]["Objects"]
    return {**params, "Delete": {"Quiet": False, **params["Delete"], "Objects": []}}


def _write_keys(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Put the keys into the request, before it is summed and signed."""
    head, end, tail = params["body"].rpartition(b"</Delete>")
    written = "".join(
        f"<Object>{''.join(f'<{name}>{value.translate(_XML)}</{name}>' for name, value in entry.items())}</Object>"
        for entry in context["nightshift_objects"]
    )
    params["body"] = head + written.encode() + end + tail


def _must_be_in_time(**_: object) -> None:
    if time.monotonic() > getattr(_patience, "deadline", float("inf")):
        raise S3DeadlineExceeded


def _must_be_an_answer(response_dict: dict[str, Any], **_: object) -> None:
    """Take for the failure that it is a 200 without the element that S3 always sends, e.g. a proxy's page.

    In its quiet mode DeleteObjects does not list deleted keys, so that any other answer would look like success.
    """
    if response_dict["status_code"] == 200 and b"<DeleteResult" not in response_dict["body"]:
        response_dict["status_code"] = 502


_ABSENT = {"NoSuchKey", "NoSuchVersion", "404"}
_FORBIDDEN = "the role needs s3:GetObject and s3:ListBucket on the archive, cleanup s3:PutObject too, and its KMS key"
_HINTS = {
    "NoSuchBucket": "ARCHIVE_BUCKET does not exist; deploy the stack or correct the name",
    "AccessDenied": _FORBIDDEN,
    "403": _FORBIDDEN,
    "InvalidObjectState": "thaw it first: aws s3api restore-object",
    "SlowDown": "S3 asks for fewer requests; the next run goes on where this one stopped",
}


def code_of(exc: Exception) -> str:
    """S3's own error code, or HTTP's; the kind of failure where no answer came."""
    if not isinstance(exc, ClientError):
        return type(exc).__name__
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(exc.response.get("Error", {}).get("Code") or status)


def is_denied(exc: BaseException | None) -> bool:
    """Returns whether S3 refused for want of a right, or says no more than that."""
    return isinstance(exc, ClientError) and code_of(exc) in ("AccessDenied", "403")


def is_listed(client: S3Client, bucket: str, key: str) -> bool:
    """Returns whether a listing shows an object."""
    listing = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    # Of the keys that begin with it, it would be the first.
    return any(entry["Key"] == key for entry in listing.get("Contents", ()))


@contextmanager
def error_context(message: str, bucket: str, key: str) -> Iterator[None]:
    """Turn boto3's exceptions into a `StoreError` that names the object."""
    try:
        yield
    except (ClientError, BotoCoreError) as exc:
        raise store_error(message, bucket, key, exc) from exc


def store_error(message: str, bucket: str, key: str, exc: Exception) -> StoreError:
    """The error for people; hints where the code is known."""
    code = code_of(exc)
    kind = ObjectAbsent if code in _ABSENT else ColdStorage if code == "InvalidObjectState" else StoreError
    return kind(
        f"{message}: {code}",
        detail=with_words(f"s3://{bucket}/{key}", exc),
        hint=_HINTS.get(code) or hint_of(exc) or "nothing is lost by it; the next run goes on from here",
    )
