"""Renders the message of `backup`: last night's backup, its size, and the last proof by a rehearsal.

An alarming change is shown right below the title: a backup that shrank to less than half. The end lists by name the
content that is not in the backup, and warnings, because nobody would look for these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from nightshift.results.backup import BackupResult
from nightshift.results.common import RunStatus
from nightshift.results.units import format_size
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import DASH, format_code, format_fact, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.phrases.forms import PluralForms
from nightshift.slack.report import ReportFrame, list_blocks, refusal_lines, run_lines

PROVEN_FOR = timedelta(days=8)
"""A weekly rehearsal, and a day of grace: a proof that is older is worth a warning."""
MAX_PRUNED = 5
"""Backups named of those that retention removed."""
MAX_SENTENCE = 300
"""Characters of a sentence about missing content, and of a warning."""
MAX_SHOWN = 80
"""Characters of a backup's name."""


def render_backup(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """The message for a run of `backup`; of one that failed, the part below the failure."""
    head = section_block(list(_head(result, report, words)))
    lists = (
        *sentence_blocks(words.phrases.not_in_backup, result.missing, words),
        *sentence_blocks(words.phrases.warnings_told, result.warnings, words),
    )
    if report.error is not None or result.status in (RunStatus.REFUSED, RunStatus.NOTHING):
        return MessageDraft(head=(head,), items=lists)
    return MessageDraft(head=(header_block(_title(result, words)), head), items=lists)


def sentence_blocks(title: PluralForms, sentences: Sequence[str], words: MessageFormatter) -> tuple[Block, ...]:
    """Sentences below a title that counts them."""
    entries = [format_prose(one, MAX_SENTENCE) for one in sentences]
    return list_blocks(title.form_of(len(entries)), entries, words)


def _title(result: BackupResult, words: MessageFormatter) -> str:
    phrases = words.phrases
    if result.status is RunStatus.DRY_RUN:
        title = phrases.backup_preview_title
    else:
        title = phrases.backup_unfinished_title if result.left else phrases.backup_title
    return title.format(name=result.name or DASH)


def _head(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """The verdict and the figures."""
    phrases = words.phrases
    if report.error is not None:
        yield phrases.table_failed_above if result.tables or result.pruned else phrases.no_backup_made
        if result.tables or result.pruned:
            yield from _figures(result, report, words)
        return
    if result.status is RunStatus.REFUSED:
        yield from refusal_lines(result.refusal, words)
        yield phrases.no_backup_made
    elif result.status is RunStatus.NOTHING:
        yield phrases.backed_up_before.format(name=_name(result.name)) if result.name else phrases.nothing_to_save
    else:
        yield from _verdict(result, words)
        yield from _figures(result, report, words)
    yield from _proven(result, report, words)
    yield from run_lines(report, words)
    if report.dry_run:
        yield phrases.preview_note


def _verdict(result: BackupResult, words: MessageFormatter) -> Iterator[str]:
    """Yields warnings about the backup as a whole."""
    phrases = words.phrases
    if result.left:
        yield phrases.backup_goes_on.form_of(result.left)
    elif result.unsaved:
        yield phrases.backup_lacks.form_of(result.unsaved)
    elif _is_a_backup(result) and result.shrunk and result.previous_bytes:
        yield phrases.backup_shrunk.format(before=format_size(result.previous_bytes))
    if result.groups > 1:
        yield phrases.backup_in_groups.form_of(result.groups)


def _figures(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    phrases = words.phrases
    change = _change(result, words) if report.error is None and _is_a_backup(result) else ""
    yield format_fact(phrases.whole_size, format_size(result.bytes), note=change)
    yield format_fact(phrases.saved_tables, phrases.pieces.form_of(result.tables), note=words.format_rows(result.rows))
    if result.log_events:
        yield format_fact(phrases.saved_logs, phrases.log_events.form_of(result.log_events))
    if result.snapshot_time is not None:
        yield format_fact(phrases.snapshot_time, format_prose(words.format_moment(result.snapshot_time)))
    if result.location:
        yield format_fact(phrases.kept_in, format_code(result.location))
    if result.pruned:
        names = [_name(name) for name in result.pruned[:MAX_PRUNED]]
        more = [phrases.others.form_of(len(result.pruned) - MAX_PRUNED)] if len(result.pruned) > MAX_PRUNED else []
        label = phrases.would_prune if report.dry_run else phrases.pruned
        yield format_fact(label, phrases.pieces.form_of(len(result.pruned)), note=", ".join([*names, *more]))
    if not report.dry_run:
        yield format_fact(phrases.took, words.format_duration(result.seconds))


def _is_a_backup(result: BackupResult) -> bool:
    """It is whole, so that its size can be compared with another's."""
    return result.status is RunStatus.OK


def _change(result: BackupResult, words: MessageFormatter) -> str:
    """The size against the backup before."""
    phrases = words.phrases
    if not result.previous_bytes:
        return ""
    percent = round(100 * (result.bytes / result.previous_bytes - 1), 1)
    way = phrases.same_size if percent == 0 else phrases.larger if percent > 0 else phrases.smaller
    return phrases.since_previous.format(change=way.format(percent=f"{abs(percent):,.1f}"))


def _proven(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the newest proven backup, and a warning if that is long ago."""
    phrases = words.phrases
    if result.proven_at is None:
        if _is_a_backup(result):  # else nobody may have looked
            yield phrases.none_proven
        return
    age = max(timedelta(0), report.as_of - result.proven_at)
    yield format_fact(
        phrases.proven_backup,
        _name(result.proven_name),
        note=phrases.ago.format(duration=words.format_duration(age.total_seconds())),
    )
    if age > PROVEN_FOR:
        yield phrases.proven_long_ago


def _name(name: str | None) -> str:
    return format_code(name, MAX_SHOWN) if name else DASH
