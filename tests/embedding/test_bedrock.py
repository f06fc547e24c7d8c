"""The whole job on Bedrock's protocol: throttled, failing and poisoned, it ends with every document that can be."""

from __future__ import annotations

from local.bedrock import BedrockServer
from local.titan import vector_of
from tests.support.embedding import AS_OF, INTO, VERSIONED, DocumentScene
from tests.support.handler import run_job

BEDROCK = {"EMBEDDER": "bedrock", "EMBEDDING_DIMENSION": "256"}


def test_throttling_errors_and_a_poisoned_document(documents: DocumentScene) -> None:
    documents.fill(20, policy=INTO + VERSIONED)
    with BedrockServer() as bedrock:
        bedrock.poison("text 7", "ValidationException", "Malformed input request")
        bedrock.fail_next("ThrottlingException", times=3)
        bedrock.fail_next("InternalServerException")
        env = documents.env | BEDROCK | bedrock.env
        answer = run_job("reembed", env, {"scheduled_time": AS_OF})
        assert bedrock.answers[429] == 3
        assert bedrock.answers[500] == 1
        (table,) = answer["tables"]
        assert (answer["status"], table["embedded"], table["poisoned"]) == ("ok", 19, 1)
        assert (table["model"], table["tokens"] > 0) == ("amazon.titan-embed-text-v2:0", True)
        assert table["examples"][0]["id"] == "7"
        assert "ValidationException" in table["examples"][0]["reason"]
        assert set(bedrock.embedded.values()) == {1}

        calls = bedrock.calls
        again = run_job("reembed", env, {"scheduled_time": AS_OF})
        assert (again["status"], bedrock.calls) == ("nothing", calls)
    wanted = {n: vector_of(f"text {n}", 256) for n in range(1, 21) if n != 7}
    assert documents.vectors() == wanted


def test_from_the_local_embedder_to_bedrock(anywhere: DocumentScene) -> None:
    anywhere.fill(20)
    with BedrockServer() as bedrock:
        local = anywhere.env | {"EMBEDDER": "local", "EMBEDDING_DIMENSION": "256"}
        first = run_job("reembed", local, {"scheduled_time": AS_OF})
        then = run_job("reembed", anywhere.env | BEDROCK | bedrock.env, {"scheduled_time": AS_OF})
    assert [answer["tables"][0]["switched"] for answer in (first, then)] == [False, True]
    assert anywhere.vectors() == {n: vector_of(f"text {n}", 256) for n in range(1, 21)}
