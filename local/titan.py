"""What the Titan Text Embeddings v2 of `local/bedrock.py` takes and answers.

The vector of a text is a hash of it, of length 1, so that anyone can tell what it should be; texts that resemble each
other have nothing in common here. Tokens are guessed from bytes.
"""

from __future__ import annotations

import math
import sys
from array import array
from hashlib import shake_256

MODEL = "amazon.titan-embed-text-v2:0"
DIMENSIONS = (256, 512, 1024)
MAX_CHARACTERS, MAX_TOKENS = 50_000, 8_192
BYTES_A_TOKEN = 4


def vector_of(text: str, dimension: int, *, normalize: bool = True) -> array[float]:
    """What the server answers for a text: `float32`, so that it is what arrives."""
    numbers = array("h", shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimension))
    if sys.byteorder == "big":
        numbers.byteswap()
    length = math.hypot(*numbers) if normalize else 1.0
    return array("f", (number / length for number in numbers))


def tokens_of(text: str) -> int:
    """What the server counts for a text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_A_TOKEN)


def problem_of(given: object) -> str | None:
    """What Titan's schema does not allow, in the words of Bedrock's validator."""
    if not isinstance(given, dict):
        return "#: expected type: JSONObject"
    if unknown := sorted(given.keys() - {"inputText", "dimensions", "normalize", "embeddingTypes"}):
        return f"#: extraneous key [{unknown[0]}] is not permitted"
    text = given.get("inputText")
    if not isinstance(text, str):
        return "#: required key [inputText] not found" if text is None else "#/inputText: expected type: String"
    if not 0 < len(text) <= MAX_CHARACTERS:
        limit = f"maxLength: {MAX_CHARACTERS}" if text else "minLength: 1"
        return f"#/inputText: expected {limit}, actual: {len(text)}"
    if given.get("dimensions", DIMENSIONS[0]) not in DIMENSIONS:
        return f"#/dimensions: {given['dimensions']} is not a valid enum value"
    return None if given.get("normalize", True) in (True, False) else "#/normalize: expected type: Boolean"
