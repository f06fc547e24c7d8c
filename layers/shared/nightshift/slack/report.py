"""Facts of a finished run, from which every message is made."""

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
"""Warnings shown of one table or run; the log has them all."""
MAX_WARNING = 250
"""Characters of a warning beside others."""
MAX_LISTED = 5
"""Entries shown of a list."""


@dataclass(frozen=True)
class ReportFrame:
    """Facts of one run.

    Attributes:
        job: the job's name, as its folder under `functions/` is called.
        as_of: aware; the scheduled time of the run.
        dry_run: whether the run was to write nothing.
        duration_ms: how long it took.
        result: what the job returned, or had done before it failed; None where that is not known.
        error: what it failed with.
        attempt: 1 for the first run of this `as_of`.
        request_id: Lambda's name for the invocation, to be found in the log.

    Raises:
        ValueError: there is neither a result nor an error, so nothing to report.
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
    """The lines about the run itself, whatever the job did."""
    ran_at = format_fact(words.ran_at, format_prose(words.format_moment(report.as_of)))
    return [ran_at, *attempt_lines(report, words)]


def attempt_lines(report: ReportFrame, words: MessageFormatter) -> list[str]:
    """The number of the attempt, unless it is the first."""
    return [format_fact(words.attempt, words.nth.format(attempt=report.attempt))] if report.attempt > 1 else []


def preview_lines(report: ReportFrame, words: MessageFormatter) -> list[str]:
    """The closing note of a dry run that did not fail: the message of a failure has one of its own."""
    return [words.preview_note] if report.dry_run and report.error is None else []


def refusal_lines(refusal: GuardRefusal | None, words: MessageFormatter) -> list[str]:
    """The guard that refused, its reason, and the remedy."""
    if refusal is None:
        return [words.refused.format(guard=DASH)]
    lines = [words.refused.format(guard=format_prose(words.guard_name(refusal.guard)))]
    reason = words.guard_reasons.get(refusal.guard)
    if reason:
        lines.append(format_fact(words.reason, reason))
    lines.append(format_fact(words.detail if reason else words.reason, format_prose(refusal.message)))
    return [*lines, format_fact(words.hint, format_prose(refusal.hint))]


def error_lines(error: NightshiftError, words: MessageFormatter) -> list[str]:
    """The error that one table failed with, and the remedy."""
    lines = [words.table_failed.format(error=format_prose(error.message))]
    return [*lines, format_fact(words.hint, format_prose(error.hint))] if error.hint else lines


def warning_lines(
    warnings: Sequence[str], words: MessageFormatter, *, most: int = MAX_WARNINGS, limit: int = MAX_WARNING
) -> list[str]:
    """The first warnings, each of `limit` characters at most, and the number of the others."""
    lines = [f"⚠️ {format_prose(warning, limit)}" for warning in warnings[:most]]
    hidden = len(warnings) - len(lines)
    return [*lines, words.warnings_left_out.form_of(hidden)] if hidden else lines


def list_blocks(title: str, entries: Sequence[str], words: MessageFormatter) -> tuple[Block, ...]:
    """Entries below a title, the last line counting those that are not shown; nothing where there are none.

    Args:
        title: a phrase.
        entries: markup.
    """
    if not entries:
        return ()
    hidden = len(entries) - MAX_LISTED
    more = [words.entries_left_out.form_of(hidden)] if hidden > 0 else []
    return (section_block([title, *(f"• {entry}" for entry in entries[:MAX_LISTED]), *more]),)
