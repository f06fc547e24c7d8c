"""A PostgreSQL that lets nobody in: it asks for the password, keeps it, and refuses."""

from __future__ import annotations

import socketserver
import struct
import threading
from types import TracebackType
from typing import Self

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104


class LoginRecorder:
    """Listens on 127.0.0.1 for as long as the context lasts.

    Args:
        state, words: why it refuses.

    Attributes:
        passwords: what clients sent, in order.
    """

    def __init__(self, state: str = "28P01", words: str = "password authentication failed") -> None:
        self._refusal = f"SFATAL\0VFATAL\0C{state}\0M{words}\0\0".encode()
        self.passwords: list[str] = []

    def __enter__(self) -> Self:
        passwords, refusal = self.passwords, self._refusal

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                length, code = struct.unpack("!ii", self.rfile.read(8))
                while code in (_SSL_REQUEST, _GSS_REQUEST):
                    self.wfile.write(b"N")
                    length, code = struct.unpack("!ii", self.rfile.read(8))
                self.rfile.read(length - 8)
                self.wfile.write(b"R" + struct.pack("!ii", 8, 3))
                kind, length = struct.unpack("!ci", self.rfile.read(5))
                assert kind == b"p"
                passwords.append(self.rfile.read(length - 4).rstrip(b"\0").decode())
                self.wfile.write(b"E" + struct.pack("!i", len(refusal) + 4) + refusal)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        name: tuple[str, int] = self._server.socket.getsockname()
        return name[1]
