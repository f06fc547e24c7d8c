"""The catalog of all phrases, in the reader's language.

Texts of the engine (messages, details and hints of errors and guards, notes on columns) are English and are shown as
they are, inside a frame of these phrases.
"""

from __future__ import annotations

from nightshift.slack.phrases.forms import Language
from nightshift.slack.phrases.guards import Guards
from nightshift.slack.phrases.labels import Labels
from nightshift.slack.phrases.names import Names
from nightshift.slack.phrases.sentences import Sentences


class MessageCatalog(Sentences, Labels, Names, Guards):
    """All phrases, in one language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
