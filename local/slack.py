"""A Slack on loopback for the demo and the tests: the part of the Web API that nightshift speaks, as strict as Slack.

`chat.postMessage` takes a channel's name or ID, `files.completeUploadExternal` its ID only; blocks beyond Slack's
limits are refused (`local/slack_rules.py`); a file is shared only after all three steps, with as many bytes as
announced (`local/slack_workspace.py`). Everything that arrives is kept to look at. Faults are queued per method.

`python -m local.slack [port]` serves until it is stopped and prints each message as its reader would see it.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.loopback import LoopbackHandler, LoopbackServer
from local.slack_rules import Refused
from local.slack_workspace import Listener, PostedMessage, SharedFile, Workspace

__all__ = ["CHANNEL", "UPLOAD", "PostedMessage", "SharedFile", "SlackServer"]

CHANNEL = "ai-reports"
"""The channel that exists unless others are named."""
UPLOAD = "upload"
"""Names the POST of a file's bytes in `fail_next` and `requests`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer in Slack's place; `drop` closes the connection without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    drop: bool


class SlackServer(LoopbackServer):
    """A Slack on 127.0.0.1 for as long as the context lasts.

    Attributes:
        requests: every method asked for, in order, whatever came of it.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        channels: Sequence[str] = (CHANNEL,),
        port: int = 0,
        listener: Listener | None = None,
    ) -> None:
        """Make a server; port 0 takes a free one, the rest is as in `Workspace`."""
        self.requests: list[str] = []
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._lock = threading.Lock()
        super().__init__(_Handler, port=port)
        self.workspace = Workspace(origin=self.origin, token=token, channels=channels, listener=listener)

    @property
    def url(self) -> str:
        """For SLACK_API_URL."""
        return f"{self.origin}/api/"

    @property
    def messages(self) -> list[PostedMessage]:
        """Every message posted, in order."""
        return self.workspace.messages

    @property
    def files(self) -> list[SharedFile]:
        """Every file shared, in order."""
        return self.workspace.files

    def fail_next(
        self,
        path: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | bytes = b"",
        drop: bool = False,
        times: int = 1,
    ) -> None:
        """Queue a fault for the next requests to one method, e.g. `chat.postMessage`, or `upload` for a file's bytes.

        Args:
            path: the method.
            status: HTTP status to answer.
            headers: to answer.
            body: to answer; a mapping is sent as JSON.
            drop: close the connection and answer nothing.
            times: how many requests fail so.
        """
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self._lock:
            self._faults[path].extend([Fault(status, dict(headers or {}), raw, drop)] * times)

    def take_fault(self, path: str) -> Fault | None:
        """Note a request; the fault that waits for it, if any."""
        with self._lock:
            self.requests.append(path)
            return self._faults[path].popleft() if self._faults[path] else None


class _Handler(LoopbackHandler):
    service: SlackServer

    def do_POST(self) -> None:
        area, _, path = urlsplit(self.path).path.removeprefix("/").partition("/")
        body = self.body()
        fault = self.service.take_fault(path if area == "api" else area)
        if fault is not None:
            if not fault.drop:
                self.answer(fault.status, fault.body, fault.headers)
        elif area == UPLOAD:
            taken = self.service.workspace.receive(path.rpartition("/")[2], body)
            self.answer(200 if taken else 400, f"OK - {len(body)}".encode() if taken else b"refused")
        elif area == "api":
            self.answer(200, json.dumps(self._call(path, body)).encode(), {"Content-Type": "application/json"})
        else:
            self.answer(404)

    def _call(self, method: str, body: bytes) -> dict[str, Any]:
        json_sent = self.headers.get_content_type() == "application/json"
        try:
            given = json.loads(body) if json_sent else dict(parse_qsl(body.decode(), strict_parsing=bool(body)))
        except ValueError:
            return Refused("invalid_json" if json_sent else "invalid_form_data").answer()
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return self.service.workspace.call(method, token if scheme == "Bearer" else given.get("token"), given)


def _print(arrived: PostedMessage | SharedFile) -> None:
    if isinstance(arrived, PostedMessage):
        print(f"--- {arrived.channel}\n{arrived.seen}", flush=True)
    else:
        size = f"{len(arrived.content):,} bytes"
        print(f"--- {arrived.channel}: {arrived.filename}, {size} {arrived.comment}", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Serve until stopped; the first argument is the port."""
    with suppress(KeyboardInterrupt), SlackServer(port=int(arguments[0]) if arguments else 0, listener=_print) as slack:
        print(f"SLACK_API_URL={slack.url} SLACK_CHANNEL={CHANNEL} SLACK_BOT_TOKEN=xoxb-any", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
