"""Parses JSON strictly: unknown keys and wrong types are errors that name the field."""

from __future__ import annotations

from dataclasses import Field
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from nightshift.errors import NightshiftError

HINT = "take another backup; this one was altered, or written by a newer nightshift: see who writes under BACKUP_PREFIX"

T = TypeVar("T")


class ManifestDamaged(NightshiftError):
    """A manifest or a verification record is not as it was written; objects beside it do not make it a backup."""


class StrictModel:
    """A dataclass that pydantic reads: no unknown key, no value of another type."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


def parse_strict(kind: type[T], body: bytes, key: str) -> T:
    """Read one.

    Args:
        key: where it lies, for the error.

    Raises:
        ManifestDamaged: it is none.
    """
    try:
        found: T = _reader(kind).validate_json(body)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ManifestDamaged(
            f"{key.rpartition('/')[2]} cannot be read",
            detail=f"{key}: {where}: {first['msg']}" if where else f"{key}: {first['msg']}",
            hint=HINT,
        ) from None
    return found


_adapter = cache(TypeAdapter)


def _reader(kind: Any) -> TypeAdapter[Any]:
    """Built when the first one is read: a run that only writes does without."""
    return _adapter(kind)
