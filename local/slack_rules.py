"""What Slack takes and what it refuses, as far as nightshift goes there: blocks, texts, channels.

The limits are Slack's (https://docs.slack.dev/reference/block-kit/blocks) and are written down a second time on
purpose: a server that shared the sender's constants could not catch it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_BLOCKS = 50
MAX_ALL_BLOCKS = 11_000
"""Characters of JSON; undocumented, and near here Slack starts to answer `msg_blocks_too_long`."""
MAX_TEXT = 40_000
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_FIELDS = 10
MAX_FIELD = 2000
MAX_ELEMENTS = 10

CHANNEL_ID = re.compile(r"[CGDZ][A-Z0-9]{8,}")
"""What `files.completeUploadExternal` takes for a channel; it answers names with `invalid_arguments`."""


class Refused(Exception):
    """An answer of `ok: false`."""

    def __init__(self, error: str, *messages: str) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages

    def answer(self) -> dict[str, Any]:
        metadata = {"response_metadata": {"messages": [f"[ERROR] {text}" for text in self.messages]}}
        return {"ok": False, "error": self.error, **(metadata if self.messages else {})}


def check_message(text: str, blocks: Any) -> None:
    """Raise `Refused` for what `chat.postMessage` does not take."""
    if not text and not blocks:
        raise Refused("no_text")
    if len(text) > MAX_TEXT:
        raise Refused("msg_too_long")
    problems = list(_problems(blocks))
    if problems:
        raise Refused("invalid_blocks", *problems)
    if len(json.dumps(blocks, ensure_ascii=False)) > MAX_ALL_BLOCKS:
        raise Refused("msg_blocks_too_long")


def _problems(blocks: Any) -> Iterator[str]:
    if not isinstance(blocks, list):
        yield "must be an array [json-pointer:/blocks]"
        return
    if len(blocks) > MAX_BLOCKS:
        yield f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"
    for number, block in enumerate(blocks):
        kind = block.get("type") if isinstance(block, Mapping) else None
        for problem in _block(kind, block):
            yield f"{problem} [json-pointer:/blocks/{number}]"


def _block(kind: object, block: Mapping[str, Any]) -> Iterator[str]:
    match kind:
        case "header":
            yield from _text(block.get("text"), MAX_HEADER, kinds=("plain_text",))
        case "section":
            fields = block.get("fields", [])
            if "text" in block or not fields:
                yield from _text(block.get("text"), MAX_SECTION)
            if len(fields) > MAX_FIELDS:
                yield f"no more than {MAX_FIELDS} fields allowed"
            for field in fields:
                yield from _text(field, MAX_FIELD)
        case "context":
            elements = block.get("elements", [])
            if not 1 <= len(elements) <= MAX_ELEMENTS:
                yield f"between 1 and {MAX_ELEMENTS} elements allowed"
            for element in elements:
                yield from _text(element, MAX_SECTION)
        case "divider":
            return
        case _:
            yield f"unsupported type: {kind}"


def _text(text: Any, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not isinstance(text, Mapping) or text.get("type") not in kinds:
        yield f"must be a text object of {' or '.join(kinds)}"
    elif not isinstance(text.get("text"), str) or not 1 <= len(text["text"]) <= limit:
        yield f"must have between 1 and {limit} characters"
