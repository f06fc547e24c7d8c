"""A TCP proxy in front of PostgreSQL that cuts or delays connections at a chosen byte.

Three moments matter for exactly-once. A connection cut *before* the server sees `COMMIT` rolls back. One cut *after*
the server has carried it out, but before the client hears of it, leaves the client with an unknown outcome. And a
`COMMIT` held back by the network may arrive when its sender is long dead.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit, urlunsplit

READY_FOR_QUERY = b"Z\x00\x00\x00\x05"
"""The message with which PostgreSQL ends its answer to a statement."""

Side = Literal["client", "server"]


@dataclass(slots=True, kw_only=True)
class Trap:
    """Something that waits for its moment; it springs once.

    Attributes:
        pattern: bytes to wait for.
        side: who must have sent them.
        having: only on connections whose client has sent these bytes, before or along with the pattern.
        skip: matches to let pass first.
        fired: how often it has sprung; 1 at the most.
        happened: set once it has done its work.
    """

    pattern: bytes
    side: Side
    having: bytes
    skip: int
    fired: int = 0
    happened: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True, kw_only=True)
class Cut(Trap):
    """Ends the connection.

    Attributes:
        after_forward: True: pass the pattern on, and cut once the other side's answer has come, swallowing it.
            False: cut with these bytes undelivered.
        everything: with it go all other connections, and new ones are refused: the server is gone.
    """

    after_forward: bool
    everything: bool


@dataclass(slots=True, kw_only=True)
class Hold(Trap):
    """Keeps the pattern, and whatever follows it, on the way until `release`, whether or not its sender still lives."""

    released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self.released.set()


class TcpProxy:
    """The proxy, for as long as the context lasts.

    Args:
        host, port: where to forward to.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._traps: list[Trap] = []
        self._refusing = False

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # shutdown wakes the accepting thread; close alone would leave it waiting
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for trap in self._traps:
            if isinstance(trap, Hold):
                trap.release()
        self.cut()

    def through(self, url: str) -> str:
        """The same database URL, by way of this proxy."""
        parts = urlsplit(url)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{self.port}"))

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._links)

    def cut(self, *, spare: _Link | None = None) -> int:
        """Close every open connection but `spare`, and say how many there were."""
        with self._lock:
            links = [link for link in self._links if link is not spare]
        for link in links:
            link.close()
        return len(links)

    def refuse(self, refusing: bool = True) -> None:
        """Close new connections at once, as a server that is gone would."""
        self._refusing = refusing

    def cut_when(
        self,
        pattern: bytes,
        side: Side = "client",
        *,
        after_forward: bool = False,
        everything: bool = False,
        having: bytes = b"",
        skip: int = 0,
    ) -> Cut:
        """Cut one connection when these bytes pass; see `Cut` for the arguments."""
        cut = Cut(
            pattern=pattern, side=side, after_forward=after_forward, everything=everything, having=having, skip=skip
        )
        self._set(cut)
        return cut

    def hold_when(self, pattern: bytes, side: Side = "client", *, having: bytes = b"", skip: int = 0) -> Hold:
        """Hold one connection up when these bytes pass; see `Hold` for the arguments."""
        hold = Hold(pattern=pattern, side=side, having=having, skip=skip)
        self._set(hold)
        return hold

    def _set(self, trap: Trap) -> None:
        with self._lock:
            self._traps.append(trap)

    def due(self, side: Side, recent: bytes, fresh: int, sent_before: set[bytes]) -> Trap | None:
        """The trap that these bytes spring.

        Args:
            side: who sent them.
            recent: the last bytes of the stream, the newest `fresh` of them not looked at before.
            fresh: how many are new.
            sent_before: `having` patterns that this connection's client has sent.
        """
        with self._lock:
            for trap in self._traps:
                window = recent[-(fresh + len(trap.pattern) - 1) :]
                waiting = not trap.fired and trap.side == side and (not trap.having or trap.having in sent_before)
                if not waiting or trap.pattern not in window:
                    continue
                if trap.skip:
                    trap.skip -= 1
                    continue
                trap.fired = 1
                return trap
        return None

    def having_patterns(self) -> list[bytes]:
        with self._lock:
            return [trap.having for trap in self._traps if trap.having]

    def forget(self, link: _Link) -> None:
        with self._lock:
            if link in self._links:
                self._links.remove(link)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            link = _Link(self, client, server)
            with self._lock:
                self._links.append(link)
            link.start()


class _Link:
    """One connection: a client, a server, and a thread for each direction."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends: dict[Side, socket.socket] = {"client": client, "server": server}
        self._sent: set[bytes] = set()
        self._swallowing: Cut | None = None
        self._swallowed = b""
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for side in ("client", "server"):
            threading.Thread(target=self._pump, args=(side,), daemon=True).start()

    def close(self) -> None:
        for end in self._ends.values():
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._proxy.forget(self)

    def _pump(self, side: Side) -> None:
        source, sink = self._ends[side], self._ends["server" if side == "client" else "client"]
        recent = b""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                recent = recent[-4096:] + data
                if not self._pass_on(side, data, recent, sink):
                    break
        self.close()

    def _pass_on(self, side: Side, data: bytes, recent: bytes, sink: socket.socket) -> bool:
        """Deliver these bytes unless a cut forbids it; False once the connection is to end."""
        if side == "server" and self._swallowing is not None:
            self._swallowed += data
            if READY_FOR_QUERY not in self._swallowed:
                return True
            self._end(self._swallowing)
            return False
        if side == "client":
            self._sent.update(pattern for pattern in self._proxy.having_patterns() if pattern in recent)
        trap = self._proxy.due(side, recent, len(data), self._sent)
        if isinstance(trap, Hold):
            trap.happened.set()
            trap.released.wait()
        if not isinstance(trap, Cut):
            sink.sendall(data)
            return True
        if trap.after_forward and side == "client":
            self._swallowing = trap
            sink.sendall(data)
            return True
        if trap.after_forward:
            sink.sendall(data)
        self._end(trap)
        return False

    def _end(self, cut: Cut) -> None:
        """All that a cut does besides ending this connection: nobody learns of that before the rest is done."""
        if cut.everything:
            self._proxy.refuse()
            self._proxy.cut(spare=self)
        cut.happened.set()
