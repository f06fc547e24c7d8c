"""The message of a backup that was put back: by a rehearsal, or by somebody on a bad day.

The verdict comes first: it came back as it was saved, or it did not, and where it differs.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results import RestoredBackup, Status
from nightshift.slack.backup import listed
from nightshift.slack.markup import DASH, code, fact, prose
from nightshift.slack.message import Draft, header, section
from nightshift.slack.report import Report, run_lines
from nightshift.slack.words import Words

REHEARSAL = "rehearse"
"""The job that restores for nothing but the proof."""


def restored_backup(result: RestoredBackup, report: Report, words: Words) -> Draft:
    """The message for a run of `rehearse` or `restore_backup`; of one that failed, the part below the failure."""
    phrases = words.phrases
    head = section(list(_head(result, report, words)))
    lists = (
        *listed(phrases.differs.of(len(result.differences)), result.differences, words),
        *listed(phrases.but_for.of(len(result.but_for)), result.but_for, words),
        *listed(phrases.environment_differs.of(len(result.environment)), result.environment, words),
        *listed(phrases.warnings_told.of(len(result.warnings)), result.warnings, words),
    )
    if report.error is not None or result.status in (Status.REFUSED, Status.NOTHING):
        return Draft(head=(head,), items=lists)
    return Draft(head=(header(_title(result, report, words)), head), items=lists)


def _is_rehearsal(result: RestoredBackup, report: Report) -> bool:
    return result.scratch or report.job == REHEARSAL


def _title(result: RestoredBackup, report: Report, words: Words) -> str:
    phrases = words.phrases
    if _is_rehearsal(result, report):
        title = phrases.rehearsal_preview_title if report.dry_run else phrases.rehearsal_title
    else:
        title = phrases.restored_backup_preview_title if report.dry_run else phrases.restored_backup_title
    return title.format(name=result.name or DASH)


def _head(result: RestoredBackup, report: Report, words: Words) -> Iterator[str]:
    """The verdict and the figures."""
    phrases = words.phrases
    if report.error is not None:
        yield phrases.table_failed_above if result.tables else phrases.nothing_restored
        if result.tables:
            yield from _figures(result, report, words)
        return
    if result.status is Status.REFUSED:
        yield phrases.refused.format(guard=prose(words.guard(result.refusal.guard)) if result.refusal else DASH)
        if result.refusal:
            yield fact(phrases.reason, prose(result.refusal.message))
            yield fact(phrases.hint, prose(result.refusal.hint))
        yield phrases.nothing_restored
    elif result.status is Status.NOTHING:
        yield phrases.no_backup_yet
    else:
        yield from _verdict(result, report, words)
        yield from _figures(result, report, words)
    yield from run_lines(report, words)
    if report.dry_run:
        yield phrases.preview_note


def _verdict(result: RestoredBackup, report: Report, words: Words) -> Iterator[str]:
    """Whether it came back as it was; differences are listed below."""
    phrases = words.phrases
    if result.differences:
        yield phrases.not_as_saved
    if result.left_tables:
        yield phrases.tables_not_restored.of(result.left_tables)
    if result.differences or result.left_tables or report.dry_run:
        return
    others = result.but_for or result.environment
    if not _is_rehearsal(result, report):
        yield phrases.is_as_saved_but_for if others else phrases.is_as_saved
    elif result.proven:
        yield phrases.comes_back_but_for if others else phrases.comes_back
    else:
        yield phrases.not_stamped


def _figures(result: RestoredBackup, report: Report, words: Words) -> Iterator[str]:
    phrases = words.phrases
    if result.target:
        note = phrases.scratch_database if result.scratch else ""
        yield fact(phrases.target_database, code(result.target), note=note)
    yield fact(phrases.saved_tables, phrases.pieces.of(result.tables), note=words.rows(result.rows))
    yield fact(phrases.whole_size, words.size(result.bytes))
    if not report.dry_run:
        yield fact(phrases.took, words.duration(result.seconds))
