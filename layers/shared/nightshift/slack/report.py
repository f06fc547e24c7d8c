"""Defines the facts of a finished run, and renders the lines that the messages of all jobs share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nightshift.errors import NightshiftError
from nightshift.results.common import GuardRefusal, JobResult
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import DASH, format_fact, format_prose
from nightshift.slack.messages import Block, section_block

MAX_WARNINGS = 3
"""Maximum number of warnings shown for one table or run. The log has all warnings."""
MAX_WARNING = 250
"""Maximum length of one of several warnings, in characters."""
MAX_LISTED = 5
"""Maximum number of entries shown in a list."""


@dataclass(frozen=True)
class ReportFrame:
    """Facts of one run.

    Attributes:
        job: the job's name, which is the name of its folder under `functions/`.
        as_of: the scheduled time of the run; an aware time.
        duration_ms: duration of the run, in milliseconds.
        result: the job's result. For a failed run: the work before the failure; None if that is unknown.
        attempt: number of the run for this `as_of`, beginning with 1.
        request_id: Lambda's ID of the invocation, which is also in the log.
    """

    job: str
    as_of: datetime
    dry_run: bool
    duration_ms: int
    result: JobResult | None = None
    error: Exception | None = None
    attempt: int = 1
    request_id: str | None = None

    def __post_init__(self) -> None:
        if self.result is None and self.error is None:
            raise ValueError("a report needs a result or an error")


def run_lines(report: ReportFrame, words: MessageFormatter) -> list[str]:
    """Returns the lines about the run itself: its scheduled time, and its attempt."""
    ran_at = format_fact(words.ran_at, format_prose(words.format_moment(report.as_of)))
    return [ran_at, *attempt_lines(report, words)]


def attempt_lines(report: ReportFrame, words: MessageFormatter) -> list[str]:
    """Returns the line with the number of the attempt; no line for the first attempt."""
    return [format_fact(words.attempt, words.nth.format(attempt=report.attempt))] if report.attempt > 1 else []


def preview_lines(report: ReportFrame, words: MessageFormatter) -> list[str]:
    """Returns the closing note of a dry run. Returns no line for a failed run, whose message already has the note."""
    return [words.preview_note] if report.dry_run and report.error is None else []


def refusal_lines(refusal: GuardRefusal | None, words: MessageFormatter) -> list[str]:
    """Returns the lines about a refusal: the guard, the reason, and the remedy."""
    if refusal is None:
        return [words.refused.format(guard=DASH)]
    guard = words.guards.get(refusal.guard) or words.other_guard.format(guard=refusal.guard)
    lines = [words.refused.format(guard=format_prose(guard))]
    reason = words.guard_reasons.get(refusal.guard)
    if reason:
        lines.append(format_fact(words.reason, reason))
    lines.append(format_fact(words.detail if reason else words.reason, format_prose(refusal.message)))
    return [*lines, format_fact(words.hint, format_prose(refusal.hint))]


def error_lines(error: NightshiftError, words: MessageFormatter) -> list[str]:
    """Returns the lines about the error of one table: the error, and the remedy."""
    lines = [words.table_failed.format(error=format_prose(error.message))]
    return [*lines, format_fact(words.hint, format_prose(error.hint))] if error.hint else lines


def warning_lines(
    warnings: Sequence[str], words: MessageFormatter, *, most: int = MAX_WARNINGS, limit: int = MAX_WARNING
) -> list[str]:
    """Returns a line for each of the first warnings, and a line with the number of the other warnings."""
    lines = [f"⚠️ {format_prose(warning, limit)}" for warning in warnings[:most]]
    hidden = len(warnings) - len(lines)
    return [*lines, words.warnings_left_out.form_of(hidden)] if hidden else lines


def list_blocks(title: str, entries: Sequence[str], words: MessageFormatter) -> tuple[Block, ...]:
    """Returns a block with the first entries below a title; no block if there are no entries.

    The last line has the number of entries that are not shown.
    """
    if not entries:
        return ()
    hidden = len(entries) - MAX_LISTED
    more = [words.entries_left_out.form_of(hidden)] if hidden > 0 else []
    return (section_block([title, *(f"• {entry}" for entry in entries[:MAX_LISTED]), *more]),)
