"""Requests and responses of Amazon Titan Text Embeddings v2, and the names of the model.

Formats: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html. Titan
accepts 8,192 tokens and 50,000 characters. The model enforces these limits itself, because only it counts tokens.
"""

from __future__ import annotations

import json
import math
import re
from array import array

from nightshift.embedders.batch_calls import EmbeddingResponse, InputRejected, TransientError
from nightshift.errors import EmbedderError, InvalidSettings

MODEL = "amazon.titan-embed-text-v2:0"
DIMENSIONS = (256, 512, 1024)

_ARN = r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:"
_TITAN = r"(?:[a-z-]{2,10}\.)?amazon\.titan-embed-text-v2:0(?::\d+k)?"
"""Pattern of the model's id, with a cross-region profile's region before it, or a provisioned model's context after."""
_NAMED = re.compile(rf"(?:{_ARN}(?::foundation-model|\d{{12}}:inference-profile)/)?{_TITAN}")
_OPAQUE = re.compile(rf"{_ARN}\d{{12}}:(?:provisioned-model|application-inference-profile)/[A-Za-z0-9.:-]+")


def model_identity(model_id: str, dimension: int) -> str:
    """Returns the model name that is stored with the vectors.

    All ids and ARNs that name Titan have the same model name in every region, so a change of the region embeds nothing
    again. For an ARN that does not tell the model, the name is the ARN.

    Raises:
        InvalidSettings: the id does not name Titan, or Titan does not support the dimension.
    """
    problems = []
    if not (_NAMED.fullmatch(model_id) or _OPAQUE.fullmatch(model_id)):
        problems.append(
            f"EMBEDDING_MODEL: should be {MODEL}, or the ARN of it, of an inference profile or of a provisioned model"
        )
    if dimension not in DIMENSIONS:
        problems.append(f"EMBEDDING_DIMENSION: should be one of {', '.join(map(str, DIMENSIONS))}")
    if problems:
        raise InvalidSettings(
            "settings are not usable",
            detail="\n".join(problems),
            hint="EMBEDDER=bedrock speaks to Titan Text Embeddings v2 alone; nothing was read or written",
        )
    return MODEL if _NAMED.fullmatch(model_id) else model_id


def request_body(text: str, dimension: int) -> bytes:
    """Returns the body of InvokeModel, in ASCII, so that Titan, not the encoding, refuses an unpaired surrogate."""
    return json.dumps({"inputText": text, "dimensions": dimension, "normalize": True}).encode("ascii")


def read_response(body: bytes, dimension: int) -> EmbeddingResponse:
    """Parse the model's response.

    Raises:
        TransientError: the response does not have Titan's format; it may be a proxy's error page.
        InputRejected: the vector cannot be used for search.
        EmbedderError: the vector has another length, so the ARN leads to another model.
    """
    try:
        response = json.loads(body)
        vector = array("f", response["embedding"])
        tokens = int(response["inputTextTokenCount"])
    except (ValueError, KeyError, TypeError, OverflowError):
        raise TransientError("HTTP 200, but not the model's answer", nonsense=True) from None
    if len(vector) != dimension:
        raise EmbedderError(
            "the embedding model answers with vectors of another length",
            detail=f"{len(vector)} numbers, {dimension} asked for",
            hint=f"EMBEDDING_MODEL must be {MODEL}, or stand for it",
        )
    if not all(map(math.isfinite, vector)) or not any(vector):
        raise InputRejected("the model's vector has no direction")
    return EmbeddingResponse(vector, tokens)
