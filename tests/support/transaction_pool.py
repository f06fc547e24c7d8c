"""A pool in transaction mode, as PgBouncer and its like are: it logs clients in by itself, and lends each a session of
the server for as long as a transaction lasts."""

from __future__ import annotations

import select
import socket
import socketserver
import struct
import threading
from types import TracebackType
from typing import Self

_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104
_IDLE = b"Z\0\0\0\5I"
_WELCOME = b"R\0\0\0\x08\0\0\0\0" + b"K\0\0\0\x0c" + b"\0\0\x04\xd2\0\0\0\1" + _IDLE
"""Logged in; the session's process is 1234, which is none of the server's."""


class TransactionPool:
    """Listens on 127.0.0.1 for as long as the context lasts.

    Args:
        port: of the server.
        user, database: of its sessions, whoever the clients are.
        keeps: each client keeps its session, as in a pool in session mode.
    """

    def __init__(self, port: int, user: str, database: str, *, keeps: bool = False) -> None:
        words = f"user\0{user}\0database\0{database}\0\0".encode()
        self._login = struct.pack("!ii", len(words) + 8, 196608) + words
        self._port = port
        self._free: list[socket.socket] = []
        self._keeps = keeps

    def __enter__(self) -> Self:
        pool = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while struct.unpack("!ii", self.request.recv(8, socket.MSG_PEEK))[1] in (_SSL_REQUEST, _GSS_REQUEST):
                    self.request.recv(8)
                    self.request.sendall(b"N")
                self.request.recv(65536)
                self.request.sendall(_WELCOME)
                own = pool._log_in() if pool._keeps else None
                while asked := self.request.recv(65536):
                    if asked[:1] == b"X":
                        break
                    pool._transaction(self.request, asked, own)
                if own is not None:
                    own.close()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for session in self._free:
            session.close()

    @property
    def port(self) -> int:
        name: tuple[str, int] = self._server.socket.getsockname()
        return name[1]

    def _transaction(self, client: socket.socket, asked: bytes, own: socket.socket | None) -> None:
        """Pass on what comes either way, until the session is out of any transaction; the last is lent first."""
        session = own or (self._free.pop() if self._free else self._log_in())
        session.sendall(asked)
        answered = b""
        while not answered.endswith(_IDLE):
            for ready in select.select([client, session], [], [])[0]:
                some = ready.recv(65536)
                if not some:
                    session.close()
                    return
                answered = answered[-8:] + some if ready is session else answered
                (client if ready is session else session).sendall(some)
        if own is None:
            self._free.append(session)

    def _log_in(self) -> socket.socket:
        session = socket.create_connection(("127.0.0.1", self._port))
        session.sendall(self._login)
        said = b""
        while not said.endswith(_IDLE):
            said += session.recv(65536)
        return session
