"""The loopback Bedrock answers boto3 as Bedrock does, refuses what Bedrock refuses, and counts."""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from local.bedrock import Answer, BedrockServer
from local.titan import DIMENSIONS, MAX_CHARACTERS, MODEL, tokens_of, vector_of

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

TEXT = "이력서를 어떻게 쓰나요?"


@pytest.fixture
def server() -> Iterator[BedrockServer]:
    with BedrockServer() as running:
        yield running


@pytest.fixture
def client(server: BedrockServer, clean_environment: pytest.MonkeyPatch) -> Iterator[BedrockRuntimeClient]:
    for name, value in server.env.items():
        clean_environment.setenv(name, value)
    client = boto3.Session().client("bedrock-runtime", config=Config(retries={"total_max_attempts": 1}))
    yield client
    client.close()


def invoke(client: BedrockRuntimeClient, body: object, model: str = MODEL) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(client.invoke_model(modelId=model, body=json.dumps(body))["body"].read())
    return answer


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_text_has_its_vector(server: BedrockServer, client: BedrockRuntimeClient, dimension: int) -> None:
    told = invoke(client, {"inputText": TEXT, "dimensions": dimension, "normalize": True})
    assert told["embedding"] == told["embeddingsByType"]["float"] == list(vector_of(TEXT, dimension))
    assert math.hypot(*told["embedding"]) == pytest.approx(1, abs=1e-5)
    assert told["inputTextTokenCount"] == tokens_of(TEXT) > 0
    assert (server.calls, server.answers, server.embedded) == (1, {200: 1}, {TEXT: 1})


def test_titan_s_defaults(client: BedrockRuntimeClient) -> None:
    assert invoke(client, {"inputText": TEXT})["embedding"] == list(vector_of(TEXT, 1024))
    raw = invoke(client, {"inputText": TEXT, "normalize": False})["embedding"]
    assert math.hypot(*raw) > 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"inputText": ""}, "expected minLength: 1, actual: 0"),
        ({"inputText": "a" * (MAX_CHARACTERS + 1)}, "expected maxLength: 50000, actual: 50001"),
        ({"inputText": "word " * 8_000}, "Max input tokens: 8192, request input token count: 10000"),
        ({"inputText": 7}, "expected type: String"),
        ({"dimensions": 256}, "required key [inputText] not found"),
        ({"inputText": "a", "dimensions": 300}, "300 is not a valid enum value"),
        ({"inputText": "a", "normalize": "yes"}, "#/normalize: expected type: Boolean"),
        ({"inputText": "a", "texts": []}, "extraneous key [texts] is not permitted"),
        ([], "expected type: JSONObject"),
    ],
)
def test_what_titan_does_not_take(server: BedrockServer, client: BedrockRuntimeClient, body: object, told: str) -> None:
    with pytest.raises(client.exceptions.ValidationException) as caught:
        invoke(client, body)
    assert told in caught.value.response["Error"]["Message"]
    assert (server.answers, server.embedded) == ({400: 1}, {})


def test_other_models_are_not_here(client: BedrockRuntimeClient) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="model identifier is invalid"):
        invoke(client, {"inputText": TEXT}, "amazon.titan-embed-text-v1")


def test_nobody_is_heard_who_does_not_sign(server: BedrockServer) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"{server.env['AWS_ENDPOINT_URL_BEDROCK_RUNTIME']}/model/{MODEL}/invoke"
    with pytest.raises(HTTPError) as caught:
        direct.open(urllib.request.Request(url, b'{"inputText": "a"}', method="POST"))
    with caught.value:
        assert caught.value.code == 403


@pytest.mark.parametrize(
    ("code", "status"),
    [("AccessDeniedException", 403), ("ThrottlingException", 429), ("ModelTimeoutException", 408), ("Odd", 400)],
)
def test_faults_come_in_their_order(
    server: BedrockServer, client: BedrockRuntimeClient, code: str, status: int
) -> None:
    server.fail_next(code, headers={"Retry-After": "7"})
    server.answer_next(None)
    server.answer_next(Answer(200, b"{}"))
    with pytest.raises(ClientError) as caught:
        invoke(client, {"inputText": TEXT})
    about = caught.value.response["ResponseMetadata"]
    assert (caught.value.response["Error"]["Code"], about["HTTPStatusCode"]) == (code, status)
    assert about["HTTPHeaders"]["retry-after"] == "7"
    with pytest.raises(ConnectionClosedError):
        invoke(client, {"inputText": TEXT})
    assert invoke(client, {"inputText": TEXT}) == {}
    assert "embedding" in invoke(client, {"inputText": TEXT})
    assert server.answers == {status: 1, 0: 1, 200: 2}


def test_a_poisoned_text_is_refused_each_time_and_no_other(server: BedrockServer, client: BedrockRuntimeClient) -> None:
    server.poison(TEXT, "InternalServerException")
    for _ in range(2):
        with pytest.raises(client.exceptions.InternalServerException):
            invoke(client, {"inputText": TEXT})
    invoke(client, {"inputText": "another"})
    assert (server.answers, server.embedded) == ({500: 2, 200: 1}, {"another": 1})
