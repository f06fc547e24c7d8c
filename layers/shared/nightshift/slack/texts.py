"""The languages that nightshift speaks on Slack. A test holds that all of them fill the same blanks."""

from __future__ import annotations

from collections.abc import Mapping

from nightshift.slack.english import ENGLISH
from nightshift.slack.korean import KOREAN
from nightshift.slack.phrases import Language, Phrases, Plural

__all__ = ["ENGLISH", "KOREAN", "PHRASES", "Language", "Phrases", "Plural"]

PHRASES: Mapping[Language, Phrases] = {"ko": KOREAN, "en": ENGLISH}
