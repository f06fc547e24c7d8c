"""What tells a manifest that is as it was written from one that is not: its seal, and whether it adds up.

A manifest is the one object that no other vouches for, before a rehearsal's stamp does. So it carries the SHA-256 of
all else that it says. That is a seal against decay and clumsy hands; who means harm could make it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightshift.backup.manifest import BackupManifest, BackupPart

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


def validation_errors(manifest: BackupManifest) -> Iterator[str]:
    """What contradicts itself, a sentence each."""
    labels = [table.label for table in manifest.tables]
    if len(set(labels)) != len(labels):
        yield "a table is in it twice"
    if sorted(label for group in manifest.groups for label in group.tables) != sorted(labels):
        yield "its groups are not its tables"
    yield from _about_objects(manifest)
    for table in manifest.tables:
        if table.bytes != sum(part.bytes for part in table.parts):
            yield f"{table.label}: its parts have other bytes"
        if manifest.kind == "postgresql" and table.rows != sum(part.rows for part in table.parts):
            yield f"{table.label}: its parts have other rows"


def _about_objects(manifest: BackupManifest) -> Iterator[str]:
    """Objects that are listed twice; packs whose parts say different things of them, overlap, or reach beyond them."""
    objects: dict[str, list[BackupPart]] = {}
    for part in manifest.list_parts():
        objects.setdefault(part.key, []).append(part)
    if any(len(parts) > 1 and any(part.pack is None for part in parts) for parts in objects.values()):
        yield "an object is in it twice"
    for key, parts in objects.items():
        if len({part.object for part in parts}) > 1 and all(part.pack for part in parts):
            yield f"{key}: its parts are of different objects"
        ranges = sorted((part.pack.offset, part.bytes) for part in parts if part.pack)
        ends = [offset + size for offset, size in ranges]
        limits = [*(offset for offset, _ in ranges[1:]), parts[0].object.bytes]
        if ranges and (ranges[0][0] < 0 or any(end > limit for end, limit in zip(ends, limits, strict=True))):
            yield f"{key}: its parts overlap, or reach beyond it"
