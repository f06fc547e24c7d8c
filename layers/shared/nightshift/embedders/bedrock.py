"""Embeds texts with Amazon Bedrock's Titan Text Embeddings v2, as deployed. The only module that calls bedrock-runtime.

Titan takes one text a call, so several calls run at once; `batch_calls` handles their errors. botocore is loaded by the
first call: a run without documents needs none of it. The error codes are those of
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html#API_runtime_InvokeModel_Errors and
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from nightshift.embedders import titan
from nightshift.embedders.batch_calls import EmbeddingResponse, InputRejected, TransientError, embed_batch
from nightshift.embedders.text_embedder import EmbeddingBatchResult
from nightshift.errors import EmbedderError

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3, 20
"""Titan answers within a second; a connection that says nothing for longer is given up and another tried."""

MAX_WORDS = 300
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


class BedrockEmbedder:
    """Titan Text Embeddings v2; its `model` is `titan.model_identity`."""

    def __init__(self, model_id: str, dimension: int, *, workers: int) -> None:
        """Connects nothing yet; raises `InvalidSettings` for another model, or a dimension that Titan has not.

        Args:
            model_id: the model, or the ARN of it, of an inference profile or of a provisioned model.
            workers: calls at once.
        """
        self.model = titan.model_identity(model_id, dimension)
        self.dimension = dimension
        self._model_id = model_id
        self._workers = workers
        self._client: BedrockRuntimeClient | None = None

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        return embed_batch(partial(self._ask, self._connected()), texts, workers=self._workers, deadline=deadline)

    def _ask(self, client: BedrockRuntimeClient, text: str) -> EmbeddingResponse:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response = client.invoke_model(
                modelId=self._model_id,
                body=titan.request_body(text, self.dimension),
                contentType="application/json",
                accept="application/json",
            )
            body = response["body"].read()
        except (ClientError, BotoCoreError) as exc:
            failure = classify_error(exc, text)
        else:
            return titan.read_response(body, self.dimension)
        # Out of the `except`, so that our error has no link to botocore's, which may quote the text.
        raise failure

    def _connected(self) -> BedrockRuntimeClient:
        """boto3's client; it may be used by several threads, but not be built by them."""
        if self._client is None:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError

            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": 1},
                max_pool_connections=self._workers,
                user_agent_extra="nightshift",
            )
            try:
                self._client = boto3.session.Session().client("bedrock-runtime", config=config)
            except BotoCoreError as exc:
                raise classify_error(exc) from exc
        return self._client


def classify_error(exc: ClientError | BotoCoreError, text: str = "") -> InputRejected | TransientError | EmbedderError:
    """The failure as `batch_calls` knows it; raise it outside of the `except`: botocore's own may quote the text."""
    from botocore import exceptions as botocore

    from nightshift.aws_failures import words_of

    words = _harmless(words_of(exc), text)
    if isinstance(exc, botocore.ClientError):
        return _answered(exc, words)
    name = type(exc).__name__
    if isinstance(exc, botocore.ConnectionError) and not isinstance(exc, botocore.SSLError):
        return TransientError(f"no connection: {name}: {words}", hint=_NO_WAY)
    if isinstance(exc, botocore.HTTPClientError | botocore.IncompleteReadError):
        return TransientError(f"no answer: {name}")
    return _hopeless(name, exc, words)


def _answered(exc: ClientError, words: str) -> InputRejected | TransientError | EmbedderError:
    about, error = exc.response.get("ResponseMetadata", {}), exc.response.get("Error", {})
    status = int(about.get("HTTPStatusCode", 0))
    code = str(error.get("Code") or status)
    retry_after = _seconds(about.get("HTTPHeaders", {}).get("retry-after"))
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _THROTTLED:
        if _DAILY.search(words):
            return EmbedderError(f"the embedding model's daily quota is used up: {code}", detail=words, hint=_TOMORROW)
        return TransientError(_with_words(code, words), throttled=True, retry_after=retry_after, hint=_SLOWER)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return TransientError(_with_words(code, words), retry_after=retry_after)
    message = str(error.get("Message", ""))[:MAX_WORDS]
    if code == "ValidationException" or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InputRejected(_reason(code, message), message)
    return _hopeless(code, exc, words)


def _with_words(code: str, words: str) -> str:
    return f"{code}: {words}" if words and words != code else code


def _harmless(words: str, text: str) -> str:
    """Bedrock's own words; none where they quote a piece of the text."""
    pieces = (text[at : at + _PIECE] for at in range(max(1, len(text) - _PIECE + 1)))
    return "" if text and any(piece in words for piece in pieces) else words


def _reason(code: str, message: str) -> str:
    """Returns the reason in our words: Bedrock's may quote the text."""
    for pattern, unit in ((_TOO_MANY_TOKENS, "tokens"), (_TOO_MANY_CHARACTERS, "characters")):
        if match := pattern.search(message):
            most, has = map(int, match.groups())
            return f"{code}: {has:,} {unit}, {most:,} at the most"
    return code


def _hopeless(code: str, exc: ClientError | BotoCoreError, words: str) -> EmbedderError:
    from nightshift.aws_failures import hint_of

    hint = _HINTS.get(code) or hint_of(exc) or "nothing is lost by it; run reembed again when it is mended"
    return EmbedderError(f"the embedding model cannot be used: {code}", detail=words or None, hint=hint)


def _seconds(header: str | None) -> float | None:
    return float(header) if header and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()) else None
