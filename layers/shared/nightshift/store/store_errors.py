"""Translates S3's refusals into errors for users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from nightshift.aws_failures import hint_of, with_words
from nightshift.errors import ColdStorage, ObjectAbsent, StoreError

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
