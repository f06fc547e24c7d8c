"""Renders the message of `restore`: the restored rows, their table, and anything unexpected.

The figures come first and are always shown. The names of damaged objects come next, because a reader would not search
for damaged objects. Notes on columns come last. Both lists are truncated; the handler's answer and the log have all
entries.
"""

from __future__ import annotations

from collections.abc import Iterator

from nightshift.results.common import RunStatus
from nightshift.results.restore import DamagedObject, RestoreResult
from nightshift.results.units import format_size
from nightshift.slack.formatter import MessageFormatter
from nightshift.slack.markup import format_code, format_fact, format_prose
from nightshift.slack.messages import Block, MessageDraft, header_block, section_block
from nightshift.slack.report import ReportFrame, list_blocks, preview_lines, refusal_lines, run_lines, warning_lines

MAX_WARNING = 400
"""Maximum length of a warning, in characters."""
MAX_DAMAGE, MAX_SEEN = 50, 200
"""Maximum length of the kind of damage, and of the finding, in characters. Thus all listed objects fit into a block."""


def render_restore(result: RestoreResult, report: ReportFrame, words: MessageFormatter) -> MessageDraft:
    """Returns the message for a run of `restore`. For a failed run, returns the part below the error."""
    head = section_block(list(_head(result, report, words)))
    if report.error is not None:
        return MessageDraft(head=(head,), items=_lists(result, words))
    if result.status is RunStatus.NOTHING:
        return MessageDraft(head=(head,))
    title = header_block(words.restore_preview_title if report.dry_run else words.restore_title)
    return MessageDraft(head=(title, head), items=_lists(result, words))


def _head(result: RestoreResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    if report.error is not None:
        yield words.table_failed_above
        yield from _figures(result, report, words)
    elif result.status is RunStatus.NOTHING:
        yield words.nothing_to_restore
        yield from _places(result, words)
        yield from _count(words.restored_before, result.already, words)
        yield from warning_lines(result.warnings, words, limit=MAX_WARNING)
    else:
        if result.status is RunStatus.REFUSED:
            yield from _refused(result, words)
        else:
            if result.status is RunStatus.PARTIAL:
                yield words.restored_in_part
            yield from _figures(result, report, words)
        yield from run_lines(report, words)
        yield from preview_lines(report, words)


def _refused(result: RestoreResult, words: MessageFormatter) -> Iterator[str]:
    yield from refusal_lines(result.refusal, words)
    yield from _places(result, words)
    yield (format_fact(words.restored_rows, words.format_rows(result.rows)) if result.rows else words.nothing_restored)


def _places(result: RestoreResult, words: MessageFormatter) -> Iterator[str]:
    """Yields the archived table, and the table that receives the rows."""
    yield format_fact(words.restore_table, format_code(result.table))
    if result.into is not None:
        note = words.the_original if result.into_original else ""
        yield format_fact(words.restored_into, format_code(result.into), note=note)


def _figures(result: RestoreResult, report: ReportFrame, words: MessageFormatter) -> Iterator[str]:
    yield from _places(result, words)
    yield format_fact(words.expected_restore if report.dry_run else words.restored_rows, words.format_rows(result.rows))
    if result.existing:
        yield format_fact(words.existing_keys, words.format_rows(result.existing), note=words.left_alone)
    yield format_fact(words.objects, words.pieces.form_of(result.objects), note=format_size(result.bytes))
    yield from _count(words.restored_before, result.already, words)
    yield from _count(words.objects_left, result.remaining, words, note=words.goes_on)
    if result.hold_until is not None:
        until = words.until.format(moment=format_prose(words.format_moment(result.hold_until)))
        yield format_fact(words.hold, until, note=words.hold_means)
    yield from warning_lines(result.warnings, words, limit=MAX_WARNING)
    if not report.dry_run:
        speed = result.rows / result.seconds if result.seconds > 0 else 0.0
        rate = words.format_rate(speed) if speed >= 1 else ""
        yield format_fact(words.took, words.format_duration(result.seconds), note=rate)


def _count(label: str, count: int, words: MessageFormatter, *, note: str = "") -> Iterator[str]:
    """Yields a line with the count; no line for zero."""
    if count:
        yield format_fact(label, words.pieces.form_of(count), note=note)


def _lists(result: RestoreResult, words: MessageFormatter) -> tuple[Block, ...]:
    damaged, notes = result.damaged, result.columns
    return (
        *list_blocks(words.damaged.form_of(len(damaged)), [_damaged(object_, words) for object_ in damaged], words),
        *list_blocks(words.about_columns, [format_prose(note) for note in notes], words),
    )


def _damaged(object_: DamagedObject, words: MessageFormatter) -> str:
    damage = format_prose(words.damages.get(object_.damage, object_.damage), MAX_DAMAGE)
    return f"{format_code(object_.key)}: {damage} ({format_prose(object_.what, MAX_SEEN)})"
