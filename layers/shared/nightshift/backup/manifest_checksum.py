"""The checksum of a manifest.

No other object vouches for a manifest before a rehearsal has restored it. So it carries the SHA-256 of its other keys.
The checksum detects corruption and accidental edits; it is not a signature.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

SEAL = "seal"


def with_checksum(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with their seal, last.

    Args:
        facts: of JSON's own types.
    """
    return {**facts, SEAL: _seal(facts)}


def has_valid_checksum(body: bytes) -> bool:
    """Whether a JSON object says what it did when it was sealed; its white space is nobody's business."""
    facts = json.loads(body)
    return bool(facts.pop(SEAL, None) == _seal(facts))


def _seal(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
