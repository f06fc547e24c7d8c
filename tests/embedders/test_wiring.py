"""Which embedder a run gets, and that a warm environment keeps it."""

from __future__ import annotations

import pytest

from local.bedrock import BedrockServer
from nightshift.embedders.bedrock import BedrockEmbedder
from nightshift.embedders.hashing import HashingEmbedder
from nightshift.embedders.text_embedder import make_embedder
from nightshift.errors import InvalidSettings
from nightshift.run_services import RunWiring
from nightshift.settings import Settings
from tests.embedders.asked import MODEL, TEXTS, embed


def test_bedrock_is_what_is_deployed(bedrock: BedrockServer) -> None:
    wiring = RunWiring({"EMBEDDING_WORKERS": "3"})
    assert isinstance(wiring.embedder, BedrockEmbedder)
    assert (wiring.embedder.model, wiring.embedder.dimension) == (MODEL, 1024)
    assert bedrock.calls == 0
    assert len(embed(wiring.embedder).vectors) == len(TEXTS)
    assert bedrock.calls == len(TEXTS)


def test_the_local_one_asks_nobody(bedrock: BedrockServer) -> None:
    embedder = RunWiring({"EMBEDDER": "local", "EMBEDDING_DIMENSION": "300"}).embedder
    assert isinstance(embedder, HashingEmbedder)
    assert embedder.model != MODEL
    assert {len(vector or ()) for vector in embed(embedder).vectors} == {300}
    assert bedrock.calls == 0


def test_a_warm_environment_keeps_it() -> None:
    wiring = RunWiring({})
    assert wiring.embedder is wiring.embedder


def test_a_setting_that_cannot_be_is_said_before_anything_is_asked(bedrock: BedrockServer) -> None:
    with pytest.raises(InvalidSettings, match="EMBEDDING_DIMENSION"):
        make_embedder(Settings.from_env({"EMBEDDING_DIMENSION": "1000"}))
    assert bedrock.calls == 0
