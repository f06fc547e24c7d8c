"""An S3 that misbehaves on request: an HTTP proxy on loopback in front of the embedded S3.

It forwards every request faithfully until a fault that matches is due. Each fault counts how often it fired, so
that a test can prove that what it survived did happen.

    with S3Proxy(s3.endpoint) as proxy:
        slow = proxy.inject(slow_down(), method="PUT", times=2)
        ...  # a run with AWS_ENDPOINT_URL = proxy.endpoint
        assert slow.fired == 2
"""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from tests.support.s3_faults import Action, Disconnect, Forward, Request, Response

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "te", "upgrade"})


@dataclass(slots=True)
class Fault:
    """An action that is due for some requests.

    Attributes:
        skip: matching requests to let through first.
        times: how often to fire; None: for ever.
        fired: how often it has fired.
        happened: set once it has fired for the first time.
    """

    action: Action
    method: str | None
    target: str
    skip: int
    times: int | None
    fired: int = 0
    happened: threading.Event = field(default_factory=threading.Event)

    def claims(self, request: Request) -> bool:
        """Returns whether this request is the fault's; counts as fired if so. Call under the proxy's lock."""
        if self.method not in (None, request.method) or self.target not in request.target:
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.fired += 1
        self.happened.set()
        return True


class S3Proxy:
    """The proxy, for as long as the context lasts.

    Attributes:
        seen: method and target of every request, in order of arrival.
    """

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.seen: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def inject(
        self, action: Action, *, method: str | None = None, target: str = "", skip: int = 0, times: int | None = 1
    ) -> Fault:
        """Make matching requests meet `action`.

        Args:
            action: what happens to them.
            method: HTTP method, or None for any.
            target: substring of `bucket/key?query`.
            skip: matching requests to let through first; 2 hits the third.
            times: how often; None: until `heal`.
        """
        fault = Fault(action, method, target, skip, times)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget every fault; their counts stay with whoever holds them."""
        with self._lock:
            self._faults.clear()

    def respond(self, request: Request, forward: Forward) -> Response:
        """The answer to one request: the first fault's that claims it, or the store's."""
        with self._lock:
            self.seen.append((request.method, request.target))
            fault = next((fault for fault in self._faults if fault.claims(request)), None)
        return forward(request) if fault is None else fault.action(request, forward)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._upstream)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    """One client connection, with a connection to the store of its own."""

    proxy: S3Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._store = self.proxy.connect()

    def finish(self) -> None:
        self._store.close()
        super().finish()

    def _serve(self) -> None:
        try:
            request = Request(self.command, unquote(self.path.lstrip("/")), self.headers.items(), self._body())
            response = self.proxy.respond(request, self._forward)
        except Disconnect:
            self.close_connection = True
            return
        self._send(response)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # aws-chunked and its trailing checksum lie inside these chunks and pass through untouched.
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _forward(self, request: Request) -> Response:
        self._store.putrequest(request.method, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            if name.lower() not in HOP_BY_HOP and name.lower() != "content-length":
                self._store.putheader(name, value)
        self._store.putheader("Content-Length", str(len(request.body)))
        self._store.endheaders(request.body)
        reply = self._store.getresponse()
        headers = [(name, value) for name, value in reply.getheaders() if name.lower() not in HOP_BY_HOP]
        return Response(reply.status, headers, reply.read())

    def _send(self, response: Response) -> None:
        self.send_response_only(response.status)
        stated = {name.lower() for name, _ in response.headers}
        for name, value in response.headers:
            self.send_header(name, value)
        if "content-length" not in stated:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:
        return
