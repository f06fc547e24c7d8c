"""Facts in, one message out: the only renderer. A new job adds its function to `RENDERERS`.

A failure shows what the error says of itself: message, detail, hint. An exception that was not raised on purpose
may quote rows, SQL or a connection string, so nothing of it is shown but its type; the log has the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from importlib import import_module
from typing import Any

from nightshift.errors import NightshiftError
from nightshift.results import JobResult, RunRefused
from nightshift.slack.markup import code, fact, fenced, prose
from nightshift.slack.message import Draft, Message, as_text, header, section
from nightshift.slack.report import Report, run_lines
from nightshift.slack.texts import PHRASES, Language
from nightshift.slack.words import Words

__all__ = ["RENDERERS", "Message", "Report", "as_text", "render"]

RENDERERS = {
    "BackupResult": "backup",
    "CleanupResult": "cleanup",
    "ExpiryResult": "expiry",
    "FeedbackResult": "feedback",
    "ReembedResult": "reembed",
    "RestoreResult": "restore",
    "RestoredBackup": "restored_backup",
}
"""What tells of a result: a function and its module, both of that name."""


def render(report: Report, language: Language, zone: tzinfo) -> Message:
    """Make the message of one run.

    Args:
        report: the facts.
        language: `ko` or `en`.
        zone: the reader's time zone.
    """
    words = Words(PHRASES[language], zone)
    if report.error is not None:
        return _failure(report.error, report, words).fit()
    return _outcome(report, words).fit()


def _outcome(report: Report, words: Words) -> Draft:
    return _renderer(report.result)(report.result, report, words)


def _renderer(result: object) -> Callable[[Any, Report, Words], Draft]:
    """The function that tells of such a result; loaded now, for a function has results of one kind."""
    if isinstance(result, RunRefused):
        return _run_refused
    name = RENDERERS.get(type(result).__name__)
    if name is None:
        return _finished
    renderer: Callable[[Any, Report, Words], Draft] = getattr(import_module(f"nightshift.slack.{name}"), name)
    return renderer


def _failure(error: Exception, report: Report, words: Words) -> Draft:
    phrases = words.phrases
    if isinstance(error, NightshiftError):
        message, detail, hint = prose(error.message), error.detail, error.hint
    else:
        message, detail, hint = f"{phrases.unexpected} {code(_type(error))}", None, phrases.look_in_log
    lines = [fact(phrases.error, message)]
    if hint:
        lines.append(fact(phrases.hint, prose(hint)))
    lines += [*run_lines(report, words), fact(phrases.took, words.duration(report.duration_ms / 1000))]
    if report.request_id:
        lines.append(fact(phrases.request_id, code(report.request_id)))
    if report.dry_run:
        lines.append(phrases.preview_note)
    title = header(phrases.failed_title.format(job=words.job(report.job)))
    details = (section([f"{phrases.detail}:", fenced(detail)]),) if detail else ()
    head = (title, section(lines), *details)
    if _renderer(report.result) is _finished:
        return Draft(head=head)
    done = _outcome(report, words)  # shown as far as there is room: the failure comes first
    return Draft(head=head, items=(*done.head, *done.items), left_out=done.left_out)


def _run_refused(result: RunRefused, report: Report, words: Words) -> Draft:
    phrases = words.phrases
    sentence = phrases.run_refused.format(job=prose(words.job(report.job)))
    return Draft(head=(section([sentence, fact(phrases.reason, prose(result.reason)), *run_lines(report, words)]),))


def _finished(result: JobResult, report: Report, words: Words) -> Draft:
    """For a job that has no message of its own: that it ran, and whether it got everything done."""
    phrases = words.phrases
    sentence = phrases.done if result.complete else phrases.done_in_part
    took = fact(phrases.took, words.duration(report.duration_ms / 1000))
    return Draft(head=(section([sentence.format(job=prose(words.job(report.job))), *run_lines(report, words), took]),))


def _type(error: Exception) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
