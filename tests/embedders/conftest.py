"""A Bedrock of the test's own, and the embedder that is pointed to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.bedrock import BedrockServer
from nightshift.embedders.bedrock import BedrockEmbedder
from tests.embedders.asked import DIMENSION, MODEL


@pytest.fixture
def bedrock(clean_environment: pytest.MonkeyPatch) -> Iterator[BedrockServer]:
    with BedrockServer() as server:
        for name, value in server.env.items():
            clean_environment.setenv(name, value)
        yield server


@pytest.fixture
def embedder(bedrock: BedrockServer) -> BedrockEmbedder:
    """It asks one text after the other, so that a test knows who meets the fault."""
    return BedrockEmbedder(MODEL, DIMENSION, workers=1)
