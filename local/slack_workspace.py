"""A Slack workspace in memory: channels, messages, files, and the methods of the Web API that work on them."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.slack_rules import CHANNEL_ID, Refused, check_message
from nightshift.slack.messages import SlackMessage, as_text


@dataclass(frozen=True, slots=True)
class PostedMessage:
    """A message in a channel, which goes by its ID here."""

    channel: str
    text: str
    blocks: tuple[dict[str, Any], ...]
    ts: str
    thread_ts: str | None

    @property
    def seen(self) -> str:
        """The message as its reader sees it."""
        return as_text(SlackMessage(self.text, self.blocks))


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file in a channel; with no channel only the bot can see it."""

    filename: str
    title: str
    content: bytes = field(repr=False)
    channel: str | None
    thread_ts: str | None
    comment: str


Listener = Callable[[PostedMessage | SharedFile], None]


@dataclass(slots=True)
class _Upload:
    filename: str
    length: int
    content: bytes | None = None


class Workspace:
    """What the bot can reach; safe to use from several threads."""

    def __init__(self, *, origin: str, token: str | None, channels: Sequence[str], listener: Listener | None) -> None:
        """Open a workspace.

        Args:
            origin: where uploads are to be sent, without a path.
            token: the only one that is accepted; None accepts any.
            channels: names of those that the bot is a member of; there are no others.
            listener: called with everything that arrives.
        """
        self.messages: list[PostedMessage] = []
        self.files: list[SharedFile] = []
        self.channels = {name: f"C{number:09d}" for number, name in enumerate(channels, 1)}
        self._origin = origin
        self._token = token
        self._listener = listener
        self._uploads: dict[str, _Upload] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._methods: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "chat.postMessage": self._post_message,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._complete_upload,
        }

    def call(self, method: str, token: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one call of the Web API."""
        with self._lock:
            try:
                if not token:
                    raise Refused("not_authed")
                if self._token is not None and token != self._token:
                    raise Refused("invalid_auth")
                if method not in self._methods:
                    raise Refused("unknown_method")
                return {"ok": True, **self._methods[method](given)}
            except Refused as refused:
                return refused.answer()

    def receive(self, file_id: str, content: bytes) -> bool:
        """Take a file's bytes, once; False where nobody asked to send them, or announced another length."""
        with self._lock:
            upload = self._uploads.get(file_id)
            if upload is None or upload.content is not None or len(content) != upload.length:
                return False
            upload.content = content
            return True

    def _auth_test(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": self._origin, "team": "nightshift", "user": "nightshift", "bot_id": "B000000001"}

    def _post_message(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = str(given.get("channel", "")).removeprefix("#")
        channel = name if name in self.channels.values() else self.channels.get(name)
        if channel is None:
            raise Refused("channel_not_found")
        text, blocks = str(given.get("text", "")), _decoded(given.get("blocks", []))
        check_message(text, blocks)
        message = PostedMessage(
            channel, text, tuple(blocks), f"1760486400.{next(self._numbers):06d}", given.get("thread_ts")
        )
        self.messages.append(message)
        self._tell(message)
        shown = {"type": "message", "text": text, "blocks": blocks, "ts": message.ts}
        return {"channel": channel, "ts": message.ts, "message": shown}

    def _upload_url(self, given: Mapping[str, Any]) -> dict[str, Any]:
        filename, length = str(given.get("filename", "")), str(given.get("length", ""))
        if not filename or not length.isdecimal() or int(length) == 0:
            raise Refused("invalid_arguments", "filename and a length above 0 are required")
        file_id = f"F{next(self._numbers):09d}"
        self._uploads[file_id] = _Upload(filename, int(length))
        return {"upload_url": f"{self._origin}/upload/v1/{file_id}", "file_id": file_id}

    def _complete_upload(self, given: Mapping[str, Any]) -> dict[str, Any]:
        channel = given.get("channel_id")
        if channel is not None and not CHANNEL_ID.fullmatch(channel):
            pattern = f"^{CHANNEL_ID.pattern}$"
            raise Refused("invalid_arguments", f"input must match regex pattern: {pattern} [json-pointer:/channel_id]")
        if channel is not None and channel not in self.channels.values():
            raise Refused("channel_not_found")
        titles = {entry["id"]: entry.get("title", "") for entry in _decoded(given.get("files", []))}
        for file_id, title in titles.items():
            upload = self._uploads.get(file_id)
            if upload is None or upload.content is None:
                raise Refused("file_not_found")
            del self._uploads[file_id]
            comment, thread = str(given.get("initial_comment", "")), given.get("thread_ts")
            file = SharedFile(upload.filename, title, upload.content, channel, thread, comment)
            self.files.append(file)
            self._tell(file)
        return {"files": [{"id": file_id, "title": title} for file_id, title in titles.items()]}

    def _tell(self, arrived: PostedMessage | SharedFile) -> None:
        if self._listener is not None:
            self._listener(arrived)


def _decoded(value: Any) -> Any:
    """An array: JSON text within a form, itself within JSON."""
    return json.loads(value) if isinstance(value, str) else value
