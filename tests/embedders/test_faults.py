"""What goes wrong at Bedrock: what passes is waited for, what is a document's own fault is named, the rest stops all.

Each test asks the server whether the fault was met.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.bedrock import Answer, BedrockServer
from local.titan import tokens_of
from nightshift.embedders import batch_calls
from nightshift.embedders.bedrock import BedrockEmbedder
from nightshift.embedders.text_embedder import EmbeddingDeadlineExceeded
from nightshift.errors import EmbedderError
from tests.embedders.asked import DIMENSION, MODEL, TEXTS, calls_in_the_end, embed, vectors

PASSING = {
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "ServiceQuotaExceededException": 400,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
ODD: dict[str, Answer | None] = {
    "the connection is cut": None,
    "a gateway's page": Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "a proxy's page": Answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"}),
    "no vector": Answer(200, b'{"message": "hello"}'),
    "no numbers": Answer(200, b'{"embedding": ["a"], "inputTextTokenCount": 1}'),
    "half an answer": Answer(200, b'{"embedding": [0.1, ', {"Content-Length": "9999", "Connection": "close"}),
}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are a hundredth of what they are, where a test is about many tries."""
    monkeypatch.setattr(batch_calls, "FIRST_WAIT_S", batch_calls.FIRST_WAIT_S / 100)


@pytest.mark.parametrize("code", PASSING)
def test_what_passes_is_asked_again(bedrock: BedrockServer, embedder: BedrockEmbedder, code: str) -> None:
    bedrock.fail_next(code, times=2)
    embedded = embed(embedder)
    assert (embedded.vectors, embedded.refused) == (vectors(), {})
    assert embedded.tokens == sum(map(tokens_of, TEXTS))
    assert bedrock.answers == {PASSING[code]: 2, 200: 3}
    assert bedrock.embedded == dict.fromkeys(TEXTS, 1)


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_answer_is_asked_again(bedrock: BedrockServer, embedder: BedrockEmbedder, odd: str) -> None:
    bedrock.answer_next(ODD[odd], times=2)
    assert embed(embedder).vectors == vectors()
    assert bedrock.calls == 5


def test_throttling_is_outlasted_however_often(
    bedrock: BedrockServer, embedder: BedrockEmbedder, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_calls, "MAX_WAIT_S", batch_calls.FIRST_WAIT_S)
    bedrock.fail_next("ThrottlingException", times=10 * batch_calls.MAX_TRIES)
    embedded = embed(embedder)
    assert (embedded.vectors, embedded.refused) == (vectors(), {})
    assert bedrock.answers[429] == 10 * batch_calls.MAX_TRIES


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("word " * 10_000, "ValidationException: 12,500 tokens, 8,192 at the most"),
        ("가" * 50_001, "ValidationException: 50,001 characters, 50,000 at the most"),
    ],
    ids=["tokens", "characters"],
)
def test_too_long_a_document_is_named_and_its_neighbours_embedded(
    bedrock: BedrockServer, embedder: BedrockEmbedder, bad: str, reason: str
) -> None:
    embedded = embed(embedder, [TEXTS[0], bad, TEXTS[1]])
    assert embedded.vectors == [vectors()[0], None, vectors()[1]]
    assert embedded.refused == {1: reason}
    assert bedrock.answers == {200: 2, 400: 1}


