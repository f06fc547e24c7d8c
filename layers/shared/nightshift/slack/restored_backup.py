"""Renders the message of a restored backup, for rehearsals and for real restores.

The verdict comes first: the backup was restored as it was saved, or not, and the differences.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results.backup import RestoredBackup
from nightshift.results.common import RunStatus
from nightshift.results.units import format_size
from nightshift.slack.backup import sentence_blocks
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import DASH, format_code, format_fact
from nightshift.slack.messages import MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, refusal_lines, run_lines

REHEARSAL = "rehearse"
"""The job that restores for nothing but the proof."""


def render_restored_backup(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """The message for a run of `rehearse` or `restore_backup`; of one that failed, the part below the failure."""
    phrases = words.phrases
    head = section_block(list(_head(result, report, words)))
    lists = (
        *sentence_blocks(phrases.differs, result.differences, words),
        *sentence_blocks(phrases.but_for, result.but_for, words),
        *sentence_blocks(phrases.environment_differs, result.environment, words),
        *sentence_blocks(phrases.warnings_told, result.warnings, words),
    )
    if report.error is not None or result.status in (RunStatus.REFUSED, RunStatus.NOTHING):
        return MessageDraft(head=(head,), items=lists)
    return MessageDraft(head=(header_block(_title(result, report, words)), head), items=lists)


def _is_rehearsal(result: RestoredBackup, report: ReportFrame) -> bool:
    return result.scratch or report.job == REHEARSAL


def _title(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> str:
    phrases = words.phrases
    if _is_rehearsal(result, report):
        title = phrases.rehearsal_preview_title if report.dry_run else phrases.rehearsal_title
    else:
        title = phrases.restored_backup_preview_title if report.dry_run else phrases.restored_backup_title
    return title.format(name=result.name or DASH)


def _head(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """The verdict and the figures."""
    phrases = words.phrases
    if report.error is not None:
        yield phrases.table_failed_above if result.tables else phrases.nothing_restored
        if result.tables:
            yield from _figures(result, report, words)
        return
    if result.status is RunStatus.REFUSED:
        yield from refusal_lines(result.refusal, words)
        yield phrases.nothing_restored
    elif result.status is RunStatus.NOTHING:
        yield phrases.no_backup_yet
    else:
        yield from _verdict(result, report, words)
        yield from _figures(result, report, words)
    yield from run_lines(report, words)
    if report.dry_run:
        yield phrases.preview_note


def _verdict(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the verdict, e.g. that the backup was restored as it was saved; differences are listed below."""
    phrases = words.phrases
    if result.differences:
        yield phrases.not_as_saved
    if result.left_tables:
        yield phrases.tables_not_restored.form_of(result.left_tables)
    if result.differences or result.left_tables or report.dry_run:
        return
    others = result.but_for or result.environment
    if not _is_rehearsal(result, report):
        yield phrases.is_as_saved_but_for if others else phrases.is_as_saved
    elif result.proven:
        yield phrases.comes_back_but_for if others else phrases.comes_back
    else:
        yield phrases.not_stamped


def _figures(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    phrases = words.phrases
    if result.target:
        note = phrases.scratch_database if result.scratch else ""
        yield format_fact(phrases.target_database, format_code(result.target), note=note)
    yield format_fact(phrases.saved_tables, phrases.pieces.form_of(result.tables), note=words.format_rows(result.rows))
    yield format_fact(phrases.whole_size, format_size(result.bytes))
    if not report.dry_run:
        yield format_fact(phrases.took, words.format_duration(result.seconds))
