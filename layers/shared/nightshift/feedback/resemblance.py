"""Finds the value of the settings that an unknown rating resembles, for the report; nothing is counted by it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_SKIN_TONES = range(0x1F3FB, 0x1F400)
"""Emoji modifiers Fitzpatrick type 1-2 to 6 (Unicode Technical Standard 51, "Emoji Modifiers")."""
_NO_LETTERS = ("Mn", "Cf", "Cc", "Z", "P")
"""Categories of characters that two spellings of one word may differ in: variation selectors and other marks, joiners
and bytes of no width, spaces, and punctuation such as the underscore."""


def find_resembling(value: str, words: Iterable[str]) -> str | None:
    """Returns the first of the words that a value equals except for case, spaces, punctuation and emoji variants."""
    folded = _fold(value)
    return next((word for word in words if folded and _fold(word) == folded), None)


def _fold(value: str) -> str:
    """Returns a value without the differences that `find_resembling` ignores."""
    text = unicodedata.normalize("NFKC", value).casefold()
    kept = "".join(
        char for char in text if ord(char) not in _SKIN_TONES and not unicodedata.category(char).startswith(_NO_LETTERS)
    )
    # A sign or a symbol alone is what it is: "-1" is not "1".
    return kept if kept and not text.strip().startswith(("-", "\u2212")) else text.strip()
