"""What services on loopback share: HTTP on 127.0.0.1 while a context lasts, and the environment that leads there."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

REGION: Literal["ap-northeast-2"] = "ap-northeast-2"


class LoopbackServer:
    """A service on 127.0.0.1 for as long as the context lasts; each connection has a thread."""

    def __init__(self, handler: type[LoopbackHandler], *, port: int = 0) -> None:
        """Bind.

        Args:
            handler: what answers; its `service` is this server.
            port: 0 takes a free one.
        """
        self._http = _Http(("127.0.0.1", port), type(handler.__name__, (handler,), {"service": self}))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class LoopbackHandler(BaseHTTPRequestHandler):
    """Reads requests and writes answers; what is returned without an answer is a connection cut."""

    service: Any
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        """Of the request; read it before answering."""
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked may have gone: no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def aws_env(endpoint: str, service: str | None = None) -> dict[str, str]:
    """What boto3 needs in the environment to find a service here, and nothing of the machine's own.

    Args:
        endpoint: the service's URL.
        service: its identifier in `AWS_ENDPOINT_URL_<service>`, e.g. `EVENTBRIDGE`; None: every service is there.
    """
    return {
        f"AWS_ENDPOINT_URL_{service}" if service else "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
