"""Builds Slack messages that never exceed Slack's limits.

The module represents Block Kit, Slack's format for messages, as plain dictionaries. Thus a run without a token does not
import `slack_sdk`, which takes 77 ms of a cold start. The tests validate every message with the SDK's models.

The limits are documented at https://docs.slack.dev/reference/block-kit/blocks. One limit is undocumented: above about
11,000 characters, including the JSON of the blocks, Slack answers `msg_blocks_too_long`. A whole message therefore
stays below 9,000 characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nightshift.slack.markup import ELLIPSIS, escape_verbatim, format_prose, plain_text
from nightshift.slack.phrases.forms import PluralForms

MAX_BLOCKS = 50
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_MESSAGE = 9000
"""Maximum length of the blocks as JSON and of the text together, in characters."""
MAX_TEXT = 750
"""Maximum length of the text shown in notifications, in characters. JSON escapes at most double this length."""

Block = Mapping[str, Any]

_MORE = PluralForms(ELLIPSIS, ELLIPSIS)


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A complete message.

    Attributes:
        text: the text for notifications and screen readers, which do not show blocks.
    """

    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDraft:
    """A message that may still be too long.

    Attributes:
        head: blocks that are always shown.
        items: blocks that are shown in this order, until the message is full.
        left_out: the phrase for the number of omitted items.
    """

    head: tuple[Block, ...]
    items: tuple[Block, ...] = ()
    left_out: PluralForms = _MORE

    def truncate_to_limits(self) -> SlackMessage:
        """Returns the message, truncated to Slack's limits."""
        blocks, hidden = list(self.head), len(self.items)
        room = (
            MAX_MESSAGE
            - 2 * MAX_TEXT
            - _weight(section_block([self.left_out.form_of(hidden)]))
            - sum(map(_weight, blocks))
        )
        for item in self.items:
            room -= _weight(item)
            if room < 0 or len(blocks) >= MAX_BLOCKS - 1:
                break
            blocks.append(item)
            hidden -= 1
        if hidden:
            blocks.append(section_block([self.left_out.form_of(hidden)]))
        return SlackMessage(text=escape_verbatim(_visible_text(blocks), MAX_TEXT), blocks=tuple(blocks))


def header_block(title: str) -> Block:
    """Returns a title as a header block: plain text on one line."""
    return {"type": "header", "text": {"type": "plain_text", "text": format_prose(title, MAX_HEADER), "emoji": True}}


def section_block(lines: Sequence[str]) -> Block:
    """Returns lines of markup as a section block. If the lines exceed the limit, `…` replaces the last lines."""
    kept: list[str] = []
    room = MAX_SECTION - len(ELLIPSIS)
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(ELLIPSIS)
            break
        kept.append(line)
    # `verbatim` prevents that a file's or table's name which looks like a host name becomes a link.
    return {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(kept), "verbatim": True}}


def as_text(message: SlackMessage) -> str:
    """Returns the message as plain text, for a terminal or a log."""
    return _visible_text(message.blocks) or plain_text(message.text)


def _visible_text(blocks: Sequence[Block]) -> str:
    """Returns the blocks as plain text: one paragraph per block, and no blank line below a title."""
    paragraphs = []
    for block in blocks:
        text = plain_text(block["text"]["text"])
        paragraphs.append(text + ("\n" if block["type"] == "header" else "\n\n"))
    return "".join(paragraphs).rstrip("\n")


def _weight(block: Block) -> int:
    return len(json.dumps(block, ensure_ascii=False)) + len(", ")
