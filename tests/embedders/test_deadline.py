"""Nothing is sent after the deadline, nothing waited for, and what was paid for before is not thrown away."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.bedrock import BedrockServer
from local.titan import tokens_of
from nightshift.embedders.bedrock import BedrockEmbedder
from nightshift.embedders.text_embedder import EmbeddingDeadlineExceeded
from tests.embedders.asked import DIMENSION, MODEL, TEXTS, calls_in_the_end, embed, vectors

MANY = [f"문서 {number}" for number in range(20)]


def test_after_the_deadline_nothing_is_sent(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    with pytest.raises(EmbeddingDeadlineExceeded, match="3 of 3 texts are left"):
        embed(embedder, seconds=-1)
    assert calls_in_the_end(bedrock) == 0


def test_throttled_until_the_deadline(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    bedrock.fail_next("ThrottlingException", times=10_000)
    with pytest.raises(
        EmbeddingDeadlineExceeded, match="3 of 3 texts are left; at last: ThrottlingException"
    ) as caught:
        embed(embedder, seconds=2)
    assert "quota" in (caught.value.hint or "")
    assert calls_in_the_end(bedrock) == bedrock.answers[429] > 0


def test_what_was_embedded_before_is_kept(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    bedrock.poison(TEXTS[2], "ThrottlingException", headers={"Retry-After": "3600"})
    with pytest.raises(EmbeddingDeadlineExceeded, match="1 of 4 texts are left") as caught:
        embed(embedder, [TEXTS[0], "", TEXTS[1], TEXTS[2]])
    done = caught.value.embedded
    assert done.vectors == [vectors()[0], None, vectors()[1], None]
    assert done.refused == {1: "there is no text"}
    assert done.tokens == tokens_of(TEXTS[0]) + tokens_of(TEXTS[1])
    assert bedrock.answers == {200: 2, 429: 1}


def test_nobody_waits_for_a_time_after_the_deadline(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    """Nor do the others ask, whom the service did not tell."""
    bedrock.fail_next("ThrottlingException", headers={"Retry-After": "3600"})
    with pytest.raises(EmbeddingDeadlineExceeded):
        embed(embedder, MANY)
    assert calls_in_the_end(bedrock) == 1


def test_retry_after_is_kept(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    bedrock.fail_next("ThrottlingException", headers={"Retry-After": "1"})
    began = time.monotonic()
    assert embed(embedder).vectors == vectors()
    assert time.monotonic() - began >= 1
    assert bedrock.answers == {429: 1, 200: 3}


def test_a_model_that_says_nothing_is_not_waited_for(bedrock: BedrockServer) -> None:
    """The requests under way are left to themselves; no other follows them."""
    embedder = BedrockEmbedder(MODEL, DIMENSION, workers=4)
    embed(embedder)  # so that the client is there
    before = bedrock.calls
    with bedrock.held(), pytest.raises(EmbeddingDeadlineExceeded) as caught:
        embed(embedder, MANY, seconds=2)
    assert caught.value.embedded.vectors == [None] * len(MANY)
    assert 0 < calls_in_the_end(bedrock) - before <= 4


def test_where_nobody_listens(clean_environment: pytest.MonkeyPatch, bedrock: BedrockServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    clean_environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"http://127.0.0.1:{port}")
    with pytest.raises(
        EmbeddingDeadlineExceeded, match="no connection: EndpointConnectionError: Could not connect"
    ) as caught:
        embed(BedrockEmbedder(MODEL, DIMENSION, workers=2), seconds=2)
    assert "or an endpoint for bedrock-runtime" in (caught.value.hint or "")


@pytest.mark.parametrize("workers", [1, 3])
def test_as_many_calls_at_once_as_there_are_workers(bedrock: BedrockServer, workers: int) -> None:
    embedder = BedrockEmbedder(MODEL, DIMENSION, workers=workers)
    with ThreadPoolExecutor(1) as pool:
        with bedrock.held():
            asked = pool.submit(embed, embedder, MANY)
            bedrock.wait_for_calls(workers)
        assert asked.result().vectors == vectors(MANY)
    assert bedrock.most_at_once == workers
    assert bedrock.embedded == dict.fromkeys(MANY, 1)


def test_no_deadline_at_all(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    assert embedder.embed(TEXTS, deadline=float("inf")).vectors == vectors()
