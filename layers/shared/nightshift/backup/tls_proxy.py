"""TLS for PostgreSQL's own tools whose libpq was built without it: a proxy within this process.

pg_dump connects without TLS to a Unix socket in a directory that only we may enter. The proxy forwards its bytes to the
server over TLS, with the `SSLContext` of the control plane, so that both trust the same certificates and refuse the
same. Every target that may use TLS is reached through the proxy, even if the tools support TLS: one path, one set of
rules.

Bytes are forwarded unchanged, except for one message. A server with TLS offers SCRAM-SHA-256-PLUS beside
SCRAM-SHA-256. If libpq receives the offer over a plain socket, it suspects a proxy, and disconnects. The proxy
therefore removes SCRAM-SHA-256-PLUS from the offer, and the login continues without channel binding: the proxy has
verified the server itself. A proxy that logs in with `pg8000` was rejected, because this proxy never sees a password.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from nightshift.database.url import DatabaseTarget
from nightshift.errors import DatabaseUnavailable

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_SASL = struct.pack("!i", 10)
_BOUND = b"SCRAM-SHA-256-PLUS"
_LONGEST_ANSWER = 30_000
"""Bytes of a message before login; libpq's own limit."""
_CHUNK = 1 << 16
_PATIENCE_S = 5.0

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextmanager
def pg_environment(target: DatabaseTarget) -> Iterator[dict[str, str]]:
    """Yields the environment variables by which libpq in a child process reaches `target`, while the context lasts.

    The password is among them, read afresh: a child's environment is its own, its arguments are everybody's to read.
    The database's name is not.

    Raises:
        DatabaseUnavailable: the tunnel could not be opened. A server that cannot be reached, or does not prove who it
            is, is told to the child, which fails and says why.
    """
    variables = {
        "PGUSER": target.user or "postgres",
        "PGPORT": str(target.port),
        "PGCONNECT_TIMEOUT": str(target.connect_timeout),
        "PGCLIENTENCODING": "UTF8",
        "PGAPPNAME": "nightshift",
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }
    if (password := target.password()) is not None:
        variables["PGPASSWORD"] = password
    if target.tls == "disable" or target.host.startswith("/"):
        yield {**variables, "PGHOST": target.host}
        return
    with _tunnel(target) as directory:
        yield {**variables, "PGHOST": str(directory)}


@contextmanager
def _tunnel(target: DatabaseTarget) -> Iterator[Path]:
    """The directory of a Unix socket that leads to the server."""
    with tempfile.TemporaryDirectory(prefix="nightshift-") as directory:  # mode 0700
        forwarder = _Forwarder(target, Path(directory) / f".s.PGSQL.{target.port}")
        thread = threading.Thread(target=forwarder.run, name="tls-tunnel", daemon=True)
        thread.start()
        try:
            stop = forwarder.opened.result()
        except (OSError, ValueError) as exc:
            raise DatabaseUnavailable(
                "the TLS tunnel to the database could not be opened",
                detail=f"{target.host}:{target.port}: {type(exc).__name__}: {exc}",
                hint="check sslrootcert in the URL; TMPDIR must be writable and its path short: a socket is made there",
            ) from None
        try:
            yield Path(directory)
        finally:
            stop()
            thread.join()


class _Forwarder:
    """An event loop in a thread of its own: one connection to the server for each that a tool opens.

    `opened` is done once tools can connect, with the function that ends the forwarder from any thread.
    """

    def __init__(self, target: DatabaseTarget, path: Path) -> None:
        self.opened: Future[Callable[[], object]] = Future()
        self._target = target
        self._path = path
        self._open: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Forward until told to stop; what goes wrong at the start goes to `opened`."""
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            if self.opened.done():
                raise
            self.opened.set_exception(exc)

    async def _serve(self) -> None:
        self._context = _context(self._target)
        server = await asyncio.start_unix_server(self._forward, path=self._path)
        stopped = asyncio.Event()
        self.opened.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set))
        await stopped.wait()
        server.close()
        if self._open:
            # Who used them has ended: they notice, and close. What does not is cancelled with the loop.
            await asyncio.wait(self._open, timeout=_PATIENCE_S)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        try:
            server = await self._reached(writer)
            if server is not None:
                try:
                    await _between((reader, writer), server)
                finally:
                    await _close(server[1])
        finally:
            await _close(writer)

    async def _reached(self, writer: asyncio.StreamWriter) -> _Streams | None:
        """The server; None where it cannot be had, and the client was told why."""
        try:
            return await asyncio.wait_for(self._connect(), self._target.connect_timeout)
        except (OSError, EOFError, TimeoutError) as exc:  # ssl.SSLError is an OSError
            writer.write(_refusal(f"{self._target.host}:{self._target.port}: {_reason(exc)}"))
            return None

    async def _connect(self) -> _Streams:
        """A connection to the server, encrypted as the target's mode asks for."""
        target, loop = self._target, asyncio.get_running_loop()
        plain = await asyncio.to_thread(socket.create_connection, (target.host, target.port), target.connect_timeout)
        try:
            plain.setblocking(False)
            await loop.sock_sendall(plain, _SSL_REQUEST)
            # One byte and no more: whatever somebody slips in behind it must not pass for the server's.
            answer = await loop.sock_recv(plain, 1)
            if answer == b"S":
                return await asyncio.open_connection(sock=plain, ssl=self._context, server_hostname=target.host)
            if answer == b"N" and target.tls == "prefer":
                return await asyncio.open_connection(sock=plain)
            raise EOFError("the server does not speak TLS" if answer == b"N" else "the server hung up")
        except BaseException:
            plain.close()
            raise


def _context(target: DatabaseTarget) -> ssl.SSLContext:
    """The control plane's; `prefer` verifies nothing, as in libpq."""
    context = target.pg8000_arguments()["ssl_context"]
    if isinstance(context, ssl.SSLContext):
        return context
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    return unverified


async def _between(client: _Streams, server: _Streams) -> None:
    """Pass bytes on both ways, until either side has closed."""
    ways = [asyncio.ensure_future(_pass_on(client[0], server[1])), asyncio.ensure_future(_answer(server[0], client[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()


async def _answer(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    """The server's side: message by message until it has said how to log in, then as it comes."""
    kind = b""
    while kind not in (b"R", b"E"):
        kind, length = struct.unpack("!ci", await server.readexactly(5))
        if not 4 <= length <= _LONGEST_ANSWER:
            client.write(_refusal("what answers is not a PostgreSQL server"))
            return
        body = await server.readexactly(length - 4)
        if kind == b"R" and body.startswith(_SASL):
            body = _unbound(body)
        client.write(kind + struct.pack("!i", len(body) + 4) + body)
    await client.drain()
    await _pass_on(server, client)


def _unbound(offer: bytes) -> bytes:
    """An AuthenticationSASL message without the mechanism that binds the login to the server's own TLS."""
    kept = [name for name in offer[len(_SASL) :].split(b"\0") if name and name != _BOUND]
    return _SASL + b"".join(name + b"\0" for name in kept) + b"\0"


def _refusal(text: str) -> bytes:
    """An ErrorResponse (PostgreSQL manual, "Message Formats"), which libpq shows to its user."""
    fields = b"".join(kind + value.encode() + b"\0" for kind, value in ((b"S", "FATAL"), (b"C", "08001"), (b"M", text)))
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


def _reason(exc: BaseException) -> str:
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return getattr(exc, "verify_message", None) or str(exc) or type(exc).__name__


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
