"""Computes and checks the checksum of a manifest.

Before a rehearsal has restored the backup, no other object confirms its manifest. So the manifest carries the SHA-256
of its other keys. The checksum detects corruption and accidental edits; it is not a signature.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

SEAL = "seal"


def with_checksum(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns the facts with their checksum, last.

    Args:
        facts: of JSON's own types.
    """
    return {**facts, SEAL: _seal(facts)}


def has_valid_checksum(body: bytes) -> bool:
    """Returns whether a JSON object matches its checksum; white space is ignored."""
    facts = json.loads(body)
    return bool(facts.pop(SEAL, None) == _seal(facts))


def _seal(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
