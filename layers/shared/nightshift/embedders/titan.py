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
"""With the region of a cross-region profile before it, or the context of a provisioned model behind it."""
_NAMED = re.compile(rf"(?:{_ARN}(?::foundation-model|\d{{12}}:inference-profile)/)?{_TITAN}")
_OPAQUE = re.compile(rf"{_ARN}\d{{12}}:(?:provisioned-model|application-inference-profile)/[A-Za-z0-9.:-]+")


def model_identity(model_id: str, dimension: int) -> str:
    """Returns the name of the model that is stored with its vectors.

    Every name that says so is the one model, wherever it runs: going to another region embeds nothing again. An ARN
    that does not tell which model is behind it stands for itself.

    Raises:
        InvalidSettings: it is another model, or one that has no such dimension.
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
    """The body of InvokeModel; in ASCII, so that half a surrogate pair is Titan's to refuse, and no error of ours."""
    return json.dumps({"inputText": text, "dimensions": dimension, "normalize": True}).encode("ascii")


def read_response(body: bytes, dimension: int) -> EmbeddingResponse:
    """Parses the model's response.

    Raises:
        TransientError: this is no answer of Titan's; perhaps a page that a proxy shows for a moment.
        InputRejected: the vector cannot be used for search.
        EmbedderError: the vector has another length. That is no matter of one text, but of the model behind an ARN.
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
