"""What AWS says is never dropped, and a hint names what is to be done; of servers that answer, refuse or are silent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nightshift import secrets
from nightshift.aws_failures import words_of
from nightshift.errors import NightshiftError, SecretUnavailable
from nightshift.run_services import RunWiring
from nightshift.settings import Settings
from tests.support.handler import run_job
from tests.support.house import House

ARN = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:database-AbCdEf"
KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
)


@contextmanager
def answering(status: int, body: dict[str, str]) -> Iterator[str]:
    """A service that answers everything in one way."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _refuse() -> str:
    """An address where nobody listens."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def bare(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> House:
    """A deployment whose AWS settings the test chooses; no file of the machine's is read, and no metadata server."""
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
        house.env.pop(name, None)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        house.env[name] = str(tmp_path / "none")
    house.env["AWS_EC2_METADATA_DISABLED"] = "true"
    house.env |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    house.sql("CREATE TABLE conversation_log (id int PRIMARY KEY, created_at timestamptz)")
    house.sql("INSERT INTO conversation_log VALUES (1, '2020-01-01')")
    return house


def _failure(house: House, monkeypatch: pytest.MonkeyPatch) -> NightshiftError:
    for name, value in house.env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NightshiftError) as raised:
        run_job("cleanup", house.env, {"scheduled_time": "2025-10-17T00:00:00Z"})
    return raised.value


CONFIGURATIONS: list[tuple[str, dict[str, str | None], str, str]] = [
    (
        "no region",
        {"AWS_DEFAULT_REGION": None, "AWS_REGION": "ap-northeast-2"},
        "",
        "AWS_DEFAULT_REGION (boto3 does not",
    ),
    ("no such region", {"AWS_DEFAULT_REGION": "Seoul !"}, "Seoul !", "correct AWS_DEFAULT_REGION"),
    (
        "no credentials",
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
        "Unable to locate credentials",
        "give credentials",
    ),
    ("half of them", {"AWS_SECRET_ACCESS_KEY": None}, "Partial credentials", "both or neither"),
    ("profile", {"AWS_PROFILE": "prdo"}, "The config profile (prdo) could not be found", "correct AWS_PROFILE"),
]


@pytest.mark.parametrize(("what", "env", "words", "hint"), CONFIGURATIONS, ids=[one[0] for one in CONFIGURATIONS])
def test_what_this_process_lacks_is_named(
    bare: House, monkeypatch: pytest.MonkeyPatch, what: str, env: dict[str, str | None], words: str, hint: str
) -> None:
    for name, value in env.items():
        bare.env.pop(name, None)
        if value is not None:
            bare.env[name] = value
    bare.env["AWS_ENDPOINT_URL"] = _refuse()
    if what == "no region":
        # S3 takes an address of its own without a region: the events' and the model's clients do not.
        with pytest.raises(NightshiftError) as raised:
            _database(bare, monkeypatch)
        error: NightshiftError = raised.value
    else:
        error = _failure(bare, monkeypatch)
    assert hint in str(error.hint)
    assert words in str(error)
    assert "nothing is lost" not in str(error.hint)
    assert "unexpected" not in error.message
    assert bare.value("SELECT count(*) FROM conversation_log") == 1


def test_nobody_at_the_endpoint(bare: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.env["AWS_ENDPOINT_URL"] = _refuse()
    error = _failure(bare, monkeypatch)
    assert "Could not connect to the endpoint URL" in str(error.detail)
    assert "nothing answers there: check AWS_ENDPOINT_URL" in str(error.hint)


def _database(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in house.env.items():
        monkeypatch.setenv(name, value)
    secrets.database_url(Settings.from_env({"DATABASE_SECRET_ARN": ARN}))


MISSING = {"__type": "ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."}
DENIED = {
    "__type": "AccessDeniedException",
    "Message": "User: arn:aws:sts::1:role/x is not authorized to perform: secretsmanager:GetSecretValue",
}
DECRYPT = {"__type": "DecryptionFailure", "Message": "Secrets Manager can't decrypt the protected secret text."}
EXPIRED = {"__type": "ExpiredTokenException", "Message": "The security token included in the request is expired"}
INTERNAL = {"__type": "InternalServiceError", "Message": "An error occurred on the server side."}


@pytest.mark.fast_cases("answer0", "answer1")
@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (MISSING, "Secrets Manager has no such value", "correct the name or ARN"),
        (DENIED, "Secrets Manager refused to hand out a value", "secretsmanager:GetSecretValue"),
        (DECRYPT, "a value could not be read from Secrets Manager", "kms:Decrypt on the value's KMS key"),
        (EXPIRED, "a value could not be read from Secrets Manager", "aws sso login"),
        (INTERNAL, "a value could not be read from Secrets Manager", ""),
    ],
)
def test_a_secret_that_is_missing_or_denied_says_which(
    bare: House, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str], message: str, hint: str
) -> None:
    with answering(400, answer) as endpoint:
        bare.env["AWS_ENDPOINT_URL"] = endpoint
        with pytest.raises(SecretUnavailable) as raised:
            _database(bare, monkeypatch)
    assert raised.value.message == message
    assert hint in str(raised.value.hint or "")
    assert answer["Message"] in str(raised.value.detail)
    assert "DATABASE_SECRET_ARN" in str(raised.value.detail)


@pytest.mark.fast_cases("secret")
@pytest.mark.parametrize("ask", ["secret", "parameter"])
def test_a_service_that_accepts_and_never_answers(bare: House, monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    """It is asked twice, and given up; by its own settings boto3 would ask five times, and wait a minute for each."""
    asked: list[socket.socket] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        threading.Thread(target=_accept, args=(silent, asked), daemon=True).start()
        bare.env["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        calls: dict[str, Callable[[], object]] = {
            "secret": lambda: _database(bare, monkeypatch),
            "parameter": lambda: secrets.read_parameter("/nightshift/policy"),
        }
        for name, value in bare.env.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SecretUnavailable) as raised:
            calls[ask]()
    assert raised.value.message.endswith("did not answer")
    assert "or an endpoint of the service; check AWS_ENDPOINT_URL and region" in str(raised.value.hint)
    assert "timeout" in str(raised.value.detail).lower()
    assert len(asked) == 2


def _accept(server: socket.socket, asked: list[socket.socket]) -> None:
    while True:
        try:
            asked.append(server.accept()[0])
        except OSError:
            return


def test_a_login_in_an_address_is_not_told(bare: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.env["AWS_ENDPOINT_URL"] = _refuse().replace("//", "//somebody:hunter2@")
    error = _failure(bare, monkeypatch)
    assert "hunter2" not in str(error)
    assert "hunter2" not in words_of(ValueError("http://somebody:hunter2@host/x"))


def test_an_address_that_is_none(bare: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.env["AWS_ENDPOINT_URL"] = "127.0.0.1"
    for name, value in bare.env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NightshiftError, match="S3 cannot be used") as raised:
        _ = RunWiring(bare.env).s3_client
    assert "127.0.0.1" in str(raised.value.detail)
