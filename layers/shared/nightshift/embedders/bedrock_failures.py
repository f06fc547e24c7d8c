"""Classifies failed calls of Amazon Bedrock.

Codes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html#API_runtime_InvokeModel_Errors
and https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from botocore import exceptions as botocore
from botocore.exceptions import BotoCoreError, ClientError

from nightshift.aws_failures import hint_of, words_of
from nightshift.embedders.batch_calls import InputRejected, TransientError
from nightshift.errors import EmbedderError

MAX_TOLD = 300
"""Characters of Bedrock's own words that an error shows."""

_PIECE = 12
"""Characters of a text that are not found in somebody's words by accident."""
_THROTTLED = {"ThrottlingException", "ModelNotReadyException", "ServiceQuotaExceededException"}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FAILED_DEPENDENCY}  # ModelTimeoutException, ModelErrorException
_TOO_MANY_TOKENS = re.compile(r"Max input tokens: (\d+), request input token count: (\d+)")
_TOO_MANY_CHARACTERS = re.compile(r"expected maxLength: (\d+), actual: (\d+)")

_SLOWER = "ask for a higher Bedrock quota (requests and tokens a minute), or set fewer EMBEDDING_WORKERS"
_NO_WAY = "in a VPC the function needs a NAT gateway or an endpoint for bedrock-runtime; check the region too"
_DAILY = re.compile(r"per day|daily", re.IGNORECASE)
"""Bedrock's words where a quota of the day is used up; the code is the one of throttling."""
_TOMORROW = (
    "the model's quota of tokens a day is used up: reembed goes on when the day is over; ask for a higher one in"
    " Service Quotas, Amazon Bedrock, “model invocation max tokens per day”"
)
_HINTS = {
    "AccessDeniedException": "the role needs bedrock:InvokeModel on the model (and on the inference profile), and the "
    "account access to it: Bedrock console, Model access",
    "ResourceNotFoundException": "check EMBEDDING_MODEL and the region: there is no such model or profile here",
}


def classify_error(exc: ClientError | BotoCoreError, text: str = "") -> InputRejected | TransientError | EmbedderError:
    """The failure as `batch_calls` knows it; raise it outside of the `except`: botocore's own may quote the text."""
    words = _harmless(words_of(exc), text)
    if isinstance(exc, ClientError):
        return _answered(exc, words)
    name = type(exc).__name__
    if isinstance(exc, botocore.SSLError):
        return _hopeless(name, exc, words)
    if isinstance(exc, botocore.ConnectionError):
        return TransientError(f"no connection: {name}: {words}", hint=_NO_WAY)
    if isinstance(exc, botocore.HTTPClientError | botocore.IncompleteReadError):
        return TransientError(f"no answer: {name}")
    return _hopeless(name, exc, words)


def _answered(exc: ClientError, words: str) -> InputRejected | TransientError | EmbedderError:
    about, error = exc.response.get("ResponseMetadata", {}), exc.response.get("Error", {})
    status = int(about.get("HTTPStatusCode", 0))
    code = str(error.get("Code") or status)
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _THROTTLED:
        if _DAILY.search(words):
            return EmbedderError(f"the embedding model's daily quota is used up: {code}", detail=words, hint=_TOMORROW)
        retry_after = _seconds(about.get("HTTPHeaders", {}).get("retry-after"))
        return TransientError(_with_words(code, words), throttled=True, retry_after=retry_after, hint=_SLOWER)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return TransientError(
            _with_words(code, words), retry_after=_seconds(about.get("HTTPHeaders", {}).get("retry-after"))
        )
    told = str(error.get("Message", ""))[:MAX_TOLD]
    if code == "ValidationException" or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InputRejected(_reason(code, told), told)
    return _hopeless(code, exc, words)


def _with_words(code: str, words: str) -> str:
    return f"{code}: {words}" if words and words != code else code


def _harmless(words: str, text: str) -> str:
    """Bedrock's own words; none where they quote a piece of the text."""
    pieces = (text[at : at + _PIECE] for at in range(max(1, len(text) - _PIECE + 1)))
    return "" if text and any(piece in words for piece in pieces) else words


def _reason(code: str, told: str) -> str:
    """Returns the reason in our words: Bedrock's may quote the text."""
    for pattern, unit in ((_TOO_MANY_TOKENS, "tokens"), (_TOO_MANY_CHARACTERS, "characters")):
        if found := pattern.search(told):
            most, has = map(int, found.groups())
            return f"{code}: {has:,} {unit}, {most:,} at the most"
    return code


def _hopeless(code: str, exc: ClientError | BotoCoreError, words: str) -> EmbedderError:
    hint = _HINTS.get(code) or hint_of(exc) or "nothing is lost by it; run reembed again when it is mended"
    return EmbedderError(f"the embedding model cannot be used: {code}", detail=words or None, hint=hint)


def _seconds(header: str | None) -> float | None:
    return float(header) if header and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()) else None
