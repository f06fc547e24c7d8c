"""Converts text from other sources to Slack's markup, `mrkdwn`. No other module escapes text for Slack.

Slack decodes three entities only, so the module escapes only `&`, `<` and `>`. Without `<`, no value can mention
`<!channel>` or forge a link. `format_link` makes the only links, and encodes their addresses. A value in a list of
facts is always one line, so that a newline in a table's name cannot add a false fact. Truncated text ends in `…`.
Truncation never splits an entity, or a character that consists of several code points.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

ELLIPSIS = "…"
DASH = "-"
"""Text for an empty value."""
MAX_PROSE = 500
"""Maximum length of a sentence that another package wrote, in characters. The log has the whole sentence."""
MAX_NAME = 300
MAX_DETAIL = 1500
MAX_URL = 2000
"""Maximum length of a link's escaped address, in characters. Browsers need not accept longer addresses."""

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LONGEST_ENTITY = 5

_IN_URLS = "%/:=?#[]@!$&'()*+,;~"
"""Characters that stay unchanged in an address. All others are percent-encoded, notably `<`, `|` and `>`."""
_ADDRESS = re.compile(r"https?://[^/?#]")
_LINK = re.compile(r"<https?://[^<>|]+\|([^<>|]+)>")

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and characters that change the direction of the text around them."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""Surrogate code points. UTF-8 cannot encode them, and Slack refuses them."""

_MAX_CLUSTER = 32
"""Maximum number of code points of one visible character. Truncation may split a longer character."""
_ZERO_WIDTH_JOINER = "\u200d"
_SKIN_TONES = range(0x1F3FB, 0x1F400)


def format_prose(text: str, limit: int = MAX_PROSE) -> str:
    """Returns a sentence as markup, on one line. Single backticks stay markup, because hints quote commands in them."""
    return clip_text(_escape(" ".join(_clean(text).split())).replace("```", "'''"), limit) or DASH


def format_code(text: str, limit: int = MAX_NAME) -> str:
    """Returns a name of a table, file or key as inline code, on one line."""
    name = clip_text(_escape(" ".join(_clean(text).split())).replace("`", "'"), limit - 2)
    return f"`{name}`" if name else DASH


def format_fenced(text: str, limit: int = MAX_DETAIL) -> str:
    """Returns text of several lines as a code block."""
    inside = _escape(_clean(text).strip()).replace("```", "'''")
    return f"```\n{clip_text(inside, limit - 8)}\n```"


def format_link(url: str, label: str) -> str:
    """Returns a link. If `url` is not a web address, or is longer than `MAX_URL`, returns only the label.

    Args:
        url: `http://…` or `https://…`. No content of `url` can end the link or add another link.
        label: a phrase of `phrases`, which is not escaped.
    """
    address = quote(url.strip(), safe=_IN_URLS, errors="replace").replace("&", "&amp;")
    return f"<{address}|{label}>" if _ADDRESS.match(address) and len(address) <= MAX_URL else label


def escape_verbatim(text: str, limit: int) -> str:
    """Returns text of this package as markup, with its line breaks. The text has no control characters."""
    return clip_text(_escape(text), limit)


def format_fact(label: str, value: str, *, note: str = "") -> str:
    """Returns a line of a report: `- label: value (note)`. `value` and `note` must be markup already."""
    return f"- {label}: {value} ({note})" if note else f"- {label}: {value}"


def clip_text(markup: str, limit: int) -> str:
    """Returns markup of at most `limit` characters."""
    if len(markup) <= limit:
        return markup
    end = _cluster_start(markup, limit - len(ELLIPSIS))
    entity = markup.rfind("&", max(0, end - _LONGEST_ENTITY + 1), end)
    if entity >= 0 and ";" not in markup[entity:end]:
        end = entity
    return markup[:end] + ELLIPSIS


def plain_text(markup: str) -> str:
    """Returns markup as plain text, as the reader sees it."""
    text = re.sub(r"```\n?(.*?)\n?```", r"\1", markup, flags=re.DOTALL)
    text = re.sub(r"`([^`\n]+)`", r"\1", text)
    text = _LINK.sub(r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _clean(text: str) -> str:
    return _UNPRINTABLE.sub("", _SURROGATE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n")))


def _escape(text: str) -> str:
    return text.translate(_ENTITIES)


def _cluster_start(text: str, end: int) -> int:
    """Returns the nearest index at or before `end` at which a visible character begins."""
    for start in range(end, max(0, end - _MAX_CLUSTER), -1):
        if not _continues(text[start]) and text[start - 1] != _ZERO_WIDTH_JOINER:
            return start
    return end


def _continues(char: str) -> bool:
    return char == _ZERO_WIDTH_JOINER or ord(char) in _SKIN_TONES or unicodedata.category(char).startswith("M")
