"""Defines the forms of a phrase: Korean and English, singular and plural.

`str.format` fills the fields of a phrase with text that `markup` has escaped. A phrase is an attribute of the class
`MessageCatalog`, and its value is the text in the catalog's language. Thus the type checker finds a misspelled name and
a missing language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
Language = Literal["ko", "en"]


class PluralForms(NamedTuple):
    """Singular and plural of a phrase; both may have the field `{count}`."""

    one: str
    many: str

    def form_of(self, count: int) -> str:
        return (self.one if count == 1 else self.many).format(count=f"{count:,}")


class HasLanguage(Protocol):
    """An object with a language, such as `MessageCatalog`."""

    @property
    def language(self) -> Language: ...


class Phrase(Generic[T]):
    """A phrase, or a group of phrases, in both languages. A descriptor: its value depends on the catalog's language."""

    __slots__ = ("en", "ko")

    def __init__(self, ko: T, en: T) -> None:
        self.ko = ko
        self.en = en

    def __get__(self, catalog: HasLanguage, _owner: type) -> T:
        return self.ko if catalog.language == "ko" else self.en


def counted(ko: str, en: str, *, one: str | None = None) -> Phrase[PluralForms]:
    """Returns a phrase with a count. `one` is the English singular; None: the same as `en`."""
    return Phrase(PluralForms(ko, ko), PluralForms(en if one is None else one, en))


def named(names: Mapping[str, tuple[str, str]]) -> Phrase[Mapping[str, str]]:
    """Returns a group of phrases. `names` maps an internal name, e.g. of a guard, to its Korean and English text."""
    return Phrase({name: ko for name, (ko, _) in names.items()}, {name: en for name, (_, en) in names.items()})
