"""Collects all phrases in one class.

Messages, details and hints of errors and guards, and notes on columns are not phrases. These texts are always English,
and appear unchanged beside the phrases.
"""

from __future__ import annotations

from nightshift.slack.phrases.forms import Language
from nightshift.slack.phrases.guards import Guards
from nightshift.slack.phrases.labels import Labels
from nightshift.slack.phrases.names import Names
from nightshift.slack.phrases.sentences import Sentences


class MessageCatalog(Sentences, Labels, Names, Guards):
    """All phrases, in the reader's language."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language
