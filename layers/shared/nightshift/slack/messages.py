"""Builds Slack messages that cannot exceed Slack's limits, whatever their facts.

Block Kit is plain data here, not `slack_sdk.models`: a run without a token then never pays for importing the SDK
(77 ms of a cold start). The tests hold every message against the SDK's own models.

Limits: https://docs.slack.dev/reference/block-kit/blocks. One is undocumented: `msg_blocks_too_long` comes
somewhere past 11,000 characters, counted with the blocks' own JSON, so a whole message stays under 9,000.
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
"""Characters of blocks, as JSON, and of the text together."""
MAX_TEXT = 750
"""Characters of the text that stands in for the blocks in notifications; doubled at worst by JSON's own escapes."""

Block = Mapping[str, Any]

_MORE = PluralForms(ELLIPSIS, ELLIPSIS)


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message as it is sent.

    Attributes:
        text: for notifications and screen readers, which do not show blocks.
        blocks: Block Kit.
    """

    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDraft:
    """A message that may still be too long.

    Attributes:
        head: shown always.
        items: shown as far as there is room, in this order.
        left_out: the line that says how many items there was no room for.
    """

    head: tuple[Block, ...]
    items: tuple[Block, ...] = ()
    left_out: PluralForms = _MORE

    def truncate_to_limits(self) -> SlackMessage:
        """The message, within every limit."""
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
    """A title; plain text, one line."""
    return {"type": "header", "text": {"type": "plain_text", "text": format_prose(title, MAX_HEADER), "emoji": True}}


def section_block(lines: Sequence[str]) -> Block:
    """Lines of markup; those that do not fit are dropped whole, from the end, and `…` says so."""
    kept: list[str] = []
    room = MAX_SECTION - len(ELLIPSIS)
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            kept.append(ELLIPSIS)
            break
        kept.append(line)
    # verbatim: a file's or table's name that looks like a host name does not become a link.
    return {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(kept), "verbatim": True}}


def as_text(message: SlackMessage) -> str:
    """The message as its reader sees it, for a terminal or a log."""
    return _visible_text(message.blocks) or plain_text(message.text)


def _visible_text(blocks: Sequence[Block]) -> str:
    """Returns one paragraph per block; a title is right above the first."""
    paragraphs = []
    for block in blocks:
        text = plain_text(block["text"]["text"])
        paragraphs.append(text + ("\n" if block["type"] == "header" else "\n\n"))
    return "".join(paragraphs).rstrip("\n")


def _weight(block: Block) -> int:
    return len(json.dumps(block, ensure_ascii=False)) + len(", ")
