"""Embeds texts with Amazon Bedrock's Titan Text Embeddings v2, as deployed. The only module that calls bedrock-runtime.

Titan takes one text a call, so several calls run at once; `batch_calls` handles their errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from nightshift.embedders import titan
from nightshift.embedders.batch_calls import EmbeddingResponse, embed_batch
from nightshift.embedders.text_embedder import EmbeddingBatchResult

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3, 20
"""Titan answers within a second; a connection that says nothing for longer is given up and another tried."""


class BedrockEmbedder:
    """Titan Text Embeddings v2.

    Attributes:
        model: as `titan.identity` has it.
        dimension: 256, 512 or 1,024.
    """

    def __init__(self, model_id: str, dimension: int, *, workers: int) -> None:
        """Check the settings; nothing is connected yet.

        Args:
            model_id: the model, or the ARN of it, of an inference profile or of a provisioned model.
            dimension: numbers in a vector.
            workers: calls at once.

        Raises:
            InvalidSettings: not Titan v2, or not a dimension that it has.
        """
        self.model = titan.model_identity(model_id, dimension)
        self.dimension = dimension
        self._model_id = model_id
        self._workers = workers
        self._client: BedrockRuntimeClient | None = None

    def embed(self, texts: Sequence[str], *, deadline: float) -> EmbeddingBatchResult:
        """Embed a batch, as `TextEmbedder` has it."""
        ask = partial(self._ask, self._connected())
        return embed_batch(ask, texts, workers=self._workers, deadline=deadline)

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
            failure = _explained(exc, text)
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
                raise _explained(exc) from exc
        return self._client


def _explained(exc: ClientError | BotoCoreError, text: str = "") -> Exception:
    """botocore is loaded by the first call: a run without documents needs none of it."""
    from nightshift.embedders.bedrock_failures import classify_error

    return classify_error(exc, text)
