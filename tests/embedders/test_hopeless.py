"""What no wait mends ends a run long before its deadline, and is told for what it is."""

from __future__ import annotations

import time

import pytest

from local.bedrock import Answer, BedrockServer
from nightshift.embedders import batch_calls
from nightshift.embedders.bedrock import BedrockEmbedder
from nightshift.embedders.text_embedder import EmbeddingDeadlineExceeded
from nightshift.errors import EmbedderError
from tests.embedders.asked import DIMENSION, TEXTS

DAILY = [
    "Too many tokens per day, please wait before trying again.",
    "Your account has reached its daily quota of model invocations.",
    "Too many requests per day",
]
NONSENSE = {
    "a page": Answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"}),
    "another model's": Answer(200, b'{"results": []}'),
    "null": Answer(200, b'{"embedding": null, "inputTextTokenCount": null}'),
}
PATIENCE_S = 30
"""Where one of these is waited for after all, the run ends by its deadline, with another error."""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_calls, "FIRST_WAIT_S", batch_calls.FIRST_WAIT_S / 1000)


@pytest.mark.parametrize("words", DAILY)
def test_a_quota_of_the_day_is_not_waited_for(bedrock: BedrockServer, embedder: BedrockEmbedder, words: str) -> None:
    told = f'{{"message": "{words}"}}'.encode()
    bedrock.answer_next(Answer(429, told, {"x-amzn-ErrorType": "ThrottlingException"}), times=1000)
    with pytest.raises(EmbedderError, match="daily quota is used up") as raised:
        embedder.embed(TEXTS, deadline=time.monotonic() + PATIENCE_S)
    assert words in str(raised.value.detail)
    assert "reembed goes on when the day is over" in str(raised.value.hint)
    assert bedrock.calls <= len(TEXTS)


def test_throttling_is_waited_for_and_told_in_bedrocks_words(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    words = "Too many tokens, please wait before trying again."
    told = f'{{"message": "{words}"}}'.encode()
    bedrock.answer_next(Answer(429, told, {"x-amzn-ErrorType": "ThrottlingException"}), times=100_000)
    with pytest.raises(EmbeddingDeadlineExceeded) as raised:
        embedder.embed(TEXTS, deadline=time.monotonic() + 1)
    assert words in str(raised.value.detail)
    assert "quota (requests and tokens a minute)" in str(raised.value.hint)


@pytest.mark.parametrize("answer", NONSENSE)
def test_a_model_that_answers_nonsense_is_given_up(
    bedrock: BedrockServer, embedder: BedrockEmbedder, answer: str
) -> None:
    bedrock.answer_next(NONSENSE[answer], times=100_000)
    with pytest.raises(EmbedderError, match="does not answer as one") as raised:
        embedder.embed(TEXTS, deadline=time.monotonic() + PATIENCE_S)
    assert "check AWS_ENDPOINT_URL_BEDROCK_RUNTIME and any proxy" in str(raised.value.hint)
    assert embedder.dimension == DIMENSION