def test_a_refusal_does_not_quote_the_document(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    secret = "주민등록번호 900101-1234567"
    bedrock.poison(secret, "ValidationException", f"Malformed input request: {secret} is not permitted")
    embedded = embed(embedder, [secret, *TEXTS])
    assert embedded.refused == {0: "ValidationException"}
    assert bedrock.answers[400] == 1


def test_documents_without_text_cost_nothing(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    embedded = embed(embedder, ["", TEXTS[0], " \n\u3000"])
    assert embedded.vectors == [None, vectors()[0], None]
    assert embedded.refused == dict.fromkeys((0, 2), "there is no text")
    assert bedrock.calls == 1


def test_half_a_surrogate_pair_harms_nobody(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    texts = ["\ud83d", TEXTS[0]]
    assert embed(embedder, texts).vectors == vectors(texts)


def test_a_batch_of_bad_documents_alone_is_no_sign_of_a_bad_model(
    bedrock: BedrockServer, embedder: BedrockEmbedder
) -> None:
    """A text of the embedder's own shows that the model is well; it is asked once for the batch."""
    for text in TEXTS:
        bedrock.poison(text, "ValidationException")
    assert list(embed(embedder).refused) == [0, 1, 2]
    assert bedrock.embedded == {batch_calls.PROBE: 1}
    assert bedrock.answers == {400: 3, 200: 1}


def test_a_probe_that_is_throttled_says_nothing(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    bedrock.poison(TEXTS[0], "ValidationException")
    bedrock.fail_next("ValidationException")
    bedrock.fail_next("ThrottlingException")
    embedded = embed(embedder, TEXTS[:1])
    assert embedded.refused == {0: "ValidationException"}
    assert bedrock.answers == {400: 2, 429: 1, 200: 1}


def test_a_document_that_the_model_chokes_on_is_given_up(
    bedrock: BedrockServer, embedder: BedrockEmbedder, hasty: None
) -> None:
    bedrock.poison(TEXTS[0], "InternalServerException")
    bedrock.poison(TEXTS[1], None)
    embedded = embed(embedder)
    assert embedded.vectors == [None, None, vectors()[2]]
    assert embedded.refused == {
        0: "InternalServerException, 6 times, while the model takes other texts",
        1: "no answer: ConnectionClosedError, 6 times, while the model takes other texts",
    }
    assert bedrock.answers == {500: 6, 0: 6, 200: 3}


def test_nobody_is_given_up_while_the_model_is_down(
    bedrock: BedrockServer, embedder: BedrockEmbedder, hasty: None
) -> None:
    """Even though it took a text just before: it is asked for another one, and that fails as well."""
    bedrock.poison(TEXTS[2], "ServiceUnavailableException")
    bedrock.poison(batch_calls.PROBE, "ServiceUnavailableException", headers={"Retry-After": "3600"})
    with pytest.raises(EmbeddingDeadlineExceeded) as caught:
        embed(embedder)
    assert caught.value.embedded.refused == {}
    assert caught.value.embedded.vectors == [*vectors(TEXTS[:2]), None]
    assert "1 of 3 texts are left; at last: ServiceUnavailableException" in str(caught.value)
    assert bedrock.answers == {200: 2, 503: batch_calls.MAX_TRIES + 1}


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDeniedException", "bedrock:InvokeModel"),
        ("ResourceNotFoundException", "EMBEDDING_MODEL"),
        ("ExpiredTokenException", "credentials"),
        ("UnrecognizedClientException", "credentials"),
        ("SomethingNewException", "run reembed again when it is mended"),
    ],
)
def test_what_concerns_every_document_stops_at_once(
    bedrock: BedrockServer, embedder: BedrockEmbedder, code: str, hint: str
) -> None:
    bedrock.fail_next(code, f"because of {TEXTS[0]}", times=1000)
    with pytest.raises(EmbedderError) as caught:
        embed(embedder)
    assert not isinstance(caught.value, EmbeddingDeadlineExceeded)
    assert code in caught.value.message
    assert hint in (caught.value.hint or "")
    assert TEXTS[0] not in str(caught.value)
    assert caught.value.__context__ is None
    assert bedrock.calls == 1


def test_a_model_that_does_not_exist_sets_no_document_aside(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    """Bedrock says ValidationException of it, as of a text that is too long."""
    bedrock.models = ()
    with pytest.raises(EmbedderError) as caught:
        embed(embedder)
    assert caught.value.detail == "The provided model identifier is invalid."
    assert "check EMBEDDING_MODEL, the region" in str(caught.value.hint)
    assert bedrock.answers == {400: 2}


def test_vectors_of_another_length_are_the_model_s_fault(bedrock: BedrockServer, embedder: BedrockEmbedder) -> None:
    bedrock.answer_next(Answer(200, json.dumps({"embedding": [0.5] * 255, "inputTextTokenCount": 1}).encode()))
    with pytest.raises(EmbedderError, match="255 numbers, 256 asked for") as caught:
        embed(embedder)
    assert caught.value.hint == f"EMBEDDING_MODEL must be {MODEL}, or stand for it"
    assert bedrock.calls == 1


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300", "0.0"])
def test_a_vector_that_nobody_can_search_by_is_refused(
    bedrock: BedrockServer, embedder: BedrockEmbedder, number: str
) -> None:
    numbers = ", ".join([number, *["0"] * (DIMENSION - 1)])
    bedrock.answer_next(Answer(200, f'{{"embedding": [{numbers}], "inputTextTokenCount": 1}}'.encode()))
    embedded = embed(embedder)
    assert embedded.refused == {0: "the model's vector has no direction"}
    assert embedded.vectors[1:] == vectors()[1:]


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        (["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "NoCredentialsError"),
        (["AWS_REGION", "AWS_DEFAULT_REGION"], "NoRegionError"),
    ],
    ids=["credentials", "region"],
)
def test_what_boto3_lacks_is_said(
    bedrock: BedrockServer, clean_environment: pytest.MonkeyPatch, missing: list[str], code: str
) -> None:
    for name in missing:
        clean_environment.delenv(name)
    with pytest.raises(EmbedderError, match=code) as caught:
        embed(BedrockEmbedder(MODEL, DIMENSION, workers=1))
    assert caught.value.hint
    assert bedrock.calls == 0


def test_one_worker_s_bad_news_wakes_the_others(bedrock: BedrockServer) -> None:
    """One is told to come back after minutes, the other that there is no access: nobody waits for the minutes."""
    embedder = BedrockEmbedder(MODEL, DIMENSION, workers=2)
    bedrock.fail_next("ThrottlingException", headers={"Retry-After": "200"})
    bedrock.fail_next("AccessDeniedException")
    with ThreadPoolExecutor(1) as pool:
        with bedrock.held():
            asked = pool.submit(embed, embedder, TEXTS[:2])
            bedrock.wait_for_calls(2)
        assert isinstance(asked.exception(), EmbedderError)
    assert calls_in_the_end(bedrock) == 2
    assert bedrock.answers == {429: 1, 403: 1}
