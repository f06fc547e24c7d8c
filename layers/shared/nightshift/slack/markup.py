"""Converts foreign text to Slack's `mrkdwn`; no other module does.

Slack decodes three entities and no more, so `& < >` alone are escaped; with `<` gone, no value can mention
`<!channel>` or forge a link (the one link that is made, `link`, has an encoded address). A value beside other facts is
always one line: a newline in a table's name cannot add a fact that nobody reported. Truncated text ends in `…` and is
never cut inside an entity or a character that is made of several code points.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

ELLIPSIS = "…"
DASH = "-"
"""Stands for an empty value."""
MAX_PROSE = 500
"""Characters of a sentence of the engine's: longer ones are read in the log."""
MAX_NAME = 300
MAX_DETAIL = 1500
MAX_URL = 2000
"""Characters of a link's address, escaped; longer ones no browser need take."""

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LONGEST_ENTITY = 5

_IN_URLS = "%/:=?#[]@!$&'()*+,;~"
"""Characters that an address keeps as they are; all others, `<`, `|` and `>` above all, are percent-encoded."""
_ADDRESS = re.compile(r"https?://[^/?#]")
_LINK = re.compile(r"<https?://[^<>|]+\|([^<>|]+)>")

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that reverse the direction of the text around them."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: not encodable, and refused by Slack."""

_MAX_CLUSTER = 32
"""Code points that one visible character may have before it is cut all the same."""
_ZERO_WIDTH_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


def format_prose(text: str, limit: int = MAX_PROSE) -> str:
    """A sentence, on one line. Its single backticks stay markup: hints quote commands that way."""
    return clip_text(_escape(" ".join(_clean(text).split())).replace("```", "'''"), limit) or DASH


def format_code(text: str, limit: int = MAX_NAME) -> str:
    """A name (table, file, key), on one line, shown as it is."""
    name = clip_text(_escape(" ".join(_clean(text).split())).replace("`", "'"), limit - 2)
    return f"`{name}`" if name else DASH


def format_fenced(text: str, limit: int = MAX_DETAIL) -> str:
    """Several lines, shown as they are."""
    inside = _escape(_clean(text).strip()).replace("```", "'''")
    return f"```\n{clip_text(inside, limit - 8)}\n```"


def format_link(url: str, label: str) -> str:
    """A link; the label alone where `url` is no address of the web, or longer than anybody would type.

    Args:
        url: `http://…` or `https://…`; nothing in it can end the link or add another.
        label: words of our own.
    """
    address = quote(url.strip(), safe=_IN_URLS, errors="replace").replace("&", "&amp;")
    return f"<{address}|{label}>" if _ADDRESS.match(address) and len(address) <= MAX_URL else label


def escape_verbatim(text: str, limit: int) -> str:
    """Text of our own making, already cleaned, with its lines."""
    return clip_text(_escape(text), limit)


def format_fact(label: str, value: str, *, note: str = "") -> str:
    """A line of a report: `- label: value (note)`; `value` and `note` are markup already."""
    return f"- {label}: {value} ({note})" if note else f"- {label}: {value}"


def clip_text(markup: str, limit: int) -> str:
    """Cut markup down to `limit` characters."""
    if len(markup) <= limit:
        return markup
    end = _cluster_start(markup, limit - len(ELLIPSIS))
    entity = markup.rfind("&", max(0, end - _LONGEST_ENTITY + 1), end)
    if entity >= 0 and ";" not in markup[entity:end]:
        end = entity
    return markup[:end] + ELLIPSIS


def plain_text(markup: str) -> str:
    """Markup as the reader sees it."""
    text = re.sub(r"```\n?(.*?)\n?```", r"\1", markup, flags=re.DOTALL)
    text = re.sub(r"`([^`\n]+)`", r"\1", text)
    text = _LINK.sub(r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("", _SURROGATE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n")))


def _escape(text: str) -> str:
    return text.translate(_ENTITIES)


def _cluster_start(text: str, end: int) -> int:
    """The nearest place at or before `end` where a visible character begins."""
    for start in range(end, max(0, end - _MAX_CLUSTER), -1):
        if not _continues(text[start]) and text[start - 1] != _ZERO_WIDTH_JOINER:
            return start
    return end


def _continues(char: str) -> bool:
    return char == _ZERO_WIDTH_JOINER or ord(char) in _SKIN_TONES or unicodedata.category(char).startswith("M")
