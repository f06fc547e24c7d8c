"""A Bedrock on loopback for the demo and the tests: InvokeModel of Titan Text Embeddings v2, as strict as Bedrock.

It refuses what Bedrock refuses, in its words: requests that are not signed, other models, and what the model itself
does not take (`local/titan.py`). Faults are queued, or tied to a text; everything that arrives is counted.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import unquote

from local.loopback import LoopbackHandler, LoopbackServer, aws_env
from local.titan import DIMENSIONS, MAX_TOKENS, MODEL, problem_of, tokens_of, vector_of

_INVOKE = re.compile(r"/model/(?P<model>[^/]+)/invoke")
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[^/]+/bedrock/aws4_request, ")
_ERRORS = {
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
"""HTTP status of an error; 400 of every other."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent; None in its place: the connection is cut."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class BedrockServer(LoopbackServer):
    """A Bedrock on 127.0.0.1 for as long as the context lasts.

    Attributes:
        calls: requests, whatever came of them.
        embedded: texts that a vector was made of, each time that it was.
        answers: how often each HTTP status was answered; 0: connections cut.
        most_at_once: the greatest number of requests under way together.
    """

    def __init__(self, *, models: tuple[str, ...] = (MODEL,), port: int = 0) -> None:
        """Make a server.

        Args:
            models: names that Titan goes by here, e.g. the ARN of a provisioned model too.
            port: 0 takes a free one.
        """
        self.models = models
        self.calls = 0
        self.embedded: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._faults: deque[Answer | None] = deque()
        self._poison: dict[str, Answer | None] = {}
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._called = threading.Condition(self._lock)
        super().__init__(_Handler, port=port)

    @property
    def env(self) -> dict[str, str]:
        """What boto3 needs in the environment to find this server, and nothing else."""
        return aws_env(self.origin, "BEDROCK_RUNTIME")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.set()
        super().__exit__(kind, error, trace)

    def fail_next(
        self, code: str, message: str = "", *, headers: Mapping[str, str] | None = None, times: int = 1
    ) -> None:
        """Answer the next requests with an error of Bedrock's, e.g. `ThrottlingException`."""
        self.answer_next(_error(code, message or code, headers), times=times)

    def answer_next(self, answer: Answer | None, *, times: int = 1) -> None:
        """Answer the next requests with anything at all; None cuts the connection."""
        with self._lock:
            self._faults.extend([answer] * times)

    def poison(
        self, text: str, code: str | None, message: str = "", *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answer every request for this text with an error; None cuts the connection."""
        self._poison[text] = _error(code, message or code, headers) if code else None

    def heal(self) -> None:
        """Forget the faults that have not happened yet, and those that are tied to a text."""
        with self._lock:
            self._faults.clear()
            self._poison.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep whoever asks waiting, until the end of the context."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def wait_for_calls(self, calls: int) -> None:
        """Wait until so many requests have come in all."""
        with self._called:
            self._called.wait_for(lambda: self.calls >= calls)

    def take(self, path: str, authorization: str, body: bytes) -> Answer | None:
        """Take one request, and count it."""
        with self._called:
            self.calls += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._called.notify_all()
        self._open.wait()
        with self._lock:
            answer = self._faults.popleft() if self._faults else self._judge(path, authorization, body)
            self.answers[answer.status if answer else 0] += 1
            self._at_once -= 1
        return answer

    def _judge(self, path: str, authorization: str, body: bytes) -> Answer | None:
        asked = _INVOKE.fullmatch(path)
        if not asked:
            return _error("UnknownOperationException", "")
        if not _SIGNED.match(authorization):
            return _error("AccessDeniedException", "Missing Authentication Token")
        if unquote(asked["model"]) not in self.models:
            return _error("ValidationException", "The provided model identifier is invalid.")
        try:
            given = json.loads(body)
        except ValueError:
            return _malformed("#: Unexpected character in JSON")
        if problem := problem_of(given):
            return _malformed(problem)
        text = given["inputText"]
        if text in self._poison:
            return self._poison[text]
        tokens = tokens_of(text)
        if tokens > MAX_TOKENS:
            words = f"Too many input tokens. Max input tokens: {MAX_TOKENS}, request input token count: {tokens} "
            return _error("ValidationException", f"400 Bad Request: {words}")
        self.embedded[text] += 1
        vector = list(vector_of(text, given.get("dimensions", DIMENSIONS[-1]), normalize=given.get("normalize", True)))
        told = {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": tokens}
        return Answer(200, json.dumps(told).encode(), {"X-Amzn-Bedrock-Input-Token-Count": str(tokens)})


def _malformed(problem: str) -> Answer:
    message = f"Malformed input request: {problem}, please reformat your input and try again."
    return _error("ValidationException", message)


def _error(code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    kind = {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    return Answer(_ERRORS.get(code, 400), json.dumps({"message": message}).encode(), {**kind, **(headers or {})})


class _Handler(LoopbackHandler):
    protocol_version = "HTTP/1.1"
    service: BedrockServer

    def do_POST(self) -> None:
        answer = self.service.take(self.path, self.headers.get("Authorization", ""), self.body())
        if answer is None:
            self.close_connection = True
        else:
            self.answer(answer.status, answer.body, {"Content-Type": "application/json", **answer.headers})
