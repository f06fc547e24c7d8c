"""Embeds texts with Amazon Bedrock's Titan Text Embeddings v2. Only this module calls bedrock-runtime.

Titan takes one text per call, so several calls run at once; `batch_calls` handles their errors. The first call loads
botocore, because a run without documents does not need it. These pages define the error codes:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html#API_runtime_InvokeModel_Errors and
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, partial
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
"""Timeouts after which a call is tried again; Titan usually answers within a second."""

MAX_WORDS = 300
"""Largest number of characters of Bedrock's message that an error shows."""

_PIECE = 12
"""Length from which a common substring of a message and a text counts as a quotation of the text."""
_THROTTLED = {"ThrottlingException", "ModelNotReadyException", "ServiceQuotaExceededException"}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FAILED_DEPENDENCY}  # ModelTimeoutException, ModelErrorException
_TOO_MANY_TOKENS = re.compile(r"Max input tokens: (\d+), request input token count: (\d+)")
_TOO_MANY_CHARACTERS = re.compile(r"expected maxLength: (\d+), actual: (\d+)")

_SLOWER = "ask for a higher Bedrock quota (requests and tokens a minute), or set fewer EMBEDDING_WORKERS"
_NO_WAY = "in a VPC the function needs a NAT gateway or an endpoint for bedrock-runtime; check the region too"
_DAILY = re.compile(r"per day|daily", re.IGNORECASE)
"""Pattern of Bedrock's message for an exhausted daily quota, whose error code is that of throttling."""
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
        """Store the settings without connecting; raises `InvalidSettings` for a model or dimension that is not Titan's.

        Args:
            model_id: the model's id, or the ARN of the model, of an inference profile or of a provisioned model.
        """
        self.model = titan.model_identity(model_id, dimension)
        self.dimension = dimension
        self._model_id = model_id
        self._workers = workers

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        return embed_batch(partial(self._ask, self._client), texts, workers=self._workers, deadline=deadline)

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
        # Raised outside the `except`, so that the error does not reference botocore's error, which may quote the text.
        raise failure

    @cached_property
    def _client(self) -> BedrockRuntimeClient:
        """Returns boto3's client; several threads may use the client, but only one thread may create it."""
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
            return boto3.session.Session().client("bedrock-runtime", config=config)
        except BotoCoreError as exc:
            raise classify_error(exc) from exc


def classify_error(exc: ClientError | BotoCoreError, text: str = "") -> InputRejected | TransientError | EmbedderError:
    """Returns the error for `batch_calls`; raise it outside the `except`: botocore's error may quote the text."""
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
    """Returns Bedrock's message, or an empty text if the message quotes a piece of the text."""
    pieces = (text[at : at + _PIECE] for at in range(max(1, len(text) - _PIECE + 1)))
    return "" if text and any(piece in words for piece in pieces) else words


def _reason(code: str, message: str) -> str:
    """Returns the reason in nightshift's words, because Bedrock's message may quote the text."""
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
