"""Titan's names, and that its vectors go by the model rather than by the way there."""

from __future__ import annotations

import re

import pytest

from local.bedrock import BedrockServer
from local.titan import vector_of
from nightshift.embedders.bedrock import BedrockEmbedder
from nightshift.errors import InvalidSettings
from tests.embedders.asked import MODEL, TEXTS, embed

ACCOUNT = "arn:aws:bedrock:ap-northeast-2:123456789012:"
NAMES = (
    MODEL,
    f"{MODEL}:8k",
    f"us.{MODEL}",
    f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}",
    f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{MODEL}",
    f"{ACCOUNT}inference-profile/apac.{MODEL}",
)
OPAQUE = (f"{ACCOUNT}provisioned-model/abcdefghijkl", f"{ACCOUNT}application-inference-profile/abcdefghijkl")
OTHERS = (
    "amazon.titan-embed-text-v1",
    "amazon.titan-embed-image-v1",
    "cohere.embed-multilingual-v3",
    "amazon.titan-embed-text-v2:0; drop",
    "titan",
    f"{ACCOUNT}foundation-model/cohere.embed-multilingual-v3",
    f"{ACCOUNT}custom-model/amazon.titan-embed-text-v2:0",
    f"{ACCOUNT}inference-profile/us.cohere.embed-v4:0",
)


@pytest.mark.parametrize("name", NAMES)
def test_whichever_way_the_model_is_reached_its_vectors_go_by_its_name(bedrock: BedrockServer, name: str) -> None:
    bedrock.models = (name,)
    embedder = BedrockEmbedder(name, 512, workers=2)
    assert (embedder.model, embedder.dimension) == (MODEL, 512)
    assert embed(embedder).vectors == [vector_of(text, 512) for text in TEXTS]


@pytest.mark.parametrize("name", OPAQUE)
def test_an_arn_that_names_no_model_stands_for_itself(bedrock: BedrockServer, name: str) -> None:
    bedrock.models = (name,)
    embedder = BedrockEmbedder(name, 256, workers=2)
    assert embedder.model == name
    assert embed(embedder).vectors == [vector_of(text, 256) for text in TEXTS]


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_are_not_spoken_to(name: str) -> None:
    with pytest.raises(InvalidSettings, match=f"EMBEDDING_MODEL: should be {re.escape(MODEL)}"):
        BedrockEmbedder(name, 1024, workers=1)


@pytest.mark.parametrize("dimension", [1, 255, 384, 1025, 1536])
def test_other_dimensions_are_not_asked_for(dimension: int) -> None:
    with pytest.raises(InvalidSettings, match="EMBEDDING_DIMENSION: should be one of 256, 512, 1024"):
        BedrockEmbedder(MODEL, dimension, workers=1)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        BedrockEmbedder("titan", 300, workers=1)
    assert [line.partition(":")[0] for line in (caught.value.detail or "").splitlines()] == [
        "EMBEDDING_MODEL",
        "EMBEDDING_DIMENSION",
    ]
    assert "speaks to Titan Text Embeddings v2 alone" in str(caught.value.hint)
