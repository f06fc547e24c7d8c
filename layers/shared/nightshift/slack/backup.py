"""Renders the messages of `backup`, `rehearse` and `restore_backup`.

The verdict comes first. For a backup, the verdict is an alarming change, such as a size below half of the previous
backup's. For a restore, the verdict says whether the restored data equals the saved data. The end of the message lists
content that is not in the backup, differences, and warnings, because a reader would not search for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from nightshift.results.backup import BackupResult, RestoredBackup
from nightshift.results.common import RunStatus
from nightshift.results.units import format_size
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import DASH, format_code, format_fact, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.phrases.forms import PluralForms
from nightshift.slack.report import ReportFrame, list_blocks, preview_lines, refusal_lines, run_lines

PROVEN_FOR = timedelta(days=8)
"""Age of the newest proof above which the message warns: the week between two rehearsals, and one more day."""
MAX_PRUNED = 5
"""Maximum number of deleted backups that the message names. Retention deletes old backups."""
MAX_SENTENCE = 300
"""Maximum length, in characters, of a sentence about missing content, and of a warning."""
MAX_SHOWN = 80
"""Maximum length of a backup's name, in characters."""
REHEARSAL = "rehearse"
"""Name of the job that restores a backup only to prove that a restore works."""


def render_backup(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `backup`. For a failed run, returns the part below the error."""
    lists = ((words.not_in_backup, result.missing), (words.warnings_told, result.warnings))
    return _draft(_title(result, words), _head(result, report, words), result, report, lists, words)


def render_restored_backup(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `rehearse` or `restore_backup`.

    For a failed run, returns the part of the message below the error.
    """
    lists = (
        (words.differs, result.differences),
        (words.but_for, result.but_for),
        (words.environment_differs, result.environment),
        (words.warnings_told, result.warnings),
    )
    title, head = _restored_title(result, report, words), _restored_head(result, report, words)
    return _draft(title, head, result, report, lists, words)


def _draft(
    title: str,
    lines: Iterable[str],
    result: BackupResult | RestoredBackup,
    report: ReportFrame,
    lists: Iterable[tuple[PluralForms, Sequence[str]]],
    words: MessageFormatter,
) -> MessageDraft:
    """Returns a message of a title, lines, and lists of sentences. A list's title has the number of its sentences."""
    head = [section_block(list(lines))]
    if report.error is None and result.status not in (RunStatus.REFUSED, RunStatus.NOTHING):
        head.insert(0, header_block(title))
    items: list[Block] = []
    for forms, sentences in lists:
        entries = [format_prose(sentence, MAX_SENTENCE) for sentence in sentences]
        items += list_blocks(forms.form_of(len(entries)), entries, words)
    return MessageDraft(head=tuple(head), items=tuple(items))


def _title(result: BackupResult, words: MessageFormatter) -> str:
    if result.status is RunStatus.DRY_RUN:
        title = words.backup_preview_title
    else:
        title = words.backup_unfinished_title if result.left else words.backup_title
    return title.format(name=result.name or DASH)


def _head(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    if report.error is not None:
        done = result.tables or result.pruned
        yield words.table_failed_above if done else words.no_backup_made
        yield from _figures(result, report, words) if done else ()
        return
    if result.status is RunStatus.REFUSED:
        yield from refusal_lines(result.refusal, words)
        yield words.no_backup_made
    elif result.status is RunStatus.NOTHING:
        yield words.backed_up_before.format(name=_name(result.name)) if result.name else words.nothing_to_save
    else:
        yield from _verdict(result, words)
        yield from _figures(result, report, words)
    yield from _proven(result, report, words)
    yield from run_lines(report, words)
    yield from preview_lines(report, words)


def _verdict(result: BackupResult, words: MessageFormatter) -> Iterator[str]:
    if result.left:
        yield words.backup_goes_on.form_of(result.left)
    elif result.unsaved:
        yield words.backup_lacks.form_of(result.unsaved)
    elif _is_a_backup(result) and result.shrunk and result.previous_bytes:
        yield words.backup_shrunk.format(before=format_size(result.previous_bytes))
    if result.groups > 1:
        yield words.backup_in_groups.form_of(result.groups)


def _figures(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    change = _change(result, words) if report.error is None and _is_a_backup(result) else ""
    yield format_fact(words.whole_size, format_size(result.bytes), note=change)
    yield format_fact(words.saved_tables, words.pieces.form_of(result.tables), note=words.format_rows(result.rows))
    if result.log_events:
        yield format_fact(words.saved_logs, words.log_events.form_of(result.log_events))
    if result.snapshot_time is not None:
        yield format_fact(words.snapshot_time, format_prose(words.format_moment(result.snapshot_time)))
    if result.location:
        yield format_fact(words.kept_in, format_code(result.location))
    if result.pruned:
        names = [_name(name) for name in result.pruned[:MAX_PRUNED]]
        more = [words.others.form_of(len(result.pruned) - MAX_PRUNED)] if len(result.pruned) > MAX_PRUNED else []
        label = words.would_prune if report.dry_run else words.pruned
        yield format_fact(label, words.pieces.form_of(len(result.pruned)), note=", ".join([*names, *more]))
    if not report.dry_run:
        yield format_fact(words.took, words.format_duration(result.seconds))


def _is_a_backup(result: BackupResult) -> bool:
    """Returns whether the backup is complete, so that its size can be compared with the size of another backup."""
    return result.status is RunStatus.OK


def _change(result: BackupResult, words: MessageFormatter) -> str:
    """Returns the change in size since the previous backup; empty if there is no previous backup."""
    if not result.previous_bytes:
        return ""
    percent = round(100 * (result.bytes / result.previous_bytes - 1), 1)
    way = words.same_size if percent == 0 else words.larger if percent > 0 else words.smaller
    return words.since_previous.format(change=way.format(percent=f"{abs(percent):,.1f}"))


def _proven(result: BackupResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the newest proven backup, and a warning if the proof is older than `PROVEN_FOR`."""
    if result.proven_at is None:
        if _is_a_backup(result):  # otherwise the run may not have searched for a proof
            yield words.none_proven
        return
    age = max(timedelta(0), report.as_of - result.proven_at)
    ago = words.ago.format(duration=words.format_duration(age.total_seconds()))
    yield format_fact(words.proven_backup, _name(result.proven_name), note=ago)
    if age > PROVEN_FOR:
        yield words.proven_long_ago


def _name(name: str | None) -> str:
    return format_code(name, MAX_SHOWN) if name else DASH


def _is_rehearsal(result: RestoredBackup, report: ReportFrame) -> bool:
    return result.scratch or report.job == REHEARSAL


def _restored_title(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> str:
    if _is_rehearsal(result, report):
        title = words.rehearsal_preview_title if report.dry_run else words.rehearsal_title
    else:
        title = words.restored_backup_preview_title if report.dry_run else words.restored_backup_title
    return title.format(name=result.name or DASH)


def _restored_head(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    if report.error is not None:
        yield words.table_failed_above if result.tables else words.nothing_restored
        yield from _restored_figures(result, report, words) if result.tables else ()
        return
    if result.status is RunStatus.REFUSED:
        yield from refusal_lines(result.refusal, words)
        yield words.nothing_restored
    elif result.status is RunStatus.NOTHING:
        yield words.no_backup_yet
    else:
        yield from _restored_verdict(result, report, words)
        yield from _restored_figures(result, report, words)
    yield from run_lines(report, words)
    yield from preview_lines(report, words)


def _restored_verdict(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    """Yields the verdict, e.g. that the restored data equals the saved data. The differences are listed elsewhere."""
    if result.differences:
        yield words.not_as_saved
    if result.left_tables:
        yield words.tables_not_restored.form_of(result.left_tables)
    if result.differences or result.left_tables or report.dry_run:
        return
    others = result.but_for or result.environment
    if not _is_rehearsal(result, report):
        yield words.is_as_saved_but_for if others else words.is_as_saved
    elif result.proven:
        yield words.comes_back_but_for if others else words.comes_back
    else:
        yield words.not_stamped


def _restored_figures(result: RestoredBackup, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    if result.target:
        note = words.scratch_database if result.scratch else ""
        yield format_fact(words.target_database, format_code(result.target), note=note)
    yield format_fact(words.saved_tables, words.pieces.form_of(result.tables), note=words.format_rows(result.rows))
    yield format_fact(words.whole_size, format_size(result.bytes))
    if not report.dry_run:
        yield format_fact(words.took, words.format_duration(result.seconds))
