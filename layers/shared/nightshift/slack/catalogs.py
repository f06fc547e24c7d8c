"""The languages that nightshift speaks on Slack. A test holds that all of them fill the same blanks."""

from __future__ import annotations

from collections.abc import Mapping

from nightshift.slack.english import ENGLISH
from nightshift.slack.korean import KOREAN
from nightshift.slack.message_catalog import Language, MessageCatalog, PluralForms

__all__ = ["ENGLISH", "KOREAN", "PHRASES", "Language", "MessageCatalog", "PluralForms"]

PHRASES: Mapping[Language, MessageCatalog] = {"ko": KOREAN, "en": ENGLISH}
