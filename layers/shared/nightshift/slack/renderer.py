"""Renders the facts of a run as one Slack message. The job's spec names the function that renders the job's result.

The message of a failed run shows the error's message, detail and hint. An exception other than a `NightshiftError` may
contain rows, SQL or a connection string. The message shows only the type of such an exception; the log has the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import tzinfo
from typing import Any

from nightshift.errors import NightshiftError
from nightshift.job_spec import load_object, load_spec
from nightshift.results.common import JobResult, RunRefused
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import format_code, format_fact, format_fenced, format_prose
from nightshift.slack.messages import MessageDraft, SlackMessage, as_text, header_block, section_block
from nightshift.slack.phrases.forms import Language
from nightshift.slack.report import ReportFrame, run_lines

__all__ = ["ReportFrame", "SlackMessage", "as_text", "render_result"]


def render_result(report: ReportFrame, language: Language, zone: tzinfo) -> SlackMessage:
    """Returns the message of one run."""
    words = MessageFormatter(language, zone)
    if report.error is not None:
        return _failure(report.error, report, words).truncate_to_limits()
    return _renderer(report)(report.result, report, words).truncate_to_limits()


def _renderer(report: ReportFrame) -> Callable[[Any, ReportFrame, MessageFormatter], MessageDraft]:
    if isinstance(report.result, RunRefused):
        return _run_refused
    with suppress(LookupError):  # a report of a job that has been removed
        if message := load_spec(report.job).message:
            renderer: Callable[[Any, ReportFrame, MessageFormatter], MessageDraft] = load_object(message)
            return renderer
    return _finished


def _failure(error: Exception, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    if isinstance(error, NightshiftError):
        message, detail, hint = format_prose(error.message), error.detail, error.hint
    else:
        message, detail, hint = f"{words.unexpected} {format_code(_type(error))}", None, words.look_in_log
    lines = [format_fact(words.error, message)]
    if hint:
        lines.append(format_fact(words.hint, format_prose(hint)))
    lines += [*run_lines(report, words), format_fact(words.took, words.format_duration(report.duration_ms / 1000))]
    if report.request_id:
        lines.append(format_fact(words.request_id, format_code(report.request_id)))
    if report.dry_run:
        lines.append(words.preview_note)
    title = header_block(words.failed_title.format(job=words.job_name(report.job)))
    details = (section_block([f"{words.detail}:", format_fenced(detail)]),) if detail else ()
    head = (title, section_block(lines), *details)
    render = _renderer(report)
    if report.result is None or render is _finished:
        return MessageDraft(head=head)
    done = render(report.result, report, words)  # follows the error, and is truncated first
    return MessageDraft(head=head, items=(*done.head, *done.items), left_out=done.left_out)


def _run_refused(result: RunRefused, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    sentence = words.run_refused.format(job=format_prose(words.job_name(report.job)))
    lines = [sentence, format_fact(words.detail, format_prose(result.reason)), *run_lines(report, words)]
    return MessageDraft(head=(section_block(lines),))


def _finished(result: JobResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message of a job without a renderer: whether the job has finished, and whether it is complete."""
    phrase = words.done if result.complete else words.done_in_part
    sentence = phrase.format(job=format_prose(words.job_name(report.job)))
    took = format_fact(words.took, words.format_duration(report.duration_ms / 1000))
    return MessageDraft(head=(section_block([sentence, *run_lines(report, words), took]),))


def _type(error: Exception) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
