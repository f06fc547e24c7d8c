"""Forms that a phrase has: in each language, and of one thing or many.

Blanks are filled by `str.format` with text that is escaped elsewhere (`markup`). A phrase is an attribute of the class
`MessageCatalog`, which reads it in its own language: a misspelled name and a missing language are type errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
Language = Literal["ko", "en"]


class PluralForms(NamedTuple):
    """A phrase that depends on how many there are."""

    one: str
    many: str

    def form_of(self, count: int) -> str:
        return (self.one if count == 1 else self.many).format(count=f"{count:,}")


class HasLanguage(Protocol):
    """A reader's catalog."""

    @property
    def language(self) -> Language: ...


class Phrase(Generic[T]):
    """A phrase, or a group of them, in both languages."""

    __slots__ = ("en", "ko")

    def __init__(self, ko: T, en: T) -> None:
        self.ko = ko
        self.en = en

    def __get__(self, catalog: HasLanguage, _owner: type) -> T:
        return self.ko if catalog.language == "ko" else self.en


def counted(ko: str, en: str, *, one: str | None = None) -> Phrase[PluralForms]:
    """A phrase with `{count}`; `one` is the English of a single thing, where it differs."""
    return Phrase(PluralForms(ko, ko), PluralForms(en if one is None else one, en))


def named(names: Mapping[str, tuple[str, str]]) -> Phrase[Mapping[str, str]]:
    """Names by what the engine calls them, each in Korean and in English."""
    return Phrase({name: ko for name, (ko, _) in names.items()}, {name: en for name, (_, en) in names.items()})
